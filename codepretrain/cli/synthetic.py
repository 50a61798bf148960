"""The commands `ask-teacher` and `synthetic-report`, about sources of synthetic code."""

import argparse
import dataclasses
import sys
from typing import TYPE_CHECKING

from codepretrain.cli.endpoint_flags import (
    add_endpoint_flags,
    check_client,
    check_prices,
    key,
    number,
)
from codepretrain.cli.flags import PathOnce, whole_number
from codepretrain.cli.interop import Add
from codepretrain.cli.output import print_json
from codepretrain.config.parse import suggestion
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError, quoted

if TYPE_CHECKING:
    from codepretrain.data.readers.synthetic_code import SyntheticCode


def add_commands(add: Add) -> None:
    """Adds both commands and their flags to the command line."""
    ask = add("ask-teacher", _ask_teacher, "ask an OpenAI-compatible endpoint for solutions")
    report = add("synthetic-report", _report, "verify a source's solutions and measure variety")
    for command in (ask, report):
        command.add_argument("--source", required=True, help="with reader 'synthetic_code'")
    add_endpoint_flags(ask, required=True)
    ask.add_argument("--output", action=PathOnce, required=True, help="file of answers")
    ask.add_argument("--license", help="of the answers, for the documents")
    ask.add_argument("--samples", type=whole_number(1, 1000), default=1, help="per problem")
    ask.add_argument("--max-tokens", type=whole_number(1, 1 << 20), default=2048)
    ask.add_argument("--temperature", type=number(0.0), default=0.7)
    report.add_argument("--num-candidates", type=whole_number(1), default=1000)


def _ask_teacher(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    check_client()
    from codepretrain.data.synthetic.answers import Terms
    from codepretrain.data.synthetic.generate import generate
    from codepretrain.data.synthetic.teacher import ask_teacher
    from codepretrain.endpoint.chat import Endpoint

    reader = _reader(config, flags.source)
    check_prices(flags)
    terms = Terms(**{f.name: getattr(flags, f.name) for f in dataclasses.fields(Terms)})
    endpoint = Endpoint(
        url=flags.endpoint,
        model=flags.model,
        key=key(flags.key_env),
        temperature=flags.temperature,
        max_tokens=flags.max_tokens,
    )
    account = ask_teacher(
        (generate(reader.seed, index) for index in range(reader.num_problems)),
        endpoint,
        terms,
        journal=flags.output,
        announce=lambda message: print(message, file=sys.stderr),
    )
    print_json(dataclasses.asdict(account))
    if account.num_failed:
        print(
            f"codepretrain: {account.num_failed:,} requests failed; rerun the same command to send "
            "them again",
            file=sys.stderr,
        )
        return 1
    return 0


def _report(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    from codepretrain.data.synthetic.source_report import source_report

    reader = _reader(config, flags.source)
    print_json(source_report(reader, num_candidates=flags.num_candidates))
    return 0


def _reader(config: StudyConfig, source: str) -> "SyntheticCode":
    from codepretrain.data.readers import make_reader
    from codepretrain.data.readers.synthetic_code import SyntheticCode

    sources = config.data.sources
    if source not in sources:
        near = suggestion(source, list(sources))
        raise UserError(f"--source: there is no source {quoted(source)}{near}")
    reader = make_reader(source, sources[source])
    if not isinstance(reader, SyntheticCode):
        raise UserError(
            f"--source: config.data.sources.{source}.reader: expected 'synthetic_code', found "
            f"{sources[source].reader!r}"
        )
    return reader
