"""Tasks and items made by hand, with the answers of a model."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from codepretrain.evals.harness.load_tasks import LoadedTask
from codepretrain.evals.harness.render import Item, RenderedTask


def request(context: str, continuation: str, log_probability: float) -> Any:
    """Returns a request with its answer."""
    return SimpleNamespace(
        request_type="loglikelihood",
        args=(context, continuation),
        resps=[(log_probability, False)],
        filtered_resps={},
    )


def choice_item(
    number: int,
    choices: Sequence[str],
    answers: Sequence[int],
    log_probabilities: Sequence[float],
    *,
    cluster: str | None = None,
) -> Item:
    """Returns a multiple-choice item whose choices follow the context after a space."""
    requests = [
        request(f"q{number}", f" {choice}", value)
        for choice, value in zip(choices, log_probabilities, strict=True)
    ]
    name = f"task/{number}"
    return Item(name, cluster or name, {"n": number}, requests, choices, answers)


class Graded:
    """Stands in for a task of the harness that gives `metrics` for each document, in order."""

    def __init__(
        self, metrics: Sequence[dict[str, Any]] = (), aggregation: dict[str, Any] | None = None
    ) -> None:
        self.metrics = metrics
        self._aggregation = aggregation or {}
        self._instances: list[Any] = []

    def apply_filters(self) -> None:
        for instance in self._instances:
            instance.filtered_resps = {"none": instance.resps[0]}

    def process_results(self, document: dict[str, Any], results: list[Any]) -> dict[str, Any]:
        return self.metrics[document["n"]] if self.metrics else {}

    def aggregation(self) -> dict[str, Any]:
        return self._aggregation

    def higher_is_better(self) -> dict[str, bool]:
        return {"perplexity": False}


def rendered(
    items: Sequence[Item], *, kind: str = "multiple_choice", task: Any = None, category: str = "c"
) -> RenderedTask:
    return RenderedTask(LoadedTask("task", category, task or Graded()), kind, items)
