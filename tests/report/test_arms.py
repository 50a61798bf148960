from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codepretrain.evals.identity import identity_digest
from codepretrain.evals.item_scores import read_item_scores, write_item_scores
from codepretrain.metrics.item_files import item_file
from codepretrain.report.arms import arm_scores, between, check_same_evaluation, find_arm
from codepretrain.report.collect import collect
from codepretrain.report.compare import compare_to_baseline, metric_rows
from codepretrain.report.evaluations import read_scores
from codepretrain.report.findings import caution, findings, overview
from codepretrain.report.wording import verdict_text
from tests.fixtures.item_records import drop_marks
from tests.report.replicated import LOSS, LOSS_METRIC, QUIZ, STEP, phase, replicated_study

LEVELS = {"plain": (3.0, 3.02, 2.97), "coded": (2.5, 2.55, 2.52)}


def loss_row(results):
    (row,) = [row for row in metric_rows(results) if row.evaluator == LOSS]
    return row


def arm_of(results, variant):
    found = find_arm(results, variant, loss_row(results))
    assert found is not None
    return found


def items_of(study, run, evaluator):
    digest = identity_digest(study.evaluators[evaluator])
    found = read_item_scores(study.phases[run].run_dir, evaluator, STEP, digest)
    assert found is not None
    return digest, found


def verdict(row, cell):
    assert cell.difference is not None
    return verdict_text(row, cell.difference)


def test_the_scores_of_an_arm_are_those_of_its_replicates_in_order(tmp_path):
    results = collect(replicated_study(tmp_path, LEVELS))
    arm = arm_of(results, "plain")
    assert [run.name for run in arm.runs] == ["plain", "plain-r1", "plain-r2"]
    scores = arm_scores(arm, read_scores)
    assert scores is not None
    assert scores.values.shape == (3, 80)
    np.testing.assert_allclose(scores.metrics, arm.values)
    assert arm.values == pytest.approx(LEVELS["plain"], abs=0.05)


