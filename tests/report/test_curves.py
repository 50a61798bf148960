import pytest

from codepretrain.report.curves import Curve, loss_curves, loss_metrics, spans, training_curve

STEP = 16 * 128


def test_phases_follow_each_other_and_a_branch_cuts_its_parent(results):
    # balanced_init has 240 steps; balanced_continue branches off after 200 of them.
    found = [(s.run.name, s.start, s.end) for s in spans(results, "cooldown_text")]
    assert found == [
        ("balanced_init", 0, 200 * STEP),
        ("balanced_continue", 200 * STEP, 400 * STEP),
        ("cooldown_text", 400 * STEP, 460 * STEP),
    ]


def test_nothing_that_the_parent_did_after_the_branch_is_on_the_path(results):
    curve = training_curve(results, "balanced_to_text", "loss")
    assert len(curve.tokens) == 400
    assert list(curve.tokens) == [step * STEP for step in range(1, 401)]
    losses = loss_curves(results, "balanced_to_text")["code"]
    assert max(losses.tokens) == 400 * STEP
    assert 210 * STEP not in losses.tokens


def test_mixture_changes_within_a_phase(results):
    (_, last) = spans(results, "code_to_text")
    stretches = [(start, stop, shares["code"]) for start, stop, shares in last.mixture()]
    assert stretches == [
        (200 * STEP, 260 * STEP, 0.5),
        (260 * STEP, 400 * STEP, pytest.approx(0.1)),
    ]


def test_a_sources_loss_is_found_by_its_name(results):
    assert loss_metrics(results)["code"] == (
        "validation_loss",
        "source/code/nats_per_token",
        "nats/token",
    )


def test_thinning_keeps_both_ends():
    curve = Curve(tuple(range(101)), tuple(range(101)))
    assert curve.thinned(5).tokens == (0, 25, 50, 75, 100)
    assert curve.thinned(101) is curve
