import json
from pathlib import Path

import numpy as np
import pytest

from codepretrain.config.schema import LoggingConfig
from codepretrain.errors import UserError
from codepretrain.evals.build import Evaluator
from codepretrain.evals.estimate import Estimate
from codepretrain.evals.evaluator import EvalResult, Progress
from codepretrain.evals.item_scores import ItemScores, read_item_scores
from codepretrain.evals.multiple_choice import ACCURACY
from codepretrain.evals.recording import record_evaluation
from codepretrain.evals.registry import evaluator_kind
from codepretrain.metrics.writer import MetricsWriter
from codepretrain.model.transformer import Params


def evaluate(params: Params, progress: Progress) -> EvalResult:
    metric = ACCURACY.metric(Estimate(0.5, 0.25, 4), null_value=0.25)
    return EvalResult({"accuracy": metric}, ItemScores({"accuracy": np.array([1, 0, 0, 1])}, []))


EVALUATOR = Evaluator("prose", evaluator_kind("multiple_choice"), None, evaluate)


def record(run_dir: Path) -> None:
    with MetricsWriter(run_dir, LoggingConfig(write_tensorboard=False), "run") as writer:
        record_evaluation(EVALUATOR, {}, writer, run_dir, step=7, tokens=700)


def test_the_record_states_what_the_metric_is(tmp_path: Path) -> None:
    record(tmp_path)
    (line,) = (tmp_path / "evals.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "step": 7,
        "tokens": 700,
        "evaluator": "prose",
        "metrics": {
            "accuracy": {
                "value": 0.5,
                "standard_error": 0.25,
                "count": 4,
                "unit": "fraction",
                "direction": "higher",
                "is_primary": True,
                "null_value": 0.25,
                "cluster": "item",
            }
        },
    }
    scores = read_item_scores(tmp_path, "prose", 7)
    assert scores is not None
    assert scores["accuracy"].tolist() == [1, 0, 0, 1]


def test_scores_are_written_before_the_record(tmp_path: Path) -> None:
    """So that an evaluation that stands in evals.jsonl has its scores."""
    (tmp_path / "items").write_text("a file where the folder should be")
    with pytest.raises(UserError, match=r"cannot write .*prose-00000007"):
        record(tmp_path)
    assert (tmp_path / "evals.jsonl").read_text() == ""
