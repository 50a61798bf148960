"""Numbers and verdicts as text, shared by the page, the terminal and the exports."""

import math
from collections.abc import Sequence

from codepretrain.inference.interval import Interval
from codepretrain.report.cells import MetricRow
from codepretrain.report.statistics import Difference

NOT_THERE = "–"
UNKNOWN = "unknown"
AVERAGE = "average"  # the metric of an evaluation of several tasks
_AVERAGES = (AVERAGE, f"unfiltered_{AVERAGE}")


def label(row: MetricRow, rows: Sequence[MetricRow]) -> str:
    """Returns the metric's name for a reader, unambiguous among `rows`.

    A metric over a source (source/code/nats_per_token) is named by the source, an evaluator's only
    primary metric by the evaluator, unless it is an average over tasks. Metrics that two evaluators
    share are prefixed by theirs: "code: accuracy" where another one has a source called code. Among
    averages alone, each is named by what it is the average of.
    """
    if row.name == AVERAGE and all(other.name in _AVERAGES for other in rows):
        return _spaced(row.evaluator)
    name = _label(row)
    of_others = {other.evaluator for other in rows if _label(other) == name} - {row.evaluator}
    if not of_others:
        return name
    evaluator = _spaced(row.evaluator)
    return f"{evaluator}: {_spaced(row.name) if name == evaluator else name}"


def short_label(row: MetricRow, rows: Sequence[MetricRow]) -> str:
    """Returns `label`; that of an average over tasks is its evaluator alone."""
    return label(row, rows).removesuffix(": average")


def _label(row: MetricRow) -> str:
    scope, *rest = row.name.split("/")
    if row.is_score and scope in ("source", "kind", "all") and rest:
        return rest[0] if scope == "source" else f"all {rest[0] if scope == 'kind' else 'sources'}"
    if row.is_primary and not rest and scope != AVERAGE:
        return _spaced(row.evaluator)
    if not row.is_score:
        return _spaced(row.name)
    return _spaced(f"{row.evaluator}: {row.name}")


def _spaced(name: str) -> str:
    return name.replace("/", " ").replace("_", " ")


def verdict_text(row: MetricRow, difference: Difference) -> str:
    """Returns the finding and what it is about: "better (recipes, 3 replicates)"."""
    return f"{sign_text(row, difference)} ({difference.between.text})"


def sign_text(row: MetricRow, difference: Difference) -> str:
    """Returns "better" or "worse" for recipes; "higher" or "lower" for checkpoints.

    A metric that only describes is higher or lower in any case.
    """
    verdict = difference.verdict
    if verdict == "not distinguishable" or not row.direction or not difference.between.are_recipes:
        return verdict
    return "better" if verdict == row.direction else "worse"


def direction_text(row: MetricRow) -> str:
    """Returns "lower is better" or "higher is better", "" for a metric that only describes."""
    return f"{row.direction} is better" if row.direction else ""


def number(value: float, *, digits: int = 3) -> str:
    """Returns a fixed-point number with a real minus sign."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def signed(value: float, *, digits: int = 3) -> str:
    """Returns `number` with its sign; zero has none."""
    text = number(value, digits=digits)
    return text if text.startswith("−") or not _nonzero(text) else f"+{text}"


def value_text(row: MetricRow, value: float) -> str:
    """Returns a metric's value; proportions in percent."""
    return f"{number(100 * value, digits=1)}%" if row.is_percentage else number(value)


def interval_text(row: MetricRow, interval: Interval) -> str:
    if not is_known(interval):
        return UNKNOWN
    scale, digits = scale_of(row)
    low, high = (number(scale * end, digits=digits) for end in (interval.low, interval.high))
    return f"{low} – {high}"


def half_text(row: MetricRow, interval: Interval) -> str:
    """Returns "±" and half the interval's width, for places without room for both ends."""
    if not is_known(interval):
        return UNKNOWN
    scale, digits = scale_of(row)
    return f"±{number(scale * (interval.high - interval.low) / 2, digits=digits)}"


def difference_text(row: MetricRow, difference: Difference) -> str:
    """Returns the difference with its sign, proportions in percentage points."""
    scale, digits = scale_of(row)
    return signed(scale * difference.value, digits=digits)


def difference_interval_text(row: MetricRow, difference: Difference) -> str:
    if not is_known(difference.interval):
        return UNKNOWN
    scale, digits = scale_of(row)
    ends = difference.interval.low, difference.interval.high
    low, high = (signed(scale * end, digits=digits) for end in ends)
    return f"{low} to {high}"


def is_known(interval: Interval) -> bool:
    """Returns whether the interval is bounded; a single item has no standard error."""
    return math.isfinite(interval.low) and math.isfinite(interval.high)


def difference_unit(row: MetricRow) -> str:
    return "points" if row.is_percentage else row.unit


def listed(names: Sequence[str]) -> str:
    """Returns "one, two and three"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def tokens_text(tokens: float) -> str:
    """Returns 3_276_800 as "3.28M": three significant digits."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(tokens) >= 0.9995 * size:  # rounds to 1 of this unit, not to 1000 of the next
            digits = max(0, 2 - int(math.log10(max(abs(tokens) / size, 1))))
            text = f"{tokens / size:.{digits}f}"
            return (text.rstrip("0").rstrip(".") if "." in text else text) + unit
    return f"{tokens:.0f}"


def tick_text(tokens: float) -> str:
    """Returns 10_250 as "10.25k": unlike `tokens_text`, not rounded to three digits."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(tokens) >= size:
            return f"{tokens / size:.9g}{unit}"
    return f"{tokens:.9g}"


def bytes_text(num_bytes: float) -> str:
    """Returns 1_790_000 as "1.79 MB"."""
    text = tokens_text(num_bytes).replace("B", "G")
    return f"{text[:-1]} {text[-1]}B" if text[-1].isalpha() else f"{text} B"


def rate_text(rate: float) -> str:
    """Returns 0.0003 as "3e-4": learning rates differ mostly in their exponents."""
    if rate == 0 or rate >= 0.1:
        return f"{rate:.3g}"
    mantissa, exponent = f"{rate:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def duration_text(seconds: float) -> str:
    """Returns 3_725 as "1 h 02 min": the two largest units."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02d} min"


def scale_of(row: MetricRow) -> tuple[float, int]:
    """Returns the display factor of a value, and the number of decimals."""
    return (100.0, 1) if row.is_percentage else (1.0, 3)


def _nonzero(text: str) -> bool:
    return any(character in "123456789∞" for character in text)
