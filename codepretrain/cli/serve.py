"""The command `serve`: a checkpoint behind an OpenAI-compatible endpoint."""

import argparse
import os
from importlib.util import find_spec

from codepretrain.cli.flags import whole_number
from codepretrain.cli.interop import Add
from codepretrain.cli.process import add_machine_flags, start_machine
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError, quoted

_PACKAGES = ("starlette", "uvicorn", "tokenizers")
_LEAST_KEY = 16  # characters


def add_commands(add: Add) -> None:
    """Adds the command and its flags to the command line."""
    serve = add("serve", _serve, "serve a checkpoint: an OpenAI-compatible completions endpoint")
    serve.add_argument("--phase", required=True)
    serve.add_argument(
        "--step", type=whole_number(0), help="a checkpoint's step (default: the phase's end)"
    )
    serve.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: %(default)s, for this machine only)",
    )
    serve.add_argument(
        "--port", type=whole_number(0, 65535), default=8000, help="0: any (default: %(default)s)"
    )
    serve.add_argument(
        "--key-env",
        metavar="NAME",
        help="environment variable that holds the key which requests must carry (default: none)",
    )
    serve.add_argument(
        "--max-tokens-per-request",
        type=whole_number(1),
        default=262_144,
        metavar="TOKENS",
        help="prompts and completions of one request together (default: %(default)s)",
    )
    add_machine_flags(serve)


def _serve(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    if flags.distributed or flags.coordinator:
        raise UserError(
            "serve runs on one process, with all devices of this host: leave out --distributed and "
            "--coordinator"
        )
    missing = [package for package in _PACKAGES if find_spec(package) is None]
    if missing:
        raise UserError(
            f"serve needs {', '.join(f'`{package}`' for package in missing)}: not installed; run "
            "`pip install 'codepretrain[serve]'`"
        )
    key = _key(flags.key_env)
    start_machine(flags)
    from codepretrain.serve.phase import Options, serve_phase
    from codepretrain.study.workspace import Workspace

    serve_phase(
        Workspace(config, flags.workdir),
        name=flags.phase,
        step=flags.step,
        options=Options(
            host=flags.host,
            port=flags.port,
            tokens_per_request=flags.max_tokens_per_request,
            key=key,
        ),
        command=flags.command_line,
    )
    return 0


def _key(variable: str | None) -> str | None:
    """Returns the key in an environment variable. Raises UserError without repeating it."""
    if variable is None:
        return None
    key = os.environ.get(variable, "")
    if len(key) < _LEAST_KEY or not key.isascii() or not key.isprintable() or " " in key:
        found = f"{len(key)} characters" if key else "nothing"
        raise UserError(
            f"--key-env: expected at least {_LEAST_KEY} printable ASCII characters without spaces "
            f"in the environment variable {quoted(variable)}, found {found}"
        )
    return key
