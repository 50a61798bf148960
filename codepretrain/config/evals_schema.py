"""The config fields of evaluations, and of the averages over them. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


def _empty() -> Mapping:
    return MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class EvaluatorConfig:
    """One evaluation: its kind, how often it runs, and on how much.

    It always runs at the end of a phase; with `interval_steps`, also at every such step, and with
    `interval_tokens`, at the first step after each such number of tokens of the phase. When it
    fails, `on_failure` "stop" saves and ends the run; "continue" records the failure and goes on.
    `num_examples` counts items of a task, or documents per source for the validation loss.
    `options` are the evaluator's own. `benchmarks` are the evaluation sets that it takes its items
    from, unless these are held-out documents. Each must be in `data.decontamination.benchmarks`, so
    that training data contains none of its text; with `allow_contamination` it need not.
    """

    kind: str
    interval_steps: int | None = None
    interval_tokens: int | None = None
    on_failure: str = "stop"
    num_examples: int = 200
    options: Mapping[str, str | int | float | bool] = field(default_factory=_empty)
    benchmarks: tuple[str, ...] = ()
    allow_contamination: bool = False


@dataclass(frozen=True, kw_only=True)
class AveragesConfig:
    """Averages over the scores of several evaluations, which the report computes and compares.

    `categories` maps a category to its scores, each `<evaluation>/<metric>` as in
    "suite/boolq/accuracy", or `<evaluation>` for its only primary metric. The category's average is
    the mean of its scores. `totals` maps a name to categories; a total is the mean of their
    averages. `excluded` are scores that are evaluated and left out of every average, the same for
    every variant, such as those of tasks on which not all models beat chance. The report also has
    the averages with them.
    """

    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    totals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    excluded: tuple[str, ...] = ()
