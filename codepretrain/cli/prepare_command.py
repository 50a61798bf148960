"""The command that prepares the data of a study, from the command line of another command."""

import argparse
import os


def prepare_command(flags: argparse.Namespace, argv: list[str]) -> list[str]:
    """Returns the arguments of `codepretrain` that prepare the data which a command uses.

    Args:
      flags: of that command.
      argv: its arguments; overrides of the config are passed on.
    """
    overrides = [argument for argument in argv if argument.startswith("--config.")]
    where = ["--config", flags.config, "--workdir", os.fspath(flags.workdir)]
    return ["prepare", *where, *overrides]
