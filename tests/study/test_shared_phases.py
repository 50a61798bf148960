import io

import pytest
from rich.console import Console

from codepretrain.study.shared_phases import describe_shared, print_shared


def plan(study: str, **phases: tuple[str, int]) -> dict:
    return {
        "study": study,
        "phases": [
            {"name": name, "fingerprint": print_, "tokens": tokens}
            for name, (print_, tokens) in phases.items()
        ],
    }


PLANS = [
    plan("first", trunk=("a", 100), branch=("b", 10)),
    plan("second", base=("a", 100), other=("c", 20)),
    plan("third", base=("a", 100), branch=("b", 10)),
]


def test_a_phase_is_paid_once_by_the_study_that_comes_first() -> None:
    shared = describe_shared(PLANS, [0.5, 0.5, 0.5])
    assert shared["studies"]["first"] == {
        "tokens": 110,
        "chip_hours": 55.0,
        "new_tokens": 110,
        "new_chip_hours": 55.0,
    }
    assert shared["studies"]["second"]["new_tokens"] == 20
    assert shared["studies"]["third"]["new_chip_hours"] == 0
    assert shared["total"] == {"tokens": 130, "chip_hours": 65.0}
    assert [phase["names"] for phase in shared["shared"]] == [
        {"first": "trunk", "second": "base", "third": "base"},
        {"first": "branch", "third": "branch"},
    ]


def test_what_is_printed() -> None:
    console = io.StringIO()
    print_shared(Console(file=console, width=200), describe_shared(PLANS, [1, 1, 1]), chip="v5e")
    assert console.getvalue().splitlines()[1:] == [
        "3 studies; chip-hours on v5e at each study's config.cost.mfu",
        "  shared 100 tokens: first/trunk, second/base, third/base",
        "  shared 10 tokens: first/branch, third/branch",
        "  first: 110 tokens, 110 chip-hours",
        "  second: 120 tokens, 120 chip-hours, of which 100 are shared with studies above",
        "  third: 110 tokens, 110 chip-hours, of which 110 are shared with studies above",
        "  together: 130 tokens, 130 chip-hours (340 apart)",
    ]


@pytest.mark.parametrize("plans", [PLANS[:1], [PLANS[0], plan("other", x=("z", 5))]])
def test_nothing_is_shared(plans: list[dict]) -> None:
    console = io.StringIO()
    shared = describe_shared(plans, [1.0] * len(plans))
    print_shared(Console(file=console, width=200), shared, chip="v5e")
    assert "no phase is shared" in console.getvalue()
