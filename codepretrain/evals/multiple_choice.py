"""Multiple choice: does the model find the true continuation the most probable one?

A small model may put all its answers in one place or gain from choices of different length, so the
accuracy never stands alone: beside it stand the accuracy per byte, what chance and the best
constant answer would give, and how often each position was chosen.
"""

from collections.abc import Sequence

import numpy as np

from codepretrain.evals.items import EvalResult, Items
from codepretrain.evals.language_model import LanguageModel
from codepretrain.evals.metric import Metric, proportion
from codepretrain.evals.task_items import MultipleChoiceItem
from codepretrain.model.transformer import Params


class MultipleChoice:
    """Params → how often the right choice is taken.

    Metrics, in fractions of the items:
      accuracy            the choice with the largest Σ log p of its tokens is right
      accuracy_per_byte   the same, with the sum divided by the bytes of the choice's text
    and in shares, which say something about the items or the model, but not how good it is:
      baseline/chance     expected of a random answer
      baseline/majority   reached by always answering the commonest right position
      predicted/<i>       how often position i was chosen, by Σ log p
    """

    def __init__(self, model: LanguageModel, items: Sequence[MultipleChoiceItem]) -> None:
        self._model = model
        self._items = items

    def __call__(self, params: Params) -> EvalResult:
        contexts = [item.context for item in self._items for _ in item.choices]
        choices = [choice for item in self._items for choice in item.choices]
        scores = self._model.score(params, contexts, choices)
        ends = np.cumsum([len(item.choices) for item in self._items])
        return grade(self._items, np.split(scores.log_probabilities, ends[:-1]))


def grade(items: Sequence[MultipleChoiceItem], log_probabilities: list[np.ndarray]) -> EvalResult:
    """Returns the result, given the Σ log p (nats) of each item's choices. Ties go to the first."""
    chosen = np.array([np.argmax(values) for values in log_probabilities])
    chosen_per_byte = np.array(
        [
            np.argmax(values / np.asarray(item.choice_bytes))
            for item, values in zip(items, log_probabilities, strict=True)
        ]
    )
    answers = np.array([item.answer for item in items])
    scores = {
        "accuracy": chosen == answers,
        "accuracy_per_byte": chosen_per_byte == answers,
    }
    num_positions = max(len(item.choices) for item in items)
    majority = np.bincount(answers).argmax()
    chance = float(np.mean([1 / len(item.choices) for item in items]))
    metrics = {name: proportion(values) for name, values in scores.items()} | {
        "baseline/chance": Metric(chance, 0.0, len(items), "share"),
        "baseline/majority": proportion(answers == majority, "share"),
    }
    for position in range(num_positions):
        metrics[f"predicted/{position}"] = proportion(chosen == position, "share")
    records = [
        {
            "id": item.id,
            "answer": item.answer,
            "chosen": int(choice),
            "log_probabilities": values.tolist(),
        }
        for item, choice, values in zip(items, chosen, log_probabilities, strict=True)
    ]
    return EvalResult(metrics, Items(scores, records))
