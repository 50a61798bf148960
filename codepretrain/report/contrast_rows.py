"""Registered contrasts as text: a row each, and a sentence each for the answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from codepretrain.inference.effects import Effect
from codepretrain.inference.interval import Interval
from codepretrain.report.cells import MetricRow
from codepretrain.report.contrast_result import ContrastResult
from codepretrain.report.registered import counted, suffix
from codepretrain.report.wording import (
    NOT_THERE,
    UNKNOWN,
    is_known,
    number,
    scale_of,
    signed,
    value_text,
)

_DIRECTIONS = {
    "higher": "is higher",
    "lower": "is lower",
    "different": "differs",
    "equivalent": "is equivalent",
    "not_higher": "is not higher",
    "not_lower": "is not lower",
}


@dataclass(frozen=True, kw_only=True)
class ContrastRow:
    """A contrast as text; `NOT_THERE` where a number does not apply.

    Attributes:
      relative: the value and its interval, as `chance_centered`.
      detectable: with these replicates, at a power of 80%.
      floor: with infinitely many replicates.
    """

    name: str
    question: str
    arms: str
    metric: str
    unit: str
    hypothesis: str
    between: str
    value: str
    interval: str
    relative: tuple[str, str]
    chance_centered: tuple[str, str]
    in_run_sds: str
    p: str
    decision: str
    outcome: str
    sentence: str
    run_sd: str
    item_error: str
    detectable: str
    floor: str
    published: str
    reach: str
    method: str
    missing: str
    is_control: bool = False


def contrast_rows(results: Sequence[ContrastResult]) -> list[ContrastRow]:
    """Returns the rows of contrasts, in their order."""
    sizes: dict[str, int] = {}
    for one in results:
        sizes[one.config.family] = sizes.get(one.config.family, 0) + 1
    return [_row(one, sizes[one.config.family]) for one in results]


def origin_rows(results: Sequence[ContrastResult]) -> list[dict[str, str]]:
    """Returns the origin of each contrast, arm by arm: runs, step, evaluation and values."""
    return [
        {
            "name": one.name.replace("_", " "),
            "metric": one.config.metric,
            "variant": arm.variant,
            "runs": ", ".join(run.name for run in arm.runs),
            "step": f"{arm.evaluations[0].step:,}",
            "digest": arm.evaluations[0].digest[:12],
            "scores": ", ".join(value_text(arm.row, value) for value in arm.values),
            "method": one.method,
        }
        for one in results
        for arm in one.arms
    ]


def contrast_overview(results: Sequence[ContrastResult]) -> str:
    """Returns how many registered contrasts are decided, and how."""
    counts: dict[str, int] = {}
    for one in results:
        counts[one.decision] = counts.get(one.decision, 0) + 1
    spelled = ", ".join(f"{count} {decision}" for decision, count in counts.items())
    return f"Of {counted(results, 'contrasts')}: {spelled}."


def print_contrasts(console: Console, results: Sequence[ContrastResult], *, width: int) -> None:
    """Prints a sentence for every registered contrast, the controls last."""
    rows = contrast_rows(results)
    for title, is_control in (("registered contrasts", False), ("controls", True)):
        of_kind = [row for row in rows if row.is_control == is_control]
        if of_kind:
            console.print(Text(f"\n{title}", style="bold"))
        for row in of_kind:
            console.print(Text(f"{row.name}: {row.sentence}"), width=width)


def _row(one: ContrastResult, family: int) -> ContrastRow:
    row, effects = one.row, one.effects
    published = one.config.published_effect
    return ContrastRow(
        name=one.name.replace("_", " "),
        question=one.config.question or "",
        arms=arms_text(one),
        metric=one.config.metric,
        unit=unit_text(row),
        hypothesis=_hypothesis(one) + suffix(one),
        between=one.between_text if one.arms else NOT_THERE,
        value=NOT_THERE if one.missing else points(row, one.value),
        interval=NOT_THERE if one.missing else ends(row, one.interval),
        relative=percent(effects.relative),
        chance_centered=_effect(row, effects.chance_centered),
        in_run_sds=_optional(effects.in_run_sds, digits=1),
        p=_p_text(one.adjusted_p),
        decision=_decision(one),
        outcome=outcome(one),
        sentence=_sentence(one, family),
        run_sd=_spread(row, effects.run_sd),
        item_error=_of_items(row, effects.item_error),
        detectable=unsigned(row, effects.detectable),
        floor=_of_items(row, effects.floor),
        published=NOT_THERE if published is None else points(row, published),
        reach=_reach(one),
        method=one.method,
        missing=one.missing,
        is_control=one.config.is_control,
    )


def arms_text(one: ContrastResult) -> str:
    """Returns "with_code − text_only", or the weights of several variants."""
    if one.config.variants:
        return " − ".join(one.config.variants)
    terms = [f"{signed(w, digits=3)}·{variant}" for variant, w in one.config.weights.items()]
    return " ".join(terms)


def unit_text(row: MetricRow | None) -> str:
    """Returns "points" for a fraction, else the metric's unit."""
    if row is None:
        return ""
    return "points" if row.is_percentage else row.unit


