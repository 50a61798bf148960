"""Planted completions: every metric by hand, what is kept, and that a kill loses little."""

import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codepretrain.evals import spread
from codepretrain.evals.code_generation import EVALUATOR
from codepretrain.evals.language_model import Sampling
from codepretrain.evals.programs import grading
from codepretrain.evals.programs.grade import REASONS as ALL_REASONS
from codepretrain.evals.programs.grade import grade_trials
from codepretrain.evals.progress import no_progress
from tests.conftest import ROOT
from tests.evals.programs import planted
from tests.evals.programs.planted import PARAMS, PLANTED, REASONS, evaluate, evaluation
from tests.fixtures.processes import RunJob

NUM_SAMPLES = 10  # that differ, of 12
NUM_BASELINES = 11  # a reference and three policies of each problem; two of them are equal


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """One program of each worker in a round."""
    monkeypatch.setattr(spread, "_PER_WORKER", 1)


def test_metrics_by_hand(tmp_path: Path) -> None:
    found = evaluate(tmp_path)
    EVALUATOR.check_result(found)
    assert {r["id"]: [s["reason"] for s in r["samples"]] for r in found.items.records} == REASONS
    metrics = {name: metric.value for name, metric in found.metrics.items()}
    # Of 4 samples 2, 1 and 3 pass: pass@2 is 1 - C(2,2)/6, 1 - C(3,2)/6, 1 - 0.
    assert metrics["pass_at_1"] == pytest.approx((2 / 4 + 1 / 4 + 3 / 4) / 3)
    assert metrics["pass_at_2"] == pytest.approx((5 / 6 + 3 / 6 + 1) / 3)
    assert metrics["valid_syntax"] == pytest.approx((3 + 4 + 3) / 12)
    assert metrics["runs"] == pytest.approx((3 + 1 + 3) / 12)
    shares = {name.removeprefix("reason/"): v for name, v in metrics.items() if "reason/" in name}
    counts = {"passed": 6, "wrong": 1, "invalid": 2, "timeout": 1, "error": 1, "exited": 1}
    assert shares == pytest.approx({name: counts.get(name, 0) / 12 for name in ALL_REASONS})
    assert metrics["baseline/reference"] == 1
    assert metrics["baseline/empty"] == metrics["baseline/pass"] == 0
    assert metrics["baseline/first_argument"] == pytest.approx(1 / 3)  # of `same`
    num_bytes = found.items.scores["bits_per_byte/weight"]
    assert metrics["bits_per_byte"] == pytest.approx(3 * planted.BITS / num_bytes.sum())


def test_errors_are_over_problems_not_samples(tmp_path: Path) -> None:
    found = evaluate(tmp_path)
    metric = found.metrics["pass_at_1"]
    # Values 1/2, 1/4, 3/4: their standard deviation is 1/4.
    assert metric.standard_error == pytest.approx(0.25 / math.sqrt(3))
    assert (metric.count, metric.num_items, metric.cluster) == (3, 3, "problem")
    assert metric.null_value == pytest.approx(1 / 3)
    assert found.items.ids == found.items.clusters == list(PLANTED)


def test_one_greedy_sample(tmp_path: Path) -> None:
    one, model = evaluation(tmp_path, num_samples=1, ks=[1], temperature=0.0, top_p=1.0)
    found = one(PARAMS, no_progress)
    assert found.metrics["pass_at_1"].value == pytest.approx(2 / 3)
    assert all(call["sampling"] is None for call in model.calls)


def test_samples_are_drawn_as_asked_for(tmp_path: Path) -> None:
    one, model = evaluation(tmp_path, seed=7)
    one(PARAMS, no_progress)
    (call,) = model.calls
    assert call["sampling"] == Sampling(temperature=0.8, top_p=0.95, seed=7)
    assert call["stop"] == [[b"\nclass", b"\ndef", b"\n#", b"\nif", b"\nprint"]] * 3
    assert call["max_new_tokens"] == 8


class Counted:
    """`grade_trials`, which remembers what it ran and fails after `fails_after` calls."""

    def __init__(self, fails_after: int = 1000) -> None:
        self.sources: list[str] = []
        self.calls = 0
        self._fails_after = fails_after

    def __call__(self, trials: Any, **keywords: Any) -> Any:
        if self.calls >= self._fails_after:
            raise KeyboardInterrupt
        self.calls += 1
        self.sources += [trial.source for trial in trials]
        return grade_trials(trials, **keywords)


