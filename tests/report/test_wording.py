import math

import pytest

from codepretrain.report.compare import MetricRow
from codepretrain.report.statistics import Difference, Interval
from codepretrain.report.wording import (
    bytes_text,
    difference_interval_text,
    difference_text,
    duration_text,
    findings,
    interval_text,
    label,
    number,
    overview,
    rate_text,
    signed,
    tokens_text,
    value_text,
)

LOSS = MetricRow("validation", "source/code/nats_per_token", "nats/token")
TASK = MetricRow("prose_continuation", "accuracy", "fraction")


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (number, -0.0004, "0.000"),
        (number, -1.5, "−1.500"),
        (number, math.nan, "–"),
        (number, -math.inf, "−∞"),
        (signed, 0.25, "+0.250"),
        (signed, 0.0001, "0.000"),
        (signed, math.inf, "+∞"),
        (tokens_text, 999, "999"),
        (tokens_text, 3_276_800, "3.28M"),
        (tokens_text, 400_000_000_000, "400B"),
        (tokens_text, 40_000, "40k"),
        (bytes_text, 2_500_000_000, "2.5 GB"),
        (bytes_text, 12, "12 B"),
        (rate_text, 0.0003, "3e-4"),
        (rate_text, 0.00125, "1.25e-3"),
        (rate_text, 0.0, "0"),
        (duration_text, 4.25, "4.2 s"),
        (duration_text, 61.2, "1 min 01 s"),
        (duration_text, 3725, "1 h 02 min"),
    ],
)
def test_numbers(function, value, text):
    assert function(value) == text


def test_metrics_in_their_units():
    difference = Difference(-0.0105, Interval(-0.02, 0.001), 0.1, 9, True, "")
    assert value_text(TASK, 0.615) == "61.5%"
    assert interval_text(TASK, Interval(0.5, 0.75)) == "50.0 – 75.0"
    assert difference_text(TASK, difference) == "−1.1"
    assert difference_interval_text(LOSS, difference) == "−0.020 to +0.001"


@pytest.mark.parametrize(
    ("evaluator", "name", "unit", "text"),
    [
        ("validation", "source/web_code/nats_per_token", "nats/token", "web_code"),
        ("validation", "kind/code/bits_per_byte", "bits/byte", "all code"),
        ("validation", "all/nats_per_token", "nats/token", "all sources"),
        ("python_expression", "pass_at_1", "fraction", "python expression"),
        ("prose", "accuracy_per_byte", "fraction", "prose: accuracy per byte"),
        ("prose", "baseline/chance", "share", "baseline chance"),
    ],
)
def test_labels(evaluator, name, unit, text):
    assert label(MetricRow(evaluator, name, unit)) == text


def test_findings_say_better_worse_and_not_distinguishable(study, comparison):
    found = {finding.variant: finding for finding in findings(comparison)}
    assert list(found) == [v for v in study.variants if v != "text_only"]
    code_first = found["code_to_text"]
    assert "code" in [entry.label for entry in code_first.better]
    assert "text_reference" in [entry.label for entry in code_first.worse]
    (entry,) = found["cooldown_text"].not_distinguishable
    assert entry.text == f"prose continuation {entry.difference} ({entry.interval})"
    assert "differences to text_only are distinguishable from zero at 95%" in overview(comparison)
