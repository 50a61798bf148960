"""The commands `export` and `import`: a study's checkpoints to and from other tools' files."""

import argparse
from collections.abc import Callable
from pathlib import Path

from codepretrain.config.schema import StudyConfig

# Adds a command: its name, what it runs, and what the help says of it.
Add = Callable[[str, Callable[..., int], str], argparse.ArgumentParser]


def add_commands(add: Add) -> None:
    """Adds both commands and their flags to the command line."""
    export = add("export", _export, "write a checkpoint as a transformers Cohere model")
    export.add_argument("--phase", required=True)
    export.add_argument("--step", type=int, help="a checkpoint's step (default: the phase's end)")
    export.add_argument("--output", type=Path, required=True, help="folder to write")
    export.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    export.add_argument("--max-shard-bytes", type=int, default=2_000_000_000)
    load = add("import", _import, "read a transformers Cohere model for phases to start from")
    load.add_argument("--model", type=Path, required=True, help="folder with config and weights")
    load.add_argument("--name", required=True, help="what phases call it: initial_checkpoint")


def _export(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    _use_the_host()
    from codepretrain.interop.export import ExportOptions
    from codepretrain.study.exchange import export_phase

    options = ExportOptions(dtype=flags.dtype, max_shard_bytes=flags.max_shard_bytes)
    export_phase(
        config,
        flags.workdir,
        name=flags.phase,
        step=flags.step,
        output=flags.output,
        options=options,
    )
    return 0


def _import(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    _use_the_host()
    from codepretrain.study.exchange import import_checkpoint

    import_checkpoint(config, flags.workdir, source=flags.model, name=flags.name)
    return 0


def _use_the_host() -> None:
    """Leaves the accelerators alone: files are all that is to be moved."""
    import jax

    jax.config.update("jax_platforms", "cpu")
