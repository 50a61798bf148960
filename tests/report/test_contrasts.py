from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codepretrain.config.schema import AveragesConfig, ContrastConfig
from codepretrain.inference.crossed import difference
from codepretrain.inference.effects import relative_difference
from codepretrain.inference.scores import ArmScores
from codepretrain.report.arms import arm_scores, find_arm
from codepretrain.report.averaged import compare_averages
from codepretrain.report.collect import collect
from codepretrain.report.compare import metric_rows
from codepretrain.report.contrast_answers import answers
from codepretrain.report.contrast_effects import effects_of
from codepretrain.report.contrast_rows import contrast_overview, contrast_rows
from codepretrain.report.contrasts import decide_contrasts
from codepretrain.report.evaluations import read_scores
from codepretrain.report.paired import paired_difference
from tests.report.replicated import LOSS, LOSS_METRIC, QUIZ, phase, replicated_study

LOSS_NAME = f"{LOSS}/{LOSS_METRIC}"
LEVELS = {
    "plain": (3.0, 3.02, 2.97, 3.01),
    "coded": (2.5, 2.55, 2.52, 2.49),
    "scrambled": (3.01, 2.99, 3.0, 2.98),
}
HELPS = ContrastConfig(metric=LOSS_NAME, direction="lower", variants=("coded", "plain"))
SAME = ContrastConfig(
    metric=LOSS_NAME, direction="equivalent", variants=("scrambled", "plain"), margin=0.1
)


def decided(study, **contrasts):
    problems: list[str] = []
    results = collect(replace(study, contrasts=contrasts))
    found = decide_contrasts(results, compare_averages(results), problems)
    assert problems == []
    return {one.name: one for one in found}


def scores_of(study, variant) -> ArmScores:
    results = collect(study)
    (row,) = [row for row in metric_rows(results) if row.evaluator == LOSS]
    arm = find_arm(results, variant, row)
    assert arm is not None
    scores = arm_scores(arm, read_scores)
    assert scores is not None
    return scores


