"""Metrics of evaluations: the declaration of a metric, and a measured value.

An evaluator declares its metrics once, as `MetricSpec`s. Each recorded value repeats the
declaration, so a reader of `evals.jsonl`, such as the report, needs no evaluator's code.
"""

import dataclasses
import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from codepretrain.evals.estimate import Estimate

Direction = Literal["higher", "lower"]


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """The declaration of one metric, or of a family of metrics.

    Attributes:
      name: the metric's name; `*` stands for any text, as in `source/*/nats_per_token`.
      unit: of the value, such as "nats/token"; "fraction" is shown in percent.
      direction: which values are better; None for a description, such as a share of answers.
      is_primary: whether this is the evaluator's main metric. Other scores measure the same thing
        in another way and are not independent findings.
      cluster: the independently sampled unit that `count` counts and that the standard error is
        computed over, such as "document" or "item".
    """

    name: str
    unit: str
    direction: Direction | None
    cluster: str
    is_primary: bool = False

    def __post_init__(self) -> None:
        assert not (self.is_primary and self.direction is None), f"{self.name}: primary, no score"

    def metric(self, estimate: Estimate, *, null_value: float | None = None) -> "Metric":
        """Returns a measured value of this metric; see `Metric.null_value`."""
        return Metric(
            value=estimate.value,
            standard_error=estimate.standard_error,
            count=estimate.count,
            num_items=estimate.count if estimate.num_items is None else estimate.num_items,
            freedom=estimate.count - 1.0 if estimate.freedom is None else estimate.freedom,
            unit=self.unit,
            direction=self.direction,
            is_primary=self.is_primary,
            null_value=null_value,
            cluster=self.cluster,
        )

    def declares(self, name: str, metric: "Metric") -> bool:
        """Returns whether a measured value called `name` is one of this metric."""
        estimate = Estimate(
            metric.value, metric.standard_error, metric.count, metric.num_items, metric.freedom
        )
        ours = self.metric(estimate, null_value=metric.null_value)
        return fnmatch.fnmatchcase(name, self.name) and metric == ours


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A measured value with its standard error and its declaration (see `MetricSpec`).

    Attributes:
      standard_error: over the `count` clusters; NaN if there is only one cluster.
      num_items: items in all clusters; `count` where every cluster is one item.
      freedom: degrees of freedom of the standard error.
      null_value: the value that a model without any knowledge is expected to reach on these items
        (chance); None where it is unknown.
    """

    value: float
    standard_error: float
    count: int
    num_items: int
    freedom: float
    unit: str
    direction: Direction | None
    is_primary: bool
    null_value: float | None
    cluster: str

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Metric":
        """Returns the metric that `to_json` was called on.

        Raises:
          ValueError: a field is missing or unknown.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if value.keys() != names:
            missing, extra = sorted(names - value.keys()), sorted(value.keys() - names)
            raise ValueError(f"a metric has fields {missing} missing and {extra} unknown")
        return cls(**value)
