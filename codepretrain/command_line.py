"""Commands of the same study, for messages that say what to run."""

import argparse
import functools
import shlex


def same_study(command: str, given: str) -> str:
    """Returns a command with the study and the working directory of the command line `given`.

    Args:
      command: with its own flags, such as "evaluate --phase trunk".
      given: "" if it is not known. If it is of several studies, the file is left open.

    >>> same_study("train --phase a", "codepretrain run --config=x.py --attempt 3 --config.seed=1")
    'codepretrain train --phase a --config x.py --config.seed=1'
    """
    return shlex.join(["codepretrain", *shlex.split(command), *_study_flags(given)])


@functools.lru_cache(maxsize=8)
def _study_flags(given: str) -> tuple[str, ...]:
    arguments = shlex.split(given)
    flags = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    flags.add_argument("--config", nargs="+", action="extend", default=[])
    flags.add_argument("--workdir")
    overrides = [one for one in arguments if one.startswith("--config.")]
    found, _ = flags.parse_known_args([one for one in arguments if one not in overrides])
    words: list[str] = []
    if found.config:
        words += ["--config", found.config[0] if len(found.config) == 1 else "FILE"]
    if found.workdir is not None:
        words += ["--workdir", found.workdir]
    return (*words, *overrides)
