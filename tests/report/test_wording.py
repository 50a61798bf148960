import math
from dataclasses import replace

import pytest

from codepretrain.inference.interval import Interval
from codepretrain.report.between import TWO_CHECKPOINTS, Between
from codepretrain.report.cells import MetricRow
from codepretrain.report.statistics import Difference
from codepretrain.report.wording import (
    bytes_text,
    difference_interval_text,
    difference_text,
    direction_text,
    duration_text,
    half_text,
    interval_text,
    label,
    number,
    rate_text,
    signed,
    tick_text,
    tokens_text,
    value_text,
    verdict_text,
)


def row(evaluator, name, unit, direction, *, is_primary=False):
    return MetricRow(
        evaluator=evaluator,
        name=name,
        unit=unit,
        direction=direction,
        is_primary=is_primary,
        cluster="item",
    )


LOSS = row("validation", "source/code/nats_per_token", "nats/token", "lower", is_primary=True)
TASK = row("prose_continuation", "accuracy", "fraction", "higher", is_primary=True)


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (number, -0.0004, "0.000"),
        (number, -1.5, "−1.500"),
        (number, math.nan, "NaN"),  # measured and not a number, unlike "–"
        (signed, math.nan, "NaN"),
        (number, -math.inf, "−∞"),
        (signed, 0.25, "+0.250"),
        (signed, 0.0001, "0.000"),
        (signed, math.inf, "+∞"),
        (tokens_text, 999, "999"),
        (tokens_text, 999_499, "999k"),
        (tokens_text, 999_500, "1M"),
        (tokens_text, 999_999_999, "1B"),
        (tokens_text, 3_276_800, "3.28M"),
        (tokens_text, 400_000_000_000, "400B"),
        (tokens_text, 40_000, "40k"),
        (tick_text, 0.0, "0"),
        (tick_text, 9_750.0, "9.75k"),
        (tick_text, 10_250.0, "10.25k"),
        (tick_text, 1_500_000_000.0, "1.5B"),
        (bytes_text, 2_500_000_000, "2.5 GB"),
        (bytes_text, 12, "12 B"),
        (rate_text, 0.0003, "3e-4"),
        (rate_text, 0.00125, "1.25e-3"),
        (rate_text, 0.0, "0"),
        (duration_text, 4.25, "4.2 s"),
        (duration_text, 59.96, "1 min 00 s"),
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
    ("metric", "text"),
    [
        (LOSS, "code"),
        (row("validation", "kind/code/bits_per_byte", "bits/byte", "lower"), "all code"),
        (row("validation", "all/nats_per_token", "nats/token", "lower"), "all sources"),
        (TASK, "prose continuation"),
        (row("prose", "accuracy_per_byte", "fraction", "higher"), "prose: accuracy per byte"),
        (row("prose", "baseline/majority", "fraction", None), "baseline majority"),
    ],
)
def test_labels(metric, text):
    assert label(metric, [metric]) == text


def test_labels_that_two_evaluators_share_tell_the_evaluator():
    other = row("far_validation", LOSS.name, "nats/token", "lower", is_primary=True)
    assert label(LOSS, [LOSS, other]) == "validation: code"
    assert label(other, [LOSS, other]) == "far validation: code"
    task = replace(LOSS, evaluator="code", name="accuracy", unit="fraction", direction="higher")
    assert label(task, [LOSS, task]) == "code: accuracy"
    assert label(LOSS, [LOSS, task]) == "validation: code"
    bits = row("validation", "source/code/bits_per_byte", "bits/byte", "lower")
    assert label(LOSS, [LOSS, bits]) == "code"


def test_only_recipes_are_called_better_or_worse():
    def of(metric, low, high, between=TWO_CHECKPOINTS):
        interval = Interval(low, high)
        difference = Difference((low + high) / 2, interval, 0.0, 9, True, "", between)
        return verdict_text(metric, difference)

    share = row("prose", "predicted/0", "fraction", None)
    assert of(LOSS, 0.1, 0.2) == "higher (two checkpoints)"
    assert of(LOSS, -0.2, -0.1) == "lower (two checkpoints)"
    assert of(LOSS, -0.1, 0.1) == "not distinguishable (two checkpoints)"
    assert of(LOSS, -0.2, -0.1, Between((1, 3))) == "lower (these checkpoints, 1 and 3 runs)"
    recipes = Between((3, 3))
    assert of(LOSS, 0.1, 0.2, recipes) == "worse (recipes, 3 replicates)"
    assert of(TASK, 0.1, 0.2, recipes) == "better (recipes, 3 replicates)"
    assert of(share, 0.1, 0.2, recipes) == "higher (recipes, 3 replicates)"


def test_the_interval_of_a_single_item_is_unknown():
    unbounded = Interval(-math.inf, math.inf)
    difference = Difference(0.1, unbounded, math.nan, 1, True, "")
    assert interval_text(LOSS, unbounded) == half_text(LOSS, unbounded) == "unknown"
    assert difference_interval_text(LOSS, difference) == "unknown"
    assert half_text(LOSS, Interval(1.0, 1.5)) == "±0.250"


def test_directions():
    assert direction_text(LOSS) == "lower is better"
    assert direction_text(row("prose", "predicted/0", "fraction", None)) == ""
