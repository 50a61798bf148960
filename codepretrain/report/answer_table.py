"""What each variant gains and what it costs, of registered contrasts with one reference."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from codepretrain.report.content import Content
from codepretrain.report.contrast_answers import answer_of, answer_outcome
from codepretrain.report.contrast_result import ContrastResult
from codepretrain.report.contrast_rows import ends, points, unit_text, unsigned
from codepretrain.report.wording import label

Key = tuple[str, str | None, float | None]  # a metric, and side and tolerance of a guard
_COSTS = {
    "confirmed": "cost within tolerance",
    "opposite": "cost above tolerance",
}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A metric as a gain or a cost. note: its unit, and what is better, or the tolerance."""

    key: Key
    label: str
    note: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A difference from the reference. name: its contrast's. outcome: its class on the page."""

    name: str
    value: str
    interval: str
    answer: str
    outcome: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """A variant. entries: by column, where several contrasts may ask about one metric.
    conclusion: what all of them decide.
    """

    variant: str
    entries: Mapping[Key, tuple[Entry, ...]]
    conclusion: str


@dataclass(frozen=True, kw_only=True)
class AnswerTable:
    """Variants against `reference`, in the study's order; gains are columns before costs."""

    reference: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]


def table_of(content: Content) -> AnswerTable | None:
    """Returns the table of a study's contrasts with its baseline."""
    spec = content.results.spec
    return answer_table(
        content.contrasts, variants=list(spec.variants), reference=content.comparison.baseline
    )


def answer_table(
    results: Sequence[ContrastResult], *, variants: Sequence[str], reference: str | None
) -> AnswerTable | None:
    """Returns the table of the contrasts that ask about a variant against the reference.

    Returns None unless there are a gain, a cost and two variants.
    """
    asked = [
        one
        for one in results
        if one.config.question and one.config.variants[1:] == (reference,) and one.row is not None
    ]
    asked.sort(key=lambda one: one.config.guarded is not None)
    lines = [
        _line(variant, of)
        for variant in variants
        if (of := [one for one in asked if one.config.variants[0] == variant])
    ]
    kinds = {one.config.guarded is None for one in asked}
    if reference is None or len(lines) < 2 or len(kinds) < 2:
        return None
    columns: dict[Key, ContrastResult] = {}
    for one in asked:
        columns.setdefault(_key(one), one)
    rows = [one.row for one in asked if one.row]
    return AnswerTable(
        reference=reference,
        columns=tuple(
            Column(key=key, label=label(one.row, rows), note=_note(one))
            for key, one in columns.items()
            if one.row
        ),
        lines=tuple(lines),
    )


def print_answer_table(console: Console, table: AnswerTable | None, *, width: int) -> None:
    """Prints a line of what is decided of each variant; nothing without a table."""
    if table is None:
        return
    for line in table.lines:
        text = f"{line.variant} against {table.reference}: {line.conclusion}."
        console.print(Text(text), width=width)


def _key(one: ContrastResult) -> Key:
    guarded = one.config.guarded
    return one.config.metric, guarded, one.config.margin if guarded else None


def _line(variant: str, results: Sequence[ContrastResult]) -> Line:
    entries: dict[Key, tuple[Entry, ...]] = {}
    for one in results:
        entries[_key(one)] = (*entries.get(_key(one), ()), _entry(one))
    return Line(
        variant=variant,
        entries=entries,
        conclusion="; ".join(
            [
                *_concluded([one for one in results if not one.config.guarded], _gain),
                *_concluded([one for one in results if one.config.guarded], _cost),
            ]
        ),
    )


def _entry(one: ContrastResult) -> Entry:
    return Entry(
        name=_name(one),
        value=points(one.row, one.value) if not one.missing else one.missing,
        interval=ends(one.row, one.interval) if not one.missing else "",
        answer=answer_of(one),
        outcome=answer_outcome(one),
    )


def _name(one: ContrastResult) -> str:
    return one.name.replace("_", " ")


def _gain(one: ContrastResult) -> str:
    """Returns what is decided of a metric whose own direction is what is better.

    The registered direction is what was expected, which may be harm, or "different".
    """
    if one.decision == "equivalent":
        return "no gain that matters"
    if one.decision not in ("confirmed", "opposite"):
        return "gain not decided"
    better = one.row.direction if one.row else None
    if better is None:
        return "difference shown"
    return "gain shown" if (one.value > 0) == (better == "higher") else "loss shown"


def _cost(one: ContrastResult) -> str:
    return _COSTS.get(one.decision, "cost not decided")


def _concluded(
    results: Sequence[ContrastResult], words: Callable[[ContrastResult], str]
) -> list[str]:
    """Returns what is decided; where that differs, with the metrics that it is decided of.

    Contrasts about one metric are told apart by their names.
    """
    rows = [one.row for one in results if one.row]
    assert len(rows) == len(results), "answer_table leaves out what nothing measured"
    labels = [label(row, rows) for row in rows]
    found: dict[str, list[str]] = {}
    for one, metric in zip(results, labels, strict=True):
        name = f": {_name(one)}" if labels.count(metric) > 1 else ""
        found.setdefault(words(one), []).append(metric + name)
    if len(found) == 1:
        return list(found)
    return [f"{text} ({', '.join(metrics)})" for text, metrics in found.items()]


def _note(one: ContrastResult) -> str:
    unit = unit_text(one.row)
    margin = one.config.margin
    if one.config.guarded and margin is not None:
        sign = "+" if one.config.guarded == "higher" else "−"
        return f"{unit}; tolerance {sign}{unsigned(one.row, margin)}"
    better = one.row.direction if one.row else None
    return f"{unit}; {better} is better" if better is not None else unit
