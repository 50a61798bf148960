"""The commands `export` and `import`: checkpoints to and from the files of other tools."""

import argparse
from collections.abc import Callable

from codepretrain.cli.environment import use_cpu
from codepretrain.cli.flags import PathOnce, whole_number
from codepretrain.config.schema import StudyConfig

# Adds a command: its name, the function that runs it, and its description in the help.
Add = Callable[[str, Callable[..., int], str], argparse.ArgumentParser]


def add_commands(add: Add) -> None:
    """Adds both commands and their flags to the command line."""
    export = add("export", _export, "write a checkpoint as a transformers Cohere model")
    export.add_argument("--phase", required=True)
    export.add_argument(
        "--step", type=whole_number(0), help="a checkpoint's step (default: the phase's end)"
    )
    export.add_argument("--output", action=PathOnce, required=True, help="folder to write")
    export.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    export.add_argument("--max-shard-bytes", type=whole_number(1), default=2_000_000_000)
    load = add("import", _import, "read a transformers Cohere model for phases to start from")
    load.add_argument("--model", action=PathOnce, required=True, help="folder of the model")
    load.add_argument("--name", required=True, help="its name in phases' initial_checkpoint")


def _export(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    use_cpu()
    from codepretrain.interop.export import ExportOptions
    from codepretrain.study.exchange import export_phase
    from codepretrain.study.workspace import Workspace

    options = ExportOptions(dtype=flags.dtype, max_shard_bytes=flags.max_shard_bytes)
    export_phase(
        Workspace(config, flags.workdir),
        name=flags.phase,
        step=flags.step,
        output=flags.output,
        options=options,
        command_line=flags.command_line,
    )
    return 0


def _import(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    use_cpu()
    from codepretrain.study.exchange import import_checkpoint
    from codepretrain.study.workspace import Workspace

    import_checkpoint(Workspace(config, flags.workdir), source=flags.model, name=flags.name)
    return 0
