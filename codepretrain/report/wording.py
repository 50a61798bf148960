"""Numbers and findings in words, the same in the page and in the terminal."""

import math
from dataclasses import dataclass

from codepretrain.report.compare import Cell, Comparison, MetricRow
from codepretrain.report.statistics import Difference, Interval

NOT_THERE = "–"
_MEASURES = ("nats_per_token", "bits_per_byte")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One metric's difference to the baseline. is_tentative: it does not survive Holm."""

    label: str
    difference: str
    interval: str
    is_tentative: bool

    @property
    def text(self) -> str:
        dagger = "†" if self.is_tentative else ""
        return f"{self.label} {self.difference}{dagger} ({self.interval})"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one variant does against the baseline."""

    variant: str
    better: tuple[Entry, ...]
    worse: tuple[Entry, ...]
    not_distinguishable: tuple[Entry, ...]


def label(row: MetricRow) -> str:
    """Returns the metric's name for a reader.

    A loss is named by what it is over (source/code/nats_per_token: code), a task's only metric by
    the task.
    """
    parts = row.name.split("/")
    if parts[-1] in _MEASURES and len(parts) > 1:
        scope, *names = parts[:-1]
        return names[0] if scope == "source" else f"all {names[0] if names else 'sources'}"
    if row.name in ("accuracy", "pass_at_1"):
        return row.evaluator.replace("_", " ")
    if not row.is_score:
        return row.name.replace("/", " ").replace("_", " ")
    return f"{row.evaluator}: {row.name}".replace("_", " ")


def number(value: float, *, digits: int = 3) -> str:
    """Returns a fixed-point number with a real minus sign."""
    if math.isnan(value):
        return NOT_THERE
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def signed(value: float, *, digits: int = 3) -> str:
    """Returns `number` with its sign; zero has none."""
    text = number(value, digits=digits)
    return text if text.startswith("−") or text == NOT_THERE or not _nonzero(text) else f"+{text}"


def value_text(row: MetricRow, value: float) -> str:
    """Returns a metric's value; proportions in percent."""
    return f"{number(100 * value, digits=1)}%" if row.is_percentage else number(value)


def interval_text(row: MetricRow, interval: Interval) -> str:
    scale, digits = _scale(row)
    low, high = (number(scale * end, digits=digits) for end in (interval.low, interval.high))
    return f"{low} – {high}"


def half_text(row: MetricRow, interval: Interval) -> str:
    """Returns half the interval's width, where there is no room for both ends."""
    scale, digits = _scale(row)
    return number(scale * (interval.high - interval.low) / 2, digits=digits)


def difference_text(row: MetricRow, difference: Difference) -> str:
    """Returns the difference with its sign, proportions in percentage points."""
    scale, digits = _scale(row)
    return signed(scale * difference.value, digits=digits)


def difference_interval_text(row: MetricRow, difference: Difference) -> str:
    scale, digits = _scale(row)
    ends = difference.interval.low, difference.interval.high
    low, high = (signed(scale * end, digits=digits) for end in ends)
    return f"{low} to {high}"


def difference_unit(row: MetricRow) -> str:
    return "points" if row.is_percentage else row.unit


def tokens_text(tokens: float) -> str:
    """Returns 3_276_800 as "3.28M": three significant digits."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(tokens) >= size:
            digits = max(0, 2 - int(math.log10(abs(tokens) / size)))
            text = f"{tokens / size:.{digits}f}"
            return (text.rstrip("0").rstrip(".") if "." in text else text) + unit
    return f"{tokens:.0f}"


def bytes_text(num_bytes: float) -> str:
    """Returns 1_790_000 as "1.79 MB"."""
    text = tokens_text(num_bytes).replace("B", "G")
    return f"{text[:-1]} {text[-1]}B" if text[-1].isalpha() else f"{text} B"


def rate_text(rate: float) -> str:
    """Returns 0.0003 as "3e-4": learning rates are told apart by their exponents."""
    if rate == 0 or rate >= 0.1:
        return f"{rate:.3g}"
    mantissa, exponent = f"{rate:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def duration_text(seconds: float) -> str:
    """Returns 3_725 as "1 h 02 min": the two largest units that matter."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02d} min"


def findings(comparison: Comparison) -> tuple[Finding, ...]:
    """Returns one finding per variant that was compared, in the study's order."""
    found = []
    for variant in comparison.variants:
        by_outcome: dict[str, list[Entry]] = {"better": [], "worse": [], "not distinguishable": []}
        for row in comparison.headline_rows:
            cell = comparison.cells.get((row, variant))
            if cell is not None and cell.outcome is not None:
                by_outcome[cell.outcome].append(_entry(row, cell))
        if any(by_outcome.values()):
            better, worse, same = (tuple(entries) for entries in by_outcome.values())
            found.append(
                Finding(variant=variant, better=better, worse=worse, not_distinguishable=same)
            )
    return tuple(found)


def is_tentative(cell: Cell) -> bool:
    """Whether a difference is distinguishable by itself, but not after Holm's correction."""
    return cell.outcome in ("better", "worse") and not cell.survives_holm


def overview(comparison: Comparison) -> str:
    """Returns how many differences there are, and how many stand."""
    if comparison.baseline is None:
        return "The study names no baseline: its variants stand beside each other."
    cells = comparison.headline_differences
    if not cells:
        return f"Nothing can be compared with {comparison.baseline} yet."
    found = sum(cell.outcome != "not distinguishable" for cell in cells)
    tentative = sum(is_tentative(cell) for cell in cells)
    text = (
        f"{found} of {len(cells)} differences to {comparison.baseline} are distinguishable from "
        "zero at 95%"
    )
    if tentative:
        return f"{text}, {found - tentative} of them also after Holm’s correction for {len(cells)}."
    return f"{text}, and remain so after Holm’s correction." if found else f"{text}."


def _entry(row: MetricRow, cell: Cell) -> Entry:
    assert cell.difference is not None
    return Entry(
        label=label(row),
        difference=f"{difference_text(row, cell.difference)} {difference_unit(row)}",
        interval=difference_interval_text(row, cell.difference),
        is_tentative=is_tentative(cell),
    )


def _scale(row: MetricRow) -> tuple[float, int]:
    """What a value is multiplied by to be shown, and its decimals."""
    return (100.0, 1) if row.is_percentage else (1.0, 3)


def _nonzero(text: str) -> bool:
    return any(character in "123456789∞" for character in text)
