from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codepretrain.evals.identity import identity_digest
from codepretrain.files import json_values
from codepretrain.metrics.item_files import item_file
from codepretrain.report.collect import collect
from codepretrain.report.compare import compare_to_baseline
from codepretrain.report.evaluations import (
    Evaluation,
    failed,
    left_out,
    own_evaluations,
    read_scores,
)

OURS = {"spec": "s", "items": "i", "grader": "2"}


def at_end(run, evaluator):
    evaluation = run.at_end(evaluator)
    assert evaluation is not None
    return evaluation


def evaluation(step=9, evaluator="prose", **changes):
    identity = OURS | changes
    return Evaluation(
        step=step,
        evaluator=evaluator,
        digest=identity_digest(identity),
        identity=identity,
        metrics={},
    )


def own(*found, **identities):
    return own_evaluations(found, identities or {"prose": OURS})


def test_the_result_of_the_same_identity_is_taken_wherever_it_is():
    ours = evaluation()
    others = [evaluation(items="j"), evaluation(grader="1"), evaluation(spec="t")]
    assert own(*others, ours) == [ours]
    assert own(ours, *others) == [ours]


def test_without_one_the_newest_of_the_same_options_and_items_is_taken():
    first, second = evaluation(grader="0"), evaluation(grader="1")
    assert own(first, second, evaluation(items="j")) == [second]


def test_results_of_other_options_or_items_are_not_the_studys():
    assert own(evaluation(spec="t"), evaluation(items="j")) == []


def test_an_evaluator_that_the_study_lacks_is_left_out():
    assert own(evaluation(evaluator="other")) == []


def test_each_step_has_its_own():
    early, late = evaluation(step=3, grader="1"), evaluation()
    assert own(early, late) == [early, late]


def test_an_evaluation_that_was_never_built_here_is_known_by_its_options():
    found = [evaluation(items="j"), evaluation(spec="t")]
    assert own(*found, prose={"spec": "s"}) == found[:1]


def test_why_a_result_is_left_out_is_told():
    found = [evaluation(), evaluation(spec="t", items="j"), evaluation(step=3, items="j")]
    lines = left_out("p", step=9, found=found[1:], own=[], identities={"prose": OURS})
    assert lines == [
        "p: the result of prose at step 9 differs from this study’s evaluation in options or "
        "num_examples and items and is left out: run `codepretrain evaluate --phase p`"
    ]
    told = left_out("p", step=9, found=found, own=found[:1], identities={"prose": OURS})
    assert told == []
    assert left_out("p", step=9, found=found, own=[], identities={}) == []


def test_a_result_of_before_is_shown_and_told():
    """Of an older grader, or of other prompts: without a line it would pass for today's."""
    old, new = evaluation(grader="1"), evaluation()
    lines = left_out("p", step=9, found=[old], own=[old], identities={"prose": OURS})
    assert lines == [
        "p: the result of prose at step 9 differs from this study’s evaluation in grader: run "
        "`codepretrain evaluate --phase p` for one of today"
    ]
    told = left_out("p", step=9, found=[old, new], own=[new], identities={"prose": OURS})
    assert told == []
    never_built = {"prose": {"spec": "s"}}
    assert left_out("p", step=9, found=[old], own=[old], identities=never_built) == []


def test_a_failure_is_no_result_and_is_told_until_it_is_made_good():
    broken = replace(evaluation(), failure="no disk")
    assert own(broken) == []
    assert own(broken, evaluation()) == [evaluation()]
    assert failed("p", [broken], {"prose": OURS}) == ["p: prose failed at step 9: no disk"]
    assert failed("p", [broken, evaluation()], {"prose": OURS}) == []
    assert failed("p", [broken], {}) == []
    assert left_out("p", step=9, found=[broken], own=[], identities={"prose": OURS}) == []


