"""Intervals of metrics: over clusters where items come from one document."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from codepretrain.evals.estimate import Estimate, clustered_mean
from codepretrain.evals.multiple_choice import ACCURACY
from codepretrain.evals.validation_loss import NATS_PER_TOKEN
from codepretrain.report.cells import MetricRow, metric_interval
from codepretrain.report.statistics import wilson_interval

SHARE = MetricRow.of("prose", "accuracy", ACCURACY.metric(Estimate(0.5, 0.1, 9)))


def approx(interval):
    return replace(interval, low=pytest.approx(interval.low), high=pytest.approx(interval.high))


def interval_of(values, clusters):
    return metric_interval(SHARE, ACCURACY.metric(clustered_mean(values, clusters)))


def test_a_share_of_single_items_has_wilsons_interval():
    right = np.array([1.0, 0, 1, 1, 0, 1, 1, 1])
    assert interval_of(right, list("abcdefgh")) == wilson_interval(6 / 8, 8)
    assert interval_of(np.ones(1), ["a"]) == wilson_interval(1.0, 1)


def effective(share: float, error: float, freedom: int) -> float:
    """The number of single items that have this error, fewer for few degrees of freedom."""
    return share * (1 - share) / error**2 * (1.959964 / stats.t.ppf(0.975, freedom)) ** 2


def test_a_share_of_items_of_documents_counts_an_effective_number_of_items():
    estimate = Estimate(0.5, 0.2, 9, num_items=12)
    interval = metric_interval(SHARE, ACCURACY.metric(estimate))
    assert effective(0.5, 0.2, 8) == pytest.approx(6.25 * 0.7224, rel=1e-3)
    assert interval == approx(wilson_interval(0.5, effective(0.5, 0.2, 8)))


def test_a_mean_of_other_fractions_counts_by_its_own_error():
    """Such as F1: p(1 - p) / n would be far too wide."""
    values = np.array([0.4, 0.5, 0.6, 0.5])
    interval = interval_of(values, list("abcd"))
    error = values.std(ddof=1) / math.sqrt(4)
    assert interval == approx(wilson_interval(0.5, effective(0.5, error, 3)))
    assert interval.high == pytest.approx(0.5 + stats.t.ppf(0.975, 3) * error, abs=0.005)


def test_where_all_are_right_the_interval_counts_the_documents():
    assert interval_of(np.ones(6), list("aabbcc")) == wilson_interval(1.0, 3)


def test_where_all_documents_have_the_same_share_the_interval_counts_the_documents():
    """One of two items is right in each of three documents: an error of 0, and no certainty."""
    assert interval_of(np.array([1.0, 0] * 3), list("aabbcc")) == wilson_interval(0.5, 3)


def test_a_loss_has_students_interval():
    row = replace(SHARE, unit="nats/token")
    metric = NATS_PER_TOKEN.metric(Estimate(2.0, 0.1, 5))
    assert metric_interval(row, metric).high == pytest.approx(2 + stats.t.ppf(0.975, 4) * 0.1)


def test_one_document_gives_no_interval():
    assert interval_of(np.array([1.0, 0.0]), ["a", "a"]).high == np.inf


@pytest.mark.parametrize(("num_documents", "most_items"), [(40, 1), (40, 8), (12, 16)])
def test_intervals_cover_the_truth_in_about_95_of_100_draws(num_documents, most_items):
    """Documents of 1 to `most_items` items; long ones are easier; 2,000 draws.

    Intervals over items alone would cover it in as few as 60%.
    """
    rng = np.random.default_rng(most_items)
    sizes = np.arange(1, most_items + 1)
    ease = 0.35 + 0.3 * sizes / most_items  # the mean share that is right, by size
    truth = (sizes * ease).sum() / sizes.sum()
    covered, naive = 0, 0
    for _ in range(2000):
        size = rng.integers(1, most_items + 1, num_documents)
        share = rng.beta(2 * ease[size - 1], 2 * (1 - ease[size - 1]))
        document = np.repeat(np.arange(num_documents), size)
        right = rng.random(len(document)) < share[document]
        interval = interval_of(right.astype(float), [f"{d}" for d in document])
        covered += interval.low <= truth <= interval.high
        interval = wilson_interval(float(right.mean()), len(right))
        naive += interval.low <= truth <= interval.high
    assert 0.93 <= covered / 2000 <= 0.97
    assert most_items == 1 or naive / 2000 < 0.85


@pytest.mark.parametrize("truth", [0.02, 0.05, 0.1])
def test_intervals_of_few_right_answers_cover_the_truth(truth: float) -> None:
    """148 items of 22 documents, 1,500 draws; Student's interval covers 5% in 90% of them."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(1500):
        sizes = rng.multinomial(148 - 22, np.full(22, 1 / 22)) + 1
        share = np.repeat(rng.beta(4 * truth, 4 * (1 - truth), 22), sizes)
        document = np.repeat(np.arange(22), sizes).astype(str)
        interval = interval_of((rng.random(148) < share).astype(float), list(document))
        covered += interval.low <= truth <= interval.high
    assert covered / 1500 >= 0.93


def test_the_interval_of_a_fraction_is_within_0_and_1() -> None:
    values, clusters = np.array([1.0, *[0.0] * 7]), list("aabbccdd")
    interval = metric_interval(SHARE, ACCURACY.metric(clustered_mean(values, clusters)))
    assert interval == approx(wilson_interval(0.125, effective(0.125, 0.125, 3)))
    assert 0 < interval.low < 0.125 < interval.high < 1
