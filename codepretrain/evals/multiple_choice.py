"""Multiple choice: does the model assign the true continuation the highest probability?

A small model may always choose the same position, or prefer short choices. So accuracy is reported
with accuracy per byte, the accuracy of the best constant answer and of always taking the shortest
or the longest choice, and how often each position was chosen; the null value is the accuracy of a
random answer. Bits per answer change long before accuracy does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from codepretrain.evals.estimate import Estimate, clustered_mean
from codepretrain.evals.evaluator import EvalResult, EvaluatorKind, Request
from codepretrain.evals.item_scores import ItemScores
from codepretrain.evals.metric import MetricSpec
from codepretrain.evals.progress import Progress
from codepretrain.evals.task_items import check_task, items_digest, load_items

if TYPE_CHECKING:
    from codepretrain.evals.language_model import LanguageModel
    from codepretrain.evals.resources import Resources
    from codepretrain.model.transformer import Params

TASKS = (
    *("prose_continuation", "code_continuation"),
    *("controlled_story", "controlled_fact", "controlled_code"),
)

# Correct if the right choice has the largest Σ log p of its tokens.
ACCURACY = MetricSpec(
    name="accuracy",
    unit="fraction",
    direction="higher",
    cluster="document",
    is_primary=True,
)
# The same, with the sum divided by the bytes of the choice's text.
ACCURACY_PER_BYTE = MetricSpec(
    name="accuracy_per_byte", unit="fraction", direction="higher", cluster="document"
)
# -log2 of the probability of the right choice among all texts, whatever the other choices are.
BITS = MetricSpec(name="bits_per_answer", unit="bits", direction="lower", cluster="document")
# The accuracy of always answering the most common right position.
MAJORITY = MetricSpec(name="baseline/majority", unit="fraction", direction=None, cluster="document")
# The accuracy of always answering with the shortest or longest text; one of k equals counts 1/k.
SHORTEST = MetricSpec(name="baseline/shortest", unit="fraction", direction=None, cluster="document")
LONGEST = MetricSpec(name="baseline/longest", unit="fraction", direction=None, cluster="document")
# How often a position was chosen, by Σ log p.
PREDICTED = MetricSpec(name="predicted/*", unit="fraction", direction=None, cluster="document")

GRADER = "2"  # increase it with every change of `grade` that can change a grade


@dataclass(frozen=True, kw_only=True)
class MultipleChoiceOptions:
    task: str


@dataclass(frozen=True, kw_only=True)
class MultipleChoiceItem:
    """choices[answer] is what follows the context; choice_bytes: length of each choice's text."""

    id: str
    document: str
    context: Sequence[int]
    choices: Sequence[Sequence[int]]
    answer: int
    choice_bytes: Sequence[int]

    def check(self) -> str | None:
        """Returns what is wrong with the item, None if nothing is."""
        if len(self.choices) < 2 or len(self.choices) != len(self.choice_bytes):
            return "expected two choices or more, and the number of bytes of each"
        if not 0 <= self.answer < len(self.choices):
            return f"answer {self.answer} is out of range for {len(self.choices)} choices"
        if min(self.choice_bytes) < 1 or min(map(len, self.choices)) < 1:
            return "has an empty choice"
        return None

    @property
    def token_lists(self) -> list[Sequence[int]]:
        return [self.context, *self.choices]


class MultipleChoice:
    """Params → how often the right choice is the most probable one."""

    def __init__(self, model: "LanguageModel", items: Sequence[MultipleChoiceItem]) -> None:
        self._model = model
        self._items = items
        self.identity = {"items": items_digest(items), "grader": GRADER}

    def __call__(self, params: "Params", progress: Progress) -> EvalResult:
        contexts = [item.context for item in self._items for _ in item.choices]
        choices = [choice for item in self._items for choice in item.choices]
        scores = self._model.score(params, contexts, choices, progress=progress)
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
        ACCURACY.name: chosen == answers,
        ACCURACY_PER_BYTE.name: chosen_per_byte == answers,
        BITS.name: np.array(
            [
                -values[answer] / np.log(2)
                for values, answer in zip(log_probabilities, answers, strict=True)
            ]
        ),
    }
    clusters = [item.document for item in items]

    def mean(values: np.ndarray) -> Estimate:
        return clustered_mean(values, clusters)

    chance = float(np.mean([1 / len(item.choices) for item in items]))
    majority = np.bincount(answers).argmax()
    metrics = {
        spec.name: spec.metric(mean(scores[spec.name]), null_value=chance)
        for spec in (ACCURACY, ACCURACY_PER_BYTE)
    }
    metrics[BITS.name] = BITS.metric(mean(scores[BITS.name]))
    metrics[MAJORITY.name] = MAJORITY.metric(mean(answers == majority))
    for spec, extreme in ((SHORTEST, min), (LONGEST, max)):
        metrics[spec.name] = spec.metric(mean(np.array([_by_length(i, extreme) for i in items])))
    for position in range(max(len(item.choices) for item in items)):
        metrics[f"predicted/{position}"] = PREDICTED.metric(mean(chosen == position))
    records = [
        {
            "id": item.id,
            "answer": item.answer,
            "chosen": int(choice),
            "log_probabilities": values.tolist(),
        }
        for item, choice, values in zip(items, chosen, log_probabilities, strict=True)
    ]
    return EvalResult(metrics, ItemScores([item.id for item in items], scores, records, clusters))


def _by_length(item: MultipleChoiceItem, extreme: Callable[[Sequence[int]], int]) -> float:
    """Returns how often a choice of the shortest or longest text is right: 0, 1, or 1/k of k."""
    length = extreme(item.choice_bytes)
    is_right = item.choice_bytes[item.answer] == length
    return is_right / item.choice_bytes.count(length)


def _check(request: Request[MultipleChoiceOptions]) -> None:
    path = f"{request.path}.options.task"
    check_task(request.options.task, TASKS, kind="multiple_choice", path=path)


def _build(request: Request[MultipleChoiceOptions], resources: "Resources") -> MultipleChoice:
    items = load_items(
        resources.data_dir,
        request.options.task,
        MultipleChoiceItem,
        num_examples=request.num_examples,
        vocab_size=resources.config.model.vocab_size,
    )
    return MultipleChoice(resources.language_model, items)


EVALUATOR = EvaluatorKind(
    name="multiple_choice",
    options=MultipleChoiceOptions,
    metrics=(ACCURACY, ACCURACY_PER_BYTE, BITS, MAJORITY, SHORTEST, LONGEST, PREDICTED),
    build=_build,
    check=_check,
)