def test_a_stop_loses_at_most_one_round_of_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluate(tmp_path / "whole")
    counted = Counted(fails_after=2)
    monkeypatch.setattr(grading, "grade_trials", counted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(tmp_path / "stopped")
    first = list(counted.sources)
    again = Counted()
    monkeypatch.setattr(grading, "grade_trials", again)
    assert same(evaluate(tmp_path / "stopped"), whole)
    assert first
    assert len(again.sources) == NUM_SAMPLES + NUM_BASELINES - len(first)


def test_baselines_are_run_once_and_equal_programs_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted()
    monkeypatch.setattr(grading, "grade_trials", counted)
    one, _ = evaluation(tmp_path)
    one(PARAMS, no_progress)
    assert len(counted.sources) == NUM_SAMPLES + NUM_BASELINES
    before = len(counted.sources)
    one({"layer": np.ones(4, np.float32)}, no_progress)  # other parameters: its own programs only
    assert len(counted.sources) == before + NUM_SAMPLES
    one(PARAMS, no_progress)
    assert len(counted.sources) == before + NUM_SAMPLES


def test_other_settings_use_nothing_that_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(tmp_path)
    counted = Counted()
    monkeypatch.setattr(grading, "grade_trials", counted)
    evaluate(tmp_path, identity={"items": "planted", "settings": "others"})
    assert len(counted.sources) == NUM_SAMPLES + NUM_BASELINES


def test_progress_names_what_is_done(tmp_path: Path) -> None:
    seen: dict[str, tuple[int, int]] = {}
    one, _ = evaluation(tmp_path)
    one(PARAMS, lambda done, total, what: seen.update({what: (done, total)}))
    assert seen == {
        "programs": (NUM_SAMPLES, NUM_SAMPLES),
        "programs of baselines": (NUM_BASELINES, NUM_BASELINES),
    }


def same(a: Any, b: Any) -> bool:
    """Whether two results are equal, records included."""
    return (
        a.metrics == b.metrics
        and a.items.ids == b.items.ids
        and json.dumps(a.items.records) == json.dumps(b.items.records)
        and all(
            np.array_equal(a.items.scores[name], b.items.scores[name]) for name in b.items.scores
        )
    )


KILLED = """
import sys, time
from pathlib import Path
from codepretrain.evals import spread
from codepretrain.evals.programs import grading
from codepretrain.evals.progress import no_progress
from tests.evals.programs.planted import PARAMS, evaluation

spread._PER_WORKER = 1
one, _ = evaluation(Path(sys.argv[1]))
one(PARAMS, no_progress)
"""


def test_after_a_kill_the_rest_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluate(tmp_path / "whole")
    folder = tmp_path / "killed"
    running = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], cwd=ROOT)
    deadline = time.monotonic() + 120

    def num_graded() -> int:
        return sum(path.read_text().count("\n") for path in folder.glob("*-grades.jsonl"))

    try:
        while num_graded() < 2 and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        running.kill()
        running.wait()
    found = num_graded()
    assert found >= 2
    counted = Counted()
    monkeypatch.setattr(grading, "grade_trials", counted)
    assert same(evaluate(folder), whole)
    assert len(counted.sources) <= NUM_SAMPLES + NUM_BASELINES - found


PROCESSES = """
import json, os
from pathlib import Path
from codepretrain.evals import spread
from codepretrain.evals.programs import grading
from codepretrain.evals.progress import no_progress
from tests.evals.programs.planted import PARAMS, evaluation
from tests.evals.programs.test_evaluation import Counted

spread._PER_WORKER = 1
folder, fails_after = Path(arguments[0]), int(arguments[1])
counted = grading.grade_trials = Counted(fails_after if process == count - 1 else 1000)
one, _ = evaluation(folder)
if process:  # it has no data
    one._tokenized, one.identity = None, {"items": ""}
try:
    found = one(PARAMS, no_progress)
except BaseException as error:
    print("stopped", type(error).__name__)
else:
    metrics = {name: metric.to_json() for name, metric in found.metrics.items()}
    print(json.dumps({"metrics": metrics, "records": found.items.records}, sort_keys=True))
print(len(counted.sources))
"""


def test_two_processes_give_the_result_of_one_fresh_and_resumed(
    tmp_path: Path, run_job: RunJob
) -> None:
    (alone,) = run_job(PROCESSES, tmp_path / "one", 1000, num_processes=1)
    result, counts = alone.stdout.splitlines()[-2:]
    assert counts == "21", alone.stderr
    fresh = [ended.stdout.splitlines()[-2:] for ended in run_job(PROCESSES, tmp_path / "two", 1000)]
    assert [lines[0] for lines in fresh] == [result, result]
    assert [lines[1] for lines in fresh] == ["11", "10"]  # the programs are shared out
    stopped = [
        ended.stdout.splitlines()[-2:] for ended in run_job(PROCESSES, tmp_path / "three", 2)
    ]
    assert all(lines[0].startswith("stopped") for lines in stopped), stopped
    resumed = [
        ended.stdout.splitlines()[-2:] for ended in run_job(PROCESSES, tmp_path / "three", 1000)
    ]
    assert [lines[0] for lines in resumed] == [result, result]
    assert sum(int(lines[1]) for lines in resumed) < 21
