import math

import pytest

from codepretrain.evals.estimate import Estimate
from codepretrain.evals.metric import Metric, MetricSpec

LOSS = MetricSpec(
    name="source/*/nats_per_token",
    unit="nats/token",
    direction="lower",
    cluster="row",
    is_primary=True,
)


def test_a_value_repeats_its_declaration() -> None:
    assert LOSS.metric(Estimate(2.5, 0.1, 40), null_value=8.3) == Metric(
        value=2.5,
        standard_error=0.1,
        count=40,
        num_items=40,
        freedom=39.0,
        unit="nats/token",
        direction="lower",
        is_primary=True,
        null_value=8.3,
        cluster="row",
    )


def test_the_items_of_a_value_may_be_more_than_its_clusters() -> None:
    metric = LOSS.metric(Estimate(2.5, 0.1, 40, num_items=90, freedom=12.5))
    assert (metric.count, metric.num_items, metric.freedom) == (40, 90, 12.5)
    assert LOSS.declares("source/code/nats_per_token", metric)


def test_a_declaration_knows_its_values_by_name_and_fields() -> None:
    metric = LOSS.metric(Estimate(2.5, 0.1, 40))
    assert LOSS.declares("source/code/nats_per_token", metric)
    assert not LOSS.declares("source/code/bits_per_byte", metric)
    other = MetricSpec(name="*", unit="nats/token", direction="higher", cluster="row")
    assert not other.declares("source/code/nats_per_token", metric)


def test_json_gives_the_metric_back() -> None:
    metric = LOSS.metric(Estimate(0.1, 0.2, 3), null_value=0.25)
    assert Metric.from_json(metric.to_json()) == metric


def test_json_that_lacks_a_field_or_has_another_is_refused() -> None:
    value = LOSS.metric(Estimate(0.1, 0.2, 3)).to_json()
    del value["direction"]
    with pytest.raises(ValueError, match=r"\['direction'\] missing and \['colour'\] unknown"):
        Metric.from_json({**value, "colour": "red"})


def test_a_description_cannot_be_primary() -> None:
    with pytest.raises(AssertionError, match="share: primary, no score"):
        MetricSpec(name="share", unit="fraction", direction=None, cluster="item", is_primary=True)


def test_an_unknown_standard_error_stays_nan() -> None:
    assert math.isnan(LOSS.metric(Estimate(1.0, math.nan, 1)).standard_error)