def points(row: MetricRow | None, value: float) -> str:
    """Returns a difference with its sign, a fraction in points."""
    scale, digits = scale_of(row) if row else (1.0, 3)
    return signed(scale * value, digits=digits)


def ends(row: MetricRow | None, interval: Interval) -> str:
    """Returns "−0.60 to −0.36"."""
    if not is_known(interval):
        return UNKNOWN
    return f"{points(row, interval.low)} to {points(row, interval.high)}"


def _hypothesis(one: ContrastResult) -> str:
    text = _DIRECTIONS[one.config.direction]
    if one.config.margin is None:
        return text
    margin = f"{unsigned(one.row, one.config.margin)} {unit_text(one.row)}".strip()
    if one.config.guarded:
        return f"{text} by {margin} or more"
    if one.config.direction == "equivalent":
        return f"{text} within ±{margin}"
    return f"{text}; smallest effect of interest {margin}"


def _decision(one: ContrastResult) -> str:
    if one.missing:
        return one.missing
    if one.decision == "not decided":
        return "not decided"
    if one.decision == "opposite":
        return "the margin is exceeded" if one.config.guarded else "the opposite"
    if one.decision == "equivalent" and one.config.direction != "equivalent":
        return "equivalent within the margin"
    return one.decision


def outcome(one: ContrastResult) -> str:
    """Returns the class of a contrast's decision on the page."""
    return {"confirmed": "favorable", "opposite": "unfavorable", "equivalent": "favorable"}.get(
        one.decision, "not-distinguishable"
    )


def _sentence(one: ContrastResult, family: int) -> str:
    what = f"{arms_text(one)} on {one.config.metric}"
    if one.missing:
        return f"{what}: {one.missing}."
    size = f"{points(one.row, one.value)} {unit_text(one.row)} ({ends(one.row, one.interval)})"
    if one.decision == "not decided":
        return (
            f"{what}: not decided, because a variant has no replicates. The checkpoints differ by "
            f"{size} ({one.between_text})."
        )
    p = _p_text(one.decided_p)
    p = f"p {p}" if p.startswith("<") else f"p = {p}"
    if one.config.direction == "equivalent":
        p = f"{p} of equivalence"
    after = f"{p} corrected for {family}" if family > 1 else p
    return f"{what}: {_decision(one)}, {size}, {after} ({one.between_text})."


def _p_text(p_value: float | None) -> str:
    if p_value is None:
        return NOT_THERE
    return f"{p_value:.2g}" if p_value >= 1e-4 else "< 0.0001"


def _reach(one: ContrastResult) -> str:
    """Returns whether the published effect could have been found with these replicates."""
    published, found = one.config.published_effect, one.effects
    if published is None or found.detectable is None or found.floor is None:
        return NOT_THERE
    if abs(published) >= found.detectable:
        return "in reach"
    if abs(published) >= found.floor:
        return "needs more replicates"
    return "needs more items"


def percent(effect: Effect | None) -> tuple[str, str]:
    """Returns a relative effect and its interval, in percent."""
    if effect is None or not is_known(effect.interval):
        return NOT_THERE, ""
    low, high = (signed(100 * end, digits=1) for end in (effect.interval.low, effect.interval.high))
    return f"{signed(100 * effect.value, digits=1)}%", f"{low} to {high}"


def _effect(row: MetricRow | None, effect: Effect | None) -> tuple[str, str]:
    if effect is None:
        return NOT_THERE, ""
    return points(row, effect.value), ends(row, effect.interval)


def _of_items(row: MetricRow | None, value: float | None) -> str:
    """Returns a number that is 0 where the noise of single runs hides what items add."""
    return "not seen" if value == 0 else unsigned(row, value)


def _spread(row: MetricRow | None, effect: Effect | None) -> str:
    if effect is None:
        return NOT_THERE
    low, high = (unsigned(row, end) for end in (effect.interval.low, effect.interval.high))
    return f"{unsigned(row, effect.value)} ({low} – {high})"


def unsigned(row: MetricRow | None, value: float | None) -> str:
    """Returns a size in the metric's unit."""
    if value is None:
        return NOT_THERE
    scale, digits = scale_of(row) if row else (1.0, 3)
    return number(scale * value, digits=digits)


def _optional(value: float | None, *, digits: int) -> str:
    return NOT_THERE if value is None else signed(value, digits=digits)