def test_what_is_planted_is_found_and_nothing_else(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    found = decided(
        study,
        helps=HELPS,
        harms=replace(HELPS, direction="higher"),
        same=SAME,
        differs=replace(SAME, direction="different", margin=None),
    )
    assert {name: one.decision for name, one in found.items()} == {
        "helps": "confirmed",
        "harms": "opposite",
        "same": "equivalent",
        "differs": "inconclusive",
    }
    assert contrast_overview(list(found.values())) == (
        "Of 4 registered contrasts: 1 confirmed, 1 opposite, 1 equivalent, 1 inconclusive."
    )


def test_the_numbers_are_those_of_runs_and_items_crossed(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    (one,) = decided(study, helps=HELPS).values()
    coded, plain = scores_of(study, "coded"), scores_of(study, "plain")
    expected = difference(coded, plain)
    assert one.estimate == expected
    assert one.adjusted_p == one.p_value == expected.p_value
    assert one.effects.relative == relative_difference(coded, plain)
    spread = np.sqrt((np.var(coded.metrics, ddof=1) + np.var(plain.metrics, ddof=1)) / 2)
    assert one.effects.run_sd.value == pytest.approx(spread)
    assert one.effects.in_run_sds == pytest.approx(expected.value / spread)
    assert one.effects.floor < one.effects.detectable


def test_a_family_is_corrected_as_registered_whatever_was_measured(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    (alone,) = decided(study, helps=HELPS).values()
    absent = replace(HELPS, metric="exam/accuracy")
    found = decided(
        study, helps=HELPS, absent=absent, apart=replace(HELPS, family="secondary"), same=SAME
    )
    assert found["helps"].adjusted_p == pytest.approx(3 * alone.p_value)
    assert found["apart"].adjusted_p == alone.p_value
    assert (found["absent"].decision, found["absent"].missing) == (
        "not decided",
        "exam/accuracy was not measured",
    )


def test_equivalence_needs_its_margin(tmp_path):
    levels = {"plain": (3.0, 3.2, 2.9), "scrambled": (3.1, 2.9, 3.15)}
    study = replicated_study(tmp_path, levels)
    found = decided(study, same=SAME, wide=replace(SAME, margin=2.0, family="other"))
    assert found["same"].decision == "inconclusive"
    assert found["wide"].decision == "equivalent"
    wide = found["wide"].equivalence
    assert found["wide"].p_value == wide.p_value < 0.05


def test_a_margin_makes_a_difference_that_is_not_found_equivalent_or_inconclusive(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    found = decided(study, differs=replace(SAME, direction="different"))
    assert found["differs"].decision == "equivalent"
    (row,) = contrast_rows(list(found.values()))
    assert row.decision == "equivalent within the margin"
    assert row.hypothesis == "differs; smallest effect of interest 0.100 nats/token"


def test_a_p_value_of_equivalence_may_be_0(tmp_path):
    """A margin far beyond the error, such as one of points for a fraction."""
    study = replicated_study(tmp_path, LEVELS, num_items=20)
    found = decided(study, same=replace(SAME, margin=1e100))
    assert found["same"].p_value == 0.0
    assert found["same"].decision == "equivalent"


def test_variants_that_end_in_the_same_runs_are_not_compared(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    twin = {f"{name}-twin": study.phases[name] for (name,) in study.replicates["coded"]}
    study = replace(
        study,
        phases={**study.phases, **twin},
        variants={**study.variants, "twin": ("coded-twin",)},
        replicates={**study.replicates, "twin": tuple((name,) for name in twin)},
    )
    weights = {"plain": 1.0, "coded": -0.5, "twin": -0.5}
    found = decided(
        study,
        same=replace(SAME, variants=("coded", "twin")),
        trend=replace(HELPS, variants=(), weights=weights),
    )
    for one in found.values():
        assert one.decision == "not decided"
        assert one.missing == "coded and twin end in the same runs"


def test_pairs_are_compared_only_where_registered(tmp_path):
    """Runs of one seed that move together: pairs have no spread, independent arms have."""
    levels = {"plain": (3.0, 3.4, 2.7), "coded": (2.9, 3.31, 2.6)}
    study = replicated_study(tmp_path, levels)
    paired = replace(HELPS, is_paired=True)
    found = decided(study, apart=HELPS, paired=paired)
    assert found["apart"].decision == "inconclusive"
    assert found["paired"].decision == "confirmed"
    assert found["paired"].method.startswith("paired runs")
    rows = {row.name: row for row in contrast_rows(list(found.values()))}
    assert rows["paired"].between == "recipes, 3 replicates, paired"
    assert rows["apart"].between == "recipes, 3 replicates"


def test_pairs_are_of_the_replicates_that_both_have(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    for name in ("plain-r1", "coded-r3"):
        (Path(study.phases[name].run_dir) / "evals.jsonl").unlink()
    (one,) = decided(study, paired=replace(HELPS, is_paired=True)).values()
    assert [arm.places for arm in one.arms] == [(0, 2), (0, 2)]


@pytest.mark.parametrize("counts", [(1, 1), (1, 4), (4, 1)])
def test_without_replicates_nothing_is_decided(tmp_path, counts):
    levels = {
        "plain": LEVELS["plain"][: counts[0]],
        "coded": LEVELS["coded"][: counts[1]],
    }
    study = replicated_study(tmp_path, levels)
    (one,) = decided(study, helps=HELPS).values()
    assert (one.decision, one.p_value, one.adjusted_p) == ("not decided", None, None)
    assert one.value < -0.4
    (row,) = contrast_rows([one])
    assert "not decided" in row.sentence
    assert "because a variant has no replicates. The checkpoints differ by −0." in row.sentence
    for word in ("better", "worse", "confirmed"):
        assert word not in row.sentence


def test_two_checkpoints_have_the_interval_of_the_pair_table(tmp_path):
    study = replicated_study(tmp_path, {name: of[:1] for name, of in LEVELS.items()})
    (one,) = decided(study, helps=HELPS).values()
    results = collect(study)
    found = [results.runs[name].at_end(LOSS) for name in ("coded", "plain")]
    ours, baseline = (read_scores(one)[LOSS_METRIC] for one in found if one is not None)
    expected = paired_difference(ours, baseline)
    assert (one.value, one.interval) == (expected.value, expected.interval)


def test_weights_are_a_contrast_of_all_arms(tmp_path):
    levels = {"d0": (3.0, 3.01), "d25": (2.8, 2.83), "d50": (2.6, 2.57)}
    study = replicated_study(tmp_path, levels)
    trend = ContrastConfig(
        metric=LOSS_NAME,
        direction="lower",
        weights={"d0": -0.02, "d25": 0.0001, "d50": 0.0199},
    )
    (one,) = decided(study, trend=trend).values()
    assert one.decision == "confirmed"
    assert one.value == pytest.approx(-0.4 * 0.02, rel=0.1)
    assert one.effects.relative is None
    assert len(one.arm_intervals) == 3


def test_weighted_variants_of_shared_trunks_are_one_observation_per_trunk(tmp_path):
    """Two cooldowns of each trunk move together: their mean varies as much as each of them."""
    trunk, apart = np.array([3.0, 3.3, 2.8]), np.array([2.9, 3.1, 2.7])
    levels = {"plain": apart, "coded": trunk - 0.01, "mixed": trunk + 0.01}
    study = replicated_study(tmp_path, {name: of.tolist() for name, of in levels.items()})
    trunks = {f"trunk-r{k}": phase(tmp_path, f"trunk-r{k}") for k in range(3)}
    shared = {
        name: tuple((f"trunk-r{k}", *path) for k, path in enumerate(study.replicates[name]))
        for name in ("coded", "mixed")
    }
    study = replace(
        study,
        phases={**study.phases, **trunks},
        variants={**study.variants, **{name: of[0] for name, of in shared.items()}},
        replicates={**study.replicates, **shared},
    )
    of_trunks = replace(HELPS, variants=(), weights={"plain": -1.0, "coded": 0.5, "mixed": 0.5})
    (one,) = decided(study, of_trunks=of_trunks).values()
    of_runs = (np.var(trunk, ddof=1) + np.var(apart, ddof=1)) / 3
    assert one.estimate.components.seed == pytest.approx(of_runs, rel=0.15)
    assert "replicates of shared runs together" in one.method

    (Path(study.phases["mixed-r1"].run_dir) / "evals.jsonl").unlink()
    (one,) = decided(study, of_trunks=of_trunks).values()
    assert [arm.places for arm in one.arms] == [(0, 1, 2), (0, 2), (0, 2)]


def test_contrasts_of_averages_are_of_their_items_and_above_chance_task_by_task(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    averages = AveragesConfig(categories={"answers": ("quiz/accuracy",)})
    of_average = ContrastConfig(
        metric="answers", direction="higher", variants=("coded", "plain"), published_effect=0.02
    )
    found = decided(
        replace(study, averages=averages),
        average=of_average,
        single=replace(of_average, metric="quiz/accuracy", family="other"),
    )
    average, single = found["average"], found["single"]
    assert average.value == pytest.approx(single.value)
    assert average.effects.chance_centered.value == pytest.approx(single.value / 0.75)
    assert single.effects.chance_centered.value == pytest.approx(single.value / 0.75)
    row = contrast_rows([average])[0]
    assert row.unit == "points"
    assert row.published == "+2.0"
    assert row.reach in ("in reach", "needs more replicates", "needs more items")


def test_a_relative_effect_is_told_only_where_both_means_are_surely_positive(tmp_path):
    levels = {"plain": (0.02, 0.6, 0.01), "coded": (2.5, 2.55, 2.52)}
    study = replicated_study(tmp_path, levels)
    (one,) = decided(study, helps=replace(HELPS, direction="higher")).values()
    assert one.effects.relative is None
    (row,) = contrast_rows([one])
    assert row.relative == ("–", "")


def test_an_effect_above_chance_is_left_out_where_its_items_are_missing(tmp_path):
    """An arm without items was once dropped and its weight was not, which ended the report."""
    results = collect(replicated_study(tmp_path, LEVELS))
    (row,) = [row for row in metric_rows(results) if row.evaluator == QUIZ]
    arms = [arm for v in ("coded", "plain") if (arm := find_arm(results, v, row)) is not None]
    scores = [of for arm in arms if (of := arm_scores(arm, read_scores)) is not None]
    estimate = difference(*scores)
    config = replace(HELPS, metric=f"{QUIZ}/accuracy")
    lost = arms[0].evaluations[1]

    def read_most(evaluation):
        return {} if evaluation is lost else read_scores(evaluation)

    found = effects_of(arms, scores, estimate, config, [0, 1], read_scores)
    assert found.chance_centered is not None
    found = effects_of(arms, scores, estimate, config, [0, 1], read_most)
    assert found.chance_centered is None


GUARD = replace(HELPS, variants=("scrambled", "plain"), direction="not_higher", margin=0.1)


def test_a_guard_is_kept_exceeded_or_undecided(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    found = decided(
        study,
        kept=GUARD,
        better=replace(GUARD, variants=("coded", "plain"), family="b"),
        exceeded=replace(GUARD, variants=("plain", "coded"), family="c"),
        narrow=replace(GUARD, margin=1e-6, family="d"),
        other_side=replace(GUARD, variants=("coded", "plain"), direction="not_lower", family="e"),
    )
    assert {name: one.decision for name, one in found.items()} == {
        "kept": "confirmed",
        "better": "confirmed",
        "exceeded": "opposite",
        "narrow": "inconclusive",
        "other_side": "opposite",
    }
    rows = {row.name: row for row in contrast_rows(list(found.values()))}
    assert rows["kept"].hypothesis == "is not higher by 0.100 nats/token or more"
    assert rows["exceeded"].decision == "the margin is exceeded"
    # The p-value beside a decision is of what was decided; in the table, of what was registered.
    assert "the margin is exceeded, +0.488 nats/token" in rows["exceeded"].sentence
    assert "p < 0.0001" in rows["exceeded"].sentence
    assert rows["exceeded"].p == "1"


def test_the_p_value_of_an_equivalence_that_was_not_registered(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    found = decided(study, same=replace(SAME, direction="lower"))
    (row,) = contrast_rows(list(found.values()))
    margin = found["same"].equivalence
    assert margin is not None
    assert f"equivalent within the margin, {row.value} nats/token" in row.sentence
    assert f"p = {margin.p_value:.2g}" in row.sentence
    assert float(row.p) > 0.05


def test_questions_are_answered_guards_last(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    found = decided(
        study,
        cost=replace(GUARD, question="Is the rest as it was?", family="cost"),
        helps=replace(HELPS, question="Does it help?", margin=0.1, family="a"),
        little=replace(HELPS, question="By much?", margin=2.0, family="b"),
        same=replace(SAME, question="Are they the same?", family="c"),
        no_gain=replace(SAME, direction="lower", question="Do words help?", family="d"),
        harms=replace(HELPS, question="Does it harm?", direction="higher", family="e"),
        absent=replace(HELPS, metric="exam/accuracy", question="And exams?", family="f"),
        unasked=replace(HELPS, family="g"),
    )
    given = {one.question: one for one in answers(list(found.values()))}
    assert list(given)[-1] == "Is the rest as it was?"
    assert {question: one.answer for question, one in given.items()} == {
        "Does it help?": "Yes",
        "By much?": "Yes",
        "Are they the same?": "Yes",
        "Do words help?": "No, there is no difference that matters",
        "Does it harm?": "No, the opposite",
        "And exams?": "Not known yet",
        "Is the rest as it was?": "Yes",
    }
    interest = "than the smallest effect of interest"
    assert given["Does it help?"].note == f"surely more {interest}, 0.100 nats/token"
    assert given["By much?"].note == f"surely less {interest}, 2.000 nats/token"
    assert given["Is the rest as it was?"].note == "tolerated: 0.100 nats/token"
    assert given["Does it help?"].numbers.startswith("−0.488 nats/token (−0.")
    assert given["And exams?"].numbers == "exam/accuracy was not measured"


def test_the_verdict_of_an_equivalence_is_that_of_its_corrected_p_value(tmp_path):
    """In `results.json` the two stand beside each other."""
    study = replicated_study(tmp_path, LEVELS)
    margins = np.linspace(0.03, 0.08, 11)
    of_one = [decided(study, same=replace(SAME, margin=m))["same"] for m in margins]
    alone = {one.config.margin: one for one in of_one}
    missing = replace(SAME, metric="exam/accuracy")
    num_changed = 0
    for margin, one in alone.items():
        found = decided(study, same=one.config, **{f"m{i}": missing for i in range(9)})["same"]
        assert found.equivalence is not None
        assert one.equivalence is not None
        assert found.equivalence.p_value == pytest.approx(min(10 * one.equivalence.p_value, 1))
        assert found.equivalence.verdict == found.decision, margin
        num_changed += one.equivalence.verdict != found.equivalence.verdict
    assert num_changed


def test_an_error_over_items_that_is_not_seen_is_no_floor_of_0(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    (one,) = decided(study, helps=HELPS).values()
    assert one.effects.item_error == one.effects.floor == 0  # items only shift all runs alike
    (row,) = contrast_rows([one])
    assert (row.item_error, row.floor) == ("not seen", "not seen")
    seen = replace(one, effects=replace(one.effects, item_error=0.01, floor=0.028))
    (row,) = contrast_rows([seen])
    assert (row.item_error, row.floor) == ("0.010", "0.028")


def test_a_p_value_of_equivalence_is_called_that(tmp_path):
    found = decided(replicated_study(tmp_path, LEVELS), same=SAME, helps=HELPS)
    same, helps = contrast_rows(list(found.values()))
    assert " of equivalence corrected for 2 (" in same.sentence
    assert "of equivalence" not in helps.sentence
    assert same.hypothesis == "is equivalent within ±0.100 nats/token"
