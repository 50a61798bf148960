from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codepretrain.evals.estimate import Estimate
from codepretrain.evals.language_model import LanguageModel
from codepretrain.evals.multiple_choice import (
    ACCURACY,
    EVALUATOR,
    MultipleChoice,
    MultipleChoiceItem,
    grade,
)
from codepretrain.evals.progress import no_progress
from codepretrain.evals.task_items import load_items
from codepretrain.model.transformer import Params


def item(number: int, document: str, answer: int, choice_bytes: list[int]) -> MultipleChoiceItem:
    return MultipleChoiceItem(
        id=f"q{number}",
        document=document,
        context=[1],
        choices=[[3]] * len(choice_bytes),
        answer=answer,
        choice_bytes=choice_bytes,
    )


def test_grades_by_hand() -> None:
    """
    item  document  Σ log p       bytes     per byte          chosen  per byte  answer
    0     a         -4  -6  -9    2  6  9   -2    -1  -1      0       1 (tie)   1
    1     b         -5  -5  -7    5  5  7   -1    -1  -1      0 (tie) 0 (tie)   0
    2     c         -9  -8  -2    3  8  1   -3    -1  -2      2       1         1
    3     b         -1  -2        1  1      -1    -2          0       0         0

    Over documents the right ones are 0, 2, 0 of 1, 2, 1: e = -1/2, 1, -1/2 around 1/2,
    d = 8/7, 8/3, 8/7 for shares of 1/4, 1/2, 1/4 (`test_estimate.py`): Σ d·e² = 4/7 + 8/3.
    """
    items = [
        item(0, "a", 1, [2, 6, 9]),
        item(1, "b", 0, [5, 5, 7]),
        item(2, "c", 1, [3, 8, 1]),
        item(3, "b", 0, [1, 1]),
    ]
    log_p = [[-4.0, -6.0, -9.0], [-5.0, -5.0, -7.0], [-9.0, -8.0, -2.0], [-1.0, -2.0]]
    result = grade(items, [np.array(values) for values in log_p])
    values = {name: metric.value for name, metric in result.metrics.items()}
    assert values == {
        "accuracy": 0.5,
        "accuracy_per_byte": 1.0,
        "bits_per_answer": pytest.approx((6 + 5 + 8 + 1) / 4 / np.log(2)),
        "baseline/majority": 0.5,
        "baseline/shortest": (0 + 1 / 2 + 0 + 1 / 2) / 4,
        "baseline/longest": (0 + 0 + 1 + 1 / 2) / 4,
        "predicted/0": 0.75,
        "predicted/1": 0.0,
        "predicted/2": 0.25,
    }
    chance: Any = pytest.approx((3 * 1 / 3 + 1 / 2) / 4)
    error: Any = pytest.approx(np.sqrt(4 / 7 + 8 / 3) / 4)
    squares = 1 / 16 + 2 / 256 + 2 * (2 * 9 / (21 * 64) + 1 / (14**2 * 64))
    freedom: Any = pytest.approx((3 / 8) ** 2 / squares)
    accuracy = ACCURACY.metric(Estimate(0.5, error, 3, 4, freedom), null_value=chance)
    assert result.metrics["accuracy"] == accuracy
    assert result.metrics["predicted/0"].direction is None
    EVALUATOR.check_result(result)
    assert result.items.scores["accuracy"].tolist() == [False, True, False, True]
    assert list(result.items.ids) == ["q0", "q1", "q2", "q3"]
    assert list(result.items.clusters) == ["a", "b", "c", "b"]
    assert set(result.items.scores) == {"accuracy", "accuracy_per_byte", "bits_per_answer"}
    bits: Any = pytest.approx(np.array([6, 5, 8, 1]) / np.log(2))
    assert result.items.scores["bits_per_answer"] == bits
    assert result.metrics["bits_per_answer"].direction == "lower"
    assert result.items.records[2] == {
        "id": "q2",
        "answer": 1,
        "chosen": 2,
        "log_probabilities": [-9.0, -8.0, -2.0],
    }


def test_choices_are_scored_by_the_model_each_after_its_context(
    model: LanguageModel, sharded_params: Params, data_dir: Path
) -> None:
    items = load_items(
        data_dir, "prose_continuation", MultipleChoiceItem, num_examples=5, vocab_size=64
    )
    result = MultipleChoice(model, items)(sharded_params, no_progress)
    assert len(result.items.records) == 5
    for asked, record in zip(items, result.items.records, strict=True):
        alone = model.score(sharded_params, [asked.context] * 4, asked.choices)
        np.testing.assert_allclose(record["log_probabilities"], alone.log_probabilities, rtol=1e-5)
        assert record["chosen"] == int(alone.log_probabilities.argmax())