def test_items_of_replicates_are_paired_by_id_in_whatever_order(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    run = study.phases["plain-r1"].run_dir
    drop_marks(run)
    results = collect(study)
    before = arm_scores(arm_of(results, "plain"), read_scores)
    digest, items = items_of(study, "plain-r1", LOSS)
    turned = replace(
        items,
        ids=items.ids[::-1],
        clusters=items.clusters[::-1],
        scores={name: values[::-1] for name, values in items.scores.items()},
    )
    write_item_scores(run, LOSS, STEP, digest, turned)
    after = arm_scores(arm_of(results, "plain"), read_scores)
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(before.values, after.values)


def test_replicates_of_other_evaluations_are_refused(tmp_path):
    results = collect(replicated_study(tmp_path, LEVELS))
    arm = arm_of(results, "plain")
    other = {**arm.evaluations[1].identity, "grader": "0"}
    changed = replace(arm.evaluations[1], identity=other, digest=identity_digest(other))
    mixed = replace(arm, evaluations=(arm.evaluations[0], changed, arm.evaluations[2]))
    with pytest.raises(ValueError, match="plain-r1 differs from plain in grader"):
        check_same_evaluation([mixed])


def test_item_scores_that_are_not_those_of_the_metric_are_refused(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    drop_marks(study.phases["coded-r2"].run_dir)
    results = collect(study)
    row = loss_row(results)
    digest, items = items_of(study, "coded-r2", LOSS)
    doubled = {LOSS_METRIC: 2 * items.scores[LOSS_METRIC]}
    write_item_scores(
        study.phases["coded-r2"].run_dir,
        LOSS,
        STEP,
        digest,
        replace(items, scores={**items.scores, **doubled}),
    )
    with pytest.raises(ValueError, match=r"coded-r2: the item scores of .* not those of this"):
        arm_scores(arm_of(results, "coded"), read_scores)
    cell = compare_to_baseline(results).cells[row, "coded"]
    assert cell.difference is None
    assert cell.not_compared == "the item scores of a replicate are missing"


def test_replicates_are_compared_as_recipes_with_an_interval_over_runs(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    comparison = compare_to_baseline(collect(study))
    (row,) = [row for row in comparison.rows if row.evaluator == LOSS]
    cell = comparison.cells[row, "coded"]
    assert cell.runs == ("coded", "coded-r1", "coded-r2")
    assert cell.metric.value == pytest.approx(np.mean(cell.values))
    difference = cell.difference
    assert difference.between.text == "recipes, 3 replicates"
    assert difference.method == "runs × items, Student’s t"
    assert verdict(row, cell) == "better (recipes, 3 replicates)"
    assert caution(comparison) == ""
    assert "differences between recipes from plain" in overview(comparison)
    assert {finding.signs for finding in findings(comparison)} == {("better", "worse")}


def test_equal_recipes_that_items_tell_apart_are_not_distinguishable(tmp_path):
    """Runs that differ by 0.2 nats: over items alone the first two differ by many errors."""
    study = replicated_study(tmp_path, {"one": (3.0, 3.2, 2.9), "two": (3.15, 2.95, 3.1)})
    results = collect(study)
    comparison = compare_to_baseline(results)
    (row,) = [row for row in comparison.rows if row.evaluator == LOSS]
    assert comparison.cells[row, "two"].outcome == "not distinguishable"
    alone = compare_to_baseline(collect(replace(study, replicates={})))
    cell = alone.cells[row, "two"]
    assert cell.difference.p_value < 1e-6
    assert verdict(row, cell) == "higher (two checkpoints)"


@pytest.mark.parametrize("alone", ["plain", "coded"])
def test_one_replicate_in_an_arm_says_nothing_of_recipes(tmp_path, alone):
    levels = {name: of[:1] if name == alone else of for name, of in LEVELS.items()}
    comparison = compare_to_baseline(collect(replicated_study(tmp_path, levels)))
    for (row, variant), cell in comparison.cells.items():
        if variant == "coded":
            assert not cell.difference.between.are_recipes
            assert cell.difference.method.startswith("these checkpoints")
            assert "better" not in verdict(row, cell)
    assert "between two checkpoints, not between two recipes" in caution(comparison)


def branches(study, starts):
    """Gives every replicate a first phase, its trunk, of the given name."""
    replicates = {
        variant: tuple((starts[variant][k], *path) for k, path in enumerate(paths))
        for variant, paths in study.replicates.items()
    }
    trunks = {name for of in starts.values() for name in of}
    phases = {name: replace(study.phases["plain"], run_dir=name) for name in trunks}
    return replace(study, replicates=replicates, phases={**study.phases, **phases})


@pytest.mark.parametrize(
    ("plain", "coded", "text"),
    [
        ("abc", "abc", "recipes, 3 replicates"),
        ("aab", "ccd", "recipes, 2 replicates"),
        ("aaa", "bbb", "two checkpoints"),
        ("aaa", "aaa", "recipes from one checkpoint, 3 replicates"),
    ],
)
def test_runs_of_one_trunk_are_one_replicate_unless_all_share_it(tmp_path, plain, coded, text):
    study = branches(replicated_study(tmp_path, LEVELS), {"plain": plain, "coded": coded})
    results = collect(study)
    comparison = compare_to_baseline(results)
    row = loss_row(results)
    difference = comparison.cells[row, "coded"].difference
    assert difference.between.text == text
    arms = [arm_of(results, variant) for variant in ("coded", "plain")]
    assert between(arms) == difference.between


def test_a_value_is_a_mean_over_trunks_as_its_interval_is(tmp_path):
    """Three runs of one trunk, and one of another."""
    levels = {"plain": (2.0, 2.02, 2.04, 3.6), "coded": (2.5, 2.55, 2.52, 2.49)}
    study = branches(replicated_study(tmp_path, levels), {"plain": "aaab", "coded": "cdef"})
    results = collect(study)
    cell = compare_to_baseline(results).cells[loss_row(results), "plain"]
    values = cell.values
    expected = (np.mean(values[:3]) + values[3]) / 2
    assert cell.metric.value == pytest.approx(expected)
    assert (cell.interval.low + cell.interval.high) / 2 == pytest.approx(expected)


def test_an_imported_model_is_a_start_too(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    phases = {
        name: replace(phase, initial_checkpoint="base") for name, phase in study.phases.items()
    }
    results = collect(replace(study, phases=phases))
    arms = [arm_of(results, variant) for variant in LEVELS]
    assert between(arms).text == "recipes from one checkpoint, 3 replicates"


def test_replicates_that_are_not_there_yet_are_left_out(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    results = collect(study)
    digest = results.runs["coded"].at_end(QUIZ).digest
    item_file(study.phases["coded-r1"].run_dir, QUIZ, STEP, digest).unlink()
    (Path(study.phases["coded-r2"].run_dir) / "evals.jsonl").unlink()
    comparison = compare_to_baseline(collect(study))
    cells = {row.evaluator: cell for (row, v), cell in comparison.cells.items() if v == "coded"}
    assert cells[LOSS].difference.between.text == "recipes, 2 and 3 replicates"
    assert cells[QUIZ].not_compared == "the item scores of a replicate are missing"
    assert cells[QUIZ].interval.high == np.inf


def test_the_interval_of_a_fraction_ends_at_one(tmp_path):
    """Accuracies near 1 in all runs: Student's interval of their mean would go beyond."""
    study = replicated_study(tmp_path, {"plain": (1.2, 1.0, 1.5), "coded": (1.3, 1.6, 1.0)})
    comparison = compare_to_baseline(collect(study))
    for (row, _), cell in comparison.cells.items():
        if row.evaluator == QUIZ:
            assert cell.metric.value > 0.9
            assert cell.interval.high <= 1.0


def test_replicates_of_one_fingerprint_are_one_run(tmp_path):
    """Seeds of initialization that differ alone change nothing where an imported model starts."""
    study = replicated_study(tmp_path, {name: of[:1] for name, of in LEVELS.items()})
    twice = {variant: 2 * paths for variant, paths in study.replicates.items()}
    results = collect(replace(study, replicates=twice))
    assert [len(arm_of(results, variant).runs) for variant in LEVELS] == [1, 1]
    for cell in compare_to_baseline(results).headline_differences:
        assert cell.difference is not None
        assert cell.difference.between.text == "two checkpoints"


@pytest.mark.parametrize("is_average", [False, True])
def test_runs_that_share_more_than_what_all_start_from_are_one_replicate(
    tmp_path: Path, is_average: bool
) -> None:
    """All start from "trunk", and those of "coded" share "middle", whose noise is in each."""
    study = replicated_study(tmp_path, LEVELS)
    trunk, middle = phase(tmp_path, "trunk"), phase(tmp_path, "middle")
    phases = {**study.phases, "trunk": trunk, "middle": replace(middle, parent="trunk")}
    shared = {"plain": ("trunk",), "coded": ("trunk", "middle")}
    replicates = {
        variant: tuple((*shared[variant], *path) for path in paths)
        for variant, paths in study.replicates.items()
    }
    for path in (path for paths in replicates.values() for path in paths):
        start = "middle" if "middle" in path else "trunk"
        changed = replace(phases[path[-1]], parent=start)
        if is_average and start == "middle":
            members = [{"phase": start, "step": STEP, "weight": 1.0}]
            changed = replace(changed, parent=None, members=members)
        phases[path[-1]] = changed
    results = collect(replace(study, phases=phases, replicates=replicates))
    arms = [arm_of(results, variant) for variant in LEVELS]
    assert between(arms).num_replicates == (3, 1)
    assert not between(arms).are_recipes
    cell = compare_to_baseline(results).cells[loss_row(results), "coded"]
    assert cell.difference is not None
    assert cell.difference.between.text == "these checkpoints, 1 and 3 runs"
    # Among arms that all share it, it is no part of the comparison.
    alone = between([arms[1]])
    assert (alone.num_replicates, alone.is_from_one_checkpoint) == ((3,), True)
