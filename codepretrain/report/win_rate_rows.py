"""The win rates of judged comparisons as numbers for JSON, and as rows of a table."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from codepretrain.evals.judge.result import JudgeResult
from codepretrain.inference.families import holm
from codepretrain.inference.interval import CONFIDENCE
from codepretrain.report.win_rate import OUTCOMES, Rate, WinRate, order_effect
from codepretrain.report.win_rate_recipes import JudgedComparison, comparisons

SAME = "not distinguishable"


def summary(compared: JudgedComparison) -> dict[str, Any]:
    """Returns the rates of a comparison, the effect of the order, and the rates per category."""
    return {
        "win_rate": dataclasses.asdict(compared.rate()),
        "order_effect": dataclasses.asdict(order_effect(compared.judgments)),
        "categories": {
            name: dataclasses.asdict(compared.rate(name)) for name in compared.categories
        },
    }


@dataclass(frozen=True, kw_only=True)
class Row:
    """One comparison as text.

    between: what it is between. survives_holm: over all comparisons by the same judge.
    """

    variant: str
    reference: str
    num_prompts: str
    win: str
    tie: str
    loss: str
    unreadable: str
    difference: str
    verdict: str
    between: str
    survives_holm: bool
    agreement: str
    first: str
    notes: tuple[str, ...]

    @property
    def is_tentative(self) -> bool:
        """Whether the difference is distinguishable by itself only."""
        return self.verdict != SAME and not self.survives_holm


def rows(compared: Sequence[JudgedComparison]) -> list[Row]:
    """Returns the rows of comparisons by one judge and one evaluator."""
    rates = [one.rate() for one in compared]
    adjusted = holm([rate.p_value for rate in rates])
    return [
        _row(one, rate, survives_holm=p < 1 - CONFIDENCE)
        for one, rate, p in zip(compared, rates, adjusted, strict=True)
    ]


def print_results(console: Console, results: Sequence[JudgeResult]) -> None:
    """Prints comparisons by one judge and one evaluator."""
    printed = rows(comparisons(results))
    for row in printed:
        dagger = "†" if row.is_tentative else ""
        console.print(Text(f"{row.variant} against {row.reference}", style="bold"), soft_wrap=True)
        for line in (
            f"win {row.win}   tie {row.tie}   loss {row.loss}   no verdict {row.unreadable}",
            f"win − loss {row.difference}: {row.verdict}{dagger} ({row.between}; "
            f"{row.num_prompts} prompts)",
            f"same verdict in both orders {row.agreement}; first − second {row.first}",
            *(f"note: {note}" for note in row.notes),
        ):
            console.print(Text(f"  {line}"), soft_wrap=True)
    if any(row.is_tentative for row in printed):
        console.print(Text("†: not distinguishable after Holm’s correction for these pairs"))


def _row(compared: JudgedComparison, rate: WinRate, *, survives_holm: bool) -> Row:
    order, first = order_effect(compared.judgments), compared.results[0]
    return Row(
        variant=first.variant["variant"],
        reference=first.reference["variant"],
        num_prompts=f"{rate.num_prompts:,}",
        **{name: rate_text(getattr(rate, name)) for name in OUTCOMES},
        difference=difference_text(rate.difference),
        verdict=verdict_text(rate),
        between=compared.between.text,
        survives_holm=survives_holm,
        agreement=rate_text(order.agreement),
        first=difference_text(order.first),
        notes=tuple(_notes(compared, rate)),
    )


def _notes(compared: JudgedComparison, rate: WinRate) -> Iterator[str]:
    several = len(compared.results) > 1
    if rate.num_missing:
        where = " in every pair of runs" if several else ""
        yield f"{rate.num_missing:,} prompts are not judged yet{where} and left out"
    if rate.num_identical:
        times = " in every pair of runs" if several else " twice"
        yield f"{rate.num_identical:,} prompts have the same completion{times}: ties"
    ours, theirs = (sum(one.num_asserting[side] for one in compared.results) for side in (0, 1))
    if ours or theirs:
        yield (
            f"{ours:,} and {theirs:,} completions hold a line in the form of a verdict, which may "
            "sway the judge"
        )
    asked = compared.results[0].judge.get("model")
    answered = dict.fromkeys(name for one in compared.results for name in one.answered_by)
    others = [name for name in answered if name != asked]
    if others:
        yield f"answered by {', '.join(others)}, which is not the name that was asked for"


def rate_text(rate: Rate) -> str:
    """Returns a share in percent with its interval.

    >>> from codepretrain.inference.interval import Interval
    >>> rate_text(Rate(0.523, Interval(0.46, 0.585)))
    '52.3% [46.0, 58.5]'
    """
    if math.isnan(rate.value):
        return "–"
    low, high = (100 * bound for bound in (rate.interval.low, rate.interval.high))
    return f"{100 * rate.value:.1f}% [{low:.1f}, {high:.1f}]"


def difference_text(rate: Rate) -> str:
    """Returns a difference of shares in points with its interval.

    >>> from codepretrain.inference.interval import Interval
    >>> difference_text(Rate(0.066, Interval(-0.0512, 0.1832)))
    '+6.6 points [-5.1, +18.3]'
    """
    if math.isnan(rate.value):
        return "–"
    low, high = (100 * bound for bound in (rate.interval.low, rate.interval.high))
    return f"{100 * rate.value:+.1f} points [{low:+.1f}, {high:+.1f}]"


def verdict_text(rate: WinRate) -> str:
    """Returns whether the interval of win minus loss excludes zero."""
    if rate.difference.interval.low > 0:
        return "wins more"
    return "loses more" if rate.difference.interval.high < 0 else SAME
