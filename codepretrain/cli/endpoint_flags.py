"""The flags of the commands that ask an OpenAI-compatible endpoint."""

import argparse
import importlib.util
import math
import os
from collections.abc import Callable

from codepretrain.cli.flags import whole_number
from codepretrain.errors import UserError, quoted

_MAX_CONCURRENCY = 256


def add_endpoint_flags(command: argparse.ArgumentParser, *, required: bool) -> None:
    """Adds where to ask, how fast, and for how much. The fields of `Terms` are among them."""
    command.add_argument(
        "--endpoint", required=required, metavar="URL", help="as in https://HOST/v1"
    )
    command.add_argument("--model", required=required, help="as the endpoint calls it")
    command.add_argument("--key-env", metavar="NAME", help="environment variable with the key")
    command.add_argument("--concurrency", type=whole_number(1, _MAX_CONCURRENCY), default=8)
    command.add_argument("--requests-per-minute", type=number(0.001))
    command.add_argument("--prompt-price", type=number(0.0), default=0.0, help="per 1e6 tokens")
    command.add_argument("--completion-price", type=number(0.0), default=0.0, help="per 1e6 tokens")
    command.add_argument("--max-cost", type=number(0.0), help="stop before this is passed")
    command.add_argument(
        "--deadline-s", type=number(0.0), metavar="SECONDS", help="send nothing after this time"
    )


def check_client() -> None:
    """Raises UserError if the HTTP client is not installed."""
    if importlib.util.find_spec("httpx2") is None:
        raise UserError(
            "the package `httpx2`, which asks an endpoint, is not installed: run `pip install "
            "'codepretrain[eval]'`"
        )


def check_prices(flags: argparse.Namespace) -> None:
    """Raises UserError for a limit of costs without prices."""
    if flags.max_cost is not None and not flags.prompt_price + flags.completion_price:
        raise UserError("--max-cost needs --prompt-price or --completion-price")


def key(variable: str | None) -> str:
    """Returns the key in an environment variable; without one, requests carry no key."""
    if variable is None:
        return ""
    value = os.environ.get(variable, "").strip()
    if not value:
        raise UserError(f"--key-env: the environment variable {quoted(variable)} is not set")
    return value


def number(minimum: float) -> Callable[[str], float]:
    """Returns the type of a flag that takes a finite number from `minimum`."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not minimum <= value < math.inf:
            raise argparse.ArgumentTypeError(
                f"expected a number, at least {minimum:g}, got {quoted(text)}"
            )
        return value

    return convert