def test_a_failure_of_another_evaluation_is_not_told():
    """One of another study that shares the run, or of items or a grader of before."""
    broken = [
        replace(evaluation(**changes), failure="no disk")
        for changes in ({"spec": "t"}, {"items": "j"}, {"grader": "1"})
    ]
    assert failed("p", [*broken, evaluation()], {"prose": OURS}) == []
    lines = failed("p", broken, {"prose": OURS})
    assert lines == ["p: prose failed at step 9: no disk"]  # the older grader's, without a result
    old = evaluation(grader="1")
    again = replace(evaluation(), failure="no disk")
    assert failed("p", [old, again], {"prose": OURS}) == ["p: prose failed at step 9: no disk"]


def test_a_failure_is_a_problem_of_the_report(copied_study):
    path = Path(copied_study.phases["code_init"].run_dir) / "evals.jsonl"
    lines = path.read_text().splitlines()
    [number] = [
        n
        for n, line in enumerate(lines)
        if '"step": 200,' in line and '"evaluator": "python_expression"' in line
    ]
    record = json_values.decode(lines[number])
    lines[number] = json_values.encode({**record, "metrics": {}, "failure": "no disk"})
    path.write_text("\n".join(lines) + "\n")
    run = collect(copied_study).runs["code_init"]
    assert run.problems == ("code_init: python_expression failed at step 200: no disk",)
    assert run.at_end("python_expression") is None


def test_a_report_has_only_its_studys_evaluators_and_corrects_for_them_alone(study):
    """Evaluators left in the runs by another study are no rows, and no part of Holm's family."""
    one = replace(study, evaluators={"python_expression": study.evaluators["python_expression"]})
    comparison = compare_to_baseline(collect(one))
    assert {row.evaluator for row in comparison.rows} == {"python_expression"}
    assert len(comparison.headline_differences) == 4
    everything = compare_to_baseline(collect(study))
    for row, variant in comparison.cells:
        ours, theirs = comparison.cells[row, variant], everything.cells[row, variant]
        assert ours.difference == theirs.difference
        if row.is_primary and ours.adjusted_p is not None and ours.adjusted_p < 1:
            assert ours.adjusted_p < theirs.adjusted_p


def test_results_of_other_items_are_left_out_of_the_report_and_named(study):
    changed = {**study.evaluators["python_expression"], "items": "other"}
    results = collect(replace(study, evaluators={**study.evaluators, "python_expression": changed}))
    comparison = compare_to_baseline(results)
    assert "python_expression" not in {row.evaluator for row in comparison.rows}
    problems = [p for p in results.all_problems if "python_expression" in p]
    assert len(problems) == len(study.phases)
    assert "differs from this study’s evaluation in items and is left" in problems[0]


def test_items_come_with_their_denominators_and_strata(study):
    run = collect(study).runs["text_pretrain"]
    scores = read_scores(at_end(run, "validation_loss"))
    assert set(scores) == {
        f"{scope}/{measure}"
        for scope in ("source/text_reference", "source/text_docstrings", "source/code", "all")
        for measure in ("nats_per_token", "bits_per_byte")
    }
    one, everything = scores["source/code/nats_per_token"], scores["all/nats_per_token"]
    assert one.weights is not None
    assert one.weights.shape == (120,)
    assert one.strata is None
    assert everything.strata is not None
    np.testing.assert_array_equal(np.unique(everything.strata), [0, 1, 2])
    prose = at_end(run, "prose_continuation")
    assert read_scores(prose)["accuracy"].weights is None
    for other in (replace(prose, step=399), replace(prose, digest="0" * 64)):
        with pytest.raises(ValueError, match=r"prose_continuation-.* is missing"):
            read_scores(other)


def test_damaged_items_are_named(copied_study):
    run = collect(copied_study).runs["text_pretrain"]
    digest = at_end(run, "validation_loss").digest
    path = item_file(run.plan.run_dir, "validation_loss", 400, digest)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(
        ValueError,
        match=r"validation_loss-00000400-\w+\.npz is damaged: expected [\d,]+ bytes, found 300",
    ):
        read_scores(at_end(run, "validation_loss"))


def test_evaluations_that_do_not_declare_their_metrics_are_named(copied_study):
    path = Path(copied_study.phases["code_init"].run_dir) / "evals.jsonl"
    path.write_text(path.read_text().replace('"direction": "lower", ', "", 1))
    (problem,) = collect(copied_study).runs["code_init"].problems
    assert "a metric has fields ['direction'] missing" in problem
