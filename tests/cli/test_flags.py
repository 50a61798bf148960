"""Flags: bounds of numbers, one value each, overrides, and the processes of a run."""

import argparse

import pytest
from etils import epath

from codepretrain.cli.flags import (
    Parser,
    PathOnce,
    check_machine_flags,
    split_overrides,
    whole_number,
)
from codepretrain.errors import UserError


@pytest.mark.parametrize(("text", "value"), [("3", 3), ("+3", 3), (" 5 ", 5), ("1_000", 1000)])
def test_whole_numbers(text: str, value: int) -> None:
    assert whole_number(0)(text) == value


@pytest.mark.parametrize("text", ["", "-1", "1.0", "1e3", "0x1", "٣", "1_", "9" * 40, "11"])
def test_other_numbers(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="a whole number, at least 0, at most 10,"):
        whole_number(0, 10)(text)


def test_a_flag_has_one_value() -> None:
    parser = Parser()
    parser.add_argument("--step", type=whole_number(0))
    parser.add_argument("--output", action=PathOnce)
    flags = parser.parse_args(["--step", "1", "--step=1", "--output", "/a/../b"])
    assert (flags.step, flags.output) == (1, epath.Path("/b"))
    with pytest.raises(UserError, match="--step is given twice: 1 and 2"):
        parser.parse_args(["--step=1", "--step=2"])
    with pytest.raises(UserError, match="--output is given twice: '/a' and 'b'"):
        parser.parse_args(["--output=/a", "--output=b"])


def test_overrides_are_told_from_mistakes() -> None:
    known = ["--help", "--config", "--workdir", "--json"]
    assert split_overrides(["--config.a=1", "--config.b=2 3"], known) == [
        "--config.a=1",
        "--config.b=2 3",
    ]
    for rest, message in {
        ("--config.a", "4"): "'--config.a' has no value: write --config.a=4",
        ("--config.a", "--config.b=4"): "'--config.a' has no value: write --config.a=VALUE",
        ("--confg.a.b=4",): "unknown argument '--confg.a.b=4'; did you mean --config.a.b?",
        ("--jsonn",): "; did you mean --json?",
        ("--phase",): "; expected one of: --config, --workdir, --json",  # not --help
        ("a.b",): "unknown argument 'a.b'; expected one of: --config, --workdir, --json",
    }.items():
        with pytest.raises(UserError) as error:
            split_overrides(rest, known)
        assert message in str(error.value)


def machine(**values: object) -> argparse.Namespace:
    names = ("coordinator", "num_processes", "process_id")
    return argparse.Namespace(**{**dict.fromkeys(names), "distributed": False, **values})


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"distributed": True},
        {"distributed": True, "num_processes": 2, "process_id": 1},
        {"coordinator": "10.0.0.1:8476", "num_processes": 2, "process_id": 0},
        {"coordinator": "[::1]:8476", "num_processes": 1, "process_id": 0},
        {"coordinator": "host-0.pod.local:1"},
    ],
)
def test_processes_that_agree(values: dict[str, object]) -> None:
    check_machine_flags(machine(**values))
