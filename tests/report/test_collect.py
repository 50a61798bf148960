from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codepretrain.files import atomic, json_values
from codepretrain.report.accounts import status_text
from codepretrain.report.collect import PhaseInput, collect
from codepretrain.report.evaluations import read_scores
from codepretrain.report.write import write_report


def run_dir(study, phase):
    return Path(study.phases[phase].run_dir)


def at_end(run, evaluator):
    evaluation = run.at_end(evaluator)
    assert evaluation is not None
    return evaluation


def test_a_complete_study_is_read_whole(study):
    results = collect(study)
    assert {run.status for run in results.runs.values()} == {"complete"}
    assert results.problems == ()
    run = results.runs["code_init"]
    assert (run.problems, run.last_step, len(run.log)) == ((), 200, 200)
    assert run.ledger.sources["code"].rows == 3200
    assert [session["last_step"] for session in run.sessions] == [125, 200]
    assert run.at_end("validation_loss").step == 200
    assert run.at_end("no_such_evaluator") is None
    assert results.manifests["code"]["train"].num_rows == 5_200


def test_what_is_not_there_is_missing_and_not_an_error(unfinished_study):
    results = collect(unfinished_study)
    assert results.runs["cooldown_code"].status == "missing"
    run = results.runs["cooldown_text"]
    assert (run.status, run.last_step) == ("incomplete", 35)
    assert run.at_end("validation_loss") is None
    assert all(not run.problems for run in results.runs.values())


def test_a_study_of_which_nothing_exists(study, tmp_path):
    plans = {n: replace(p, run_dir=str(tmp_path / n)) for n, p in study.phases.items()}
    rows = {"code": {"train": str(tmp_path / "none")}}
    results = collect(replace(study, phases=plans, rows=rows))
    assert {run.status for run in results.runs.values()} == {"missing"}
    assert results.manifests == {"code": {}}


def test_damaged_files_are_named_and_the_rest_is_read(copied_study):
    directory = run_dir(copied_study, "code_continue")
    metrics = directory / "metrics.jsonl"
    metrics.write_text("{damaged\n" + metrics.read_text())
    (directory / "ledger.json").write_text("{")
    (Path(copied_study.rows["code"]["train"]) / "manifest.json").write_text("{")
    results = collect(copied_study)
    run = results.runs["code_continue"]
    assert "metrics.jsonl line 1 is damaged" in run.problems[0]
    assert "ledger.json is damaged" in run.problems[1]
    assert len(run.evaluations) > 0
    assert len(results.problems) == 1
    assert "train" not in results.manifests["code"]
    assert "validation" in results.manifests["code"]


def test_a_run_that_was_killed_before_its_end_was_saved_is_incomplete(copied_study):
    """Its last step is logged, but `codepretrain run` trains it again from the checkpoint."""
    path = run_dir(copied_study, "code_continue") / "ledger.json"
    ledger = json_values.decode(path.read_text())
    path.write_text(json_values.encode(ledger | {"step": 150}))
    run = collect(copied_study).runs["code_continue"]
    assert (run.status, run.last_step) == ("incomplete", 200)
    assert status_text(run) == "step 200 of 200, not saved"
    path.unlink()
    assert collect(copied_study).runs["code_continue"].status == "incomplete"


def test_a_torn_last_line_of_a_run_under_way_is_no_problem_and_stays(copied_study):
    path = run_dir(copied_study, "code_continue") / "metrics.jsonl"
    before = path.read_bytes() + b'{"step": 201, "lo'
    path.write_bytes(before)
    run = collect(copied_study).runs["code_continue"]
    assert (run.problems, run.last_step) == ((), 200)
    assert path.read_bytes() == before


def test_a_run_of_another_fingerprint_is_told(copied_study):
    path = run_dir(copied_study, "code_init") / "run.json"
    path.write_text(path.read_text().replace(copied_study.phases["code_init"].fingerprint, "beef"))
    (problem,) = collect(copied_study).runs["code_init"].problems
    assert "found beef" in problem


def test_a_phase_whose_data_is_not_prepared_is_not_simply_missing(study, tmp_path):
    """Its fingerprint names other rows than those of its run, which may exist."""
    plan = study.phases["cooldown_code"]
    moved = replace(plan, run_dir=str(tmp_path / "none"), fingerprint_is_provisional=True)
    results = collect(replace(study, phases={**study.phases, "cooldown_code": moved}))
    assert results.runs["cooldown_code"].status == "missing"
    [problem] = results.all_problems
    assert problem.startswith("phase 'cooldown_code': its data is not prepared in this --workdir")


def test_a_phase_is_taken_from_the_plan_command(tmp_path):
    described: dict[str, Any] = {
        "name": "p",
        "parent": None,
        "initial_checkpoint": None,
        "parent_step": None,
        "data_order": "continue",
        "members": [],
        "fingerprint": "f",
        "fingerprint_is_provisional": True,
        "steps": 10,
        "tokens": 1280,
        "requested_tokens": 1300,
        "tokens_before": 0,
        "tokens_per_source": {"code": 1280},
        "epochs_per_source": {"code": None},
        "learning_rate": {"start": 0.0, "peak": 1.0, "end": 0.5},
        "parameters": 7,
    }
    mixture = (
        {"start_tokens": 0, "weights": {"code": 3, "text": 1}},
        {"start_tokens": 640, "weights": {"code": 1.0}},
    )
    phase = PhaseInput.from_plan(described, run_dir=tmp_path, mixture=mixture)
    assert phase.step_tokens == 128
    assert phase.shares_at(639) == {"code": 0.75, "text": 0.25}
    assert phase.shares_at(640) == {"code": 1.0}


def test_a_study_is_read_from_an_object_store(study):
    """`memory://` stands for a bucket: the same results as from the local copy."""
    local = run_dir(study, "code_init")
    there = "memory://report-test/runs/code_init"
    for path in local.rglob("*"):
        if path.is_file():
            atomic.write_bytes(f"{there}/{path.relative_to(local)}", path.read_bytes())
    plan = replace(study.phases["code_init"], run_dir=there)
    found = collect(replace(study, phases={"code_init": plan}, variants={}, rows={}))
    expected = collect(study).runs["code_init"]
    run = found.runs["code_init"]
    assert run.problems == ()
    assert (run.log, run.evaluations, run.ledger) == (
        expected.log,
        expected.evaluations,
        expected.ledger,
    )
    assert set(read_scores(at_end(run, "prose_continuation"))) == {
        "accuracy",
        "accuracy_per_byte",
    }


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("metrics.jsonl", '{"loss": 3.0}'),
        ("metrics.jsonl", '{"step": "9", "loss": 3.0}'),
        ("time.jsonl", '{"session": 0}'),
        ("starts.jsonl", '{"start": "x", "packages": []}'),
        ("evals.jsonl", '{"step": 1, "evaluator": "e", "metrics": {}}'),
        (
            "evals.jsonl",
            '{"step": 1, "evaluator": "e", "digest": "d", "identity": {}, "metrics": {"m": []}}',
        ),
        ("run.json", "[1]"),
        ("ledger.json", '{"step": 7}'),
    ],
)
def test_records_of_another_shape_are_named(copied_study, tmp_path, name, line):
    path = Path(copied_study.phases["code_continue"].run_dir) / name
    path.write_text(line + "\n")
    run = collect(copied_study).runs["code_continue"]
    assert len(run.problems) == 1
    assert name in run.problems[0]
    write_report(copied_study, tmp_path / "report")
