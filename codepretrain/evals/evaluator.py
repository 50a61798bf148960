"""The contract of an evaluator. Each one is a file that ends with a declaration:

    EVALUATOR = EvaluatorKind(name="…", options=…, metrics=(…), build=…)

`registry.py` lists the files. A declaration can be loaded without JAX, so that every command can
check a study's evaluations; `build` gets its resources from `Resources`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from codepretrain.config.schema import StudyConfig
from codepretrain.evals.item_scores import ItemScores
from codepretrain.evals.metric import Metric, MetricSpec
from codepretrain.evals.progress import Progress

if TYPE_CHECKING:
    from codepretrain.evals.resources import Resources
    from codepretrain.model.transformer import Params

Options = TypeVar("Options")


@dataclass(frozen=True)
class EvalResult:
    """Metrics by name, and the scores that they are computed from.

    Metrics of the same items have their scores under the same names (`item_scores.py`).
    """

    metrics: Mapping[str, Metric]
    items: ItemScores


class Evaluation(Protocol):
    """Computes an evaluation of parameters.

    It is a pure function of the parameters: the same parameters give the same result, in the
    training loop and from a checkpoint. On several processes all of them call it with the same
    parameters, and all get the same result. It may have `warnings`, lines about its items that are
    shown once, before anything is computed, and `forget`, which every process calls once a result
    is recorded, to remove what was kept for a restart.
    """

    @property
    def identity(self) -> Mapping[str, str]:
        """What decides the result besides the parameters: digests or short texts by name.

        "items": SHA-256 of the items used, ids and contents, in order. "prompts": of the templates
        or their token ids. "grader": the version of the grading code, increased by hand whenever a
        grade can change; for programs that are run, also the interpreter's version. "settings":
        other constants and options that decide the result. "spec" is reserved: `identity.py`.
        """
        ...

    def __call__(self, params: "Params", progress: Progress, /) -> EvalResult: ...


@dataclass(frozen=True, kw_only=True)
class Request(Generic[Options]):
    """One evaluation that a study asks for.

    path: its place in the configuration (`config.evals.prose`), for messages. num_examples: items
    of a task, or documents per source.
    """

    path: str
    num_examples: int
    options: Options


@dataclass(frozen=True, kw_only=True)
class EvaluatorKind(Generic[Options]):
    """The declaration of an evaluator.

    Attributes:
      name: the kind, as `config.evals.<name>.kind` names it; also the name of the file.
      options: the dataclass that `config.evals.<name>.options` is parsed into.
      metrics: the metrics it reports. Each metric of a result matches exactly one of them. One is
        primary, unless all only describe.
      build: makes the evaluation; reads items, computes nothing.
      check: raises UserError for an option's value that cannot be used; reads no data.
      check_study: raises UserError for an option that does not fit the study; reads no data.
      subjects: returns what `*` at the start of a metric's name stands for, None if that is only
        known once data is read.
      check_machine: raises UserError if this machine cannot run it. Process 0 is asked, before any
        data is prepared and before a phase starts.
      check_data: raises UserError for data that the evaluation reads beside the prepared data, and
        that is missing. Called with `check_machine`, and to plan a study; computes nothing.
      reads_held_out: whether it reads held-out rows or items made from held-out documents.
      execution_options: names of options that change how a result is computed, not the result.
    """

    name: str
    options: type[Options]
    metrics: tuple[MetricSpec, ...]
    build: Callable[[Request[Options], "Resources"], Evaluation]
    check: Callable[[Request[Options]], None] = lambda request: None
    check_study: Callable[[Request[Options], StudyConfig], None] = lambda request, config: None
    subjects: Callable[[Request[Options], StudyConfig], Collection[str] | None] = (
        lambda request, config: None
    )
    check_machine: Callable[[Request[Options]], None] = lambda request: None
    check_data: Callable[[Request[Options]], None] = lambda request: None
    reads_held_out: bool = True
    execution_options: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        is_score = any(spec.direction is not None for spec in self.metrics)
        is_known = not is_score or any(spec.is_primary for spec in self.metrics)
        assert is_known, f"{self.name}: no primary metric"

    def check_result(self, result: EvalResult) -> None:
        """Asserts that the result has the declared metrics and nothing else."""
        for name, metric in result.metrics.items():
            matching = [spec for spec in self.metrics if spec.declares(name, metric)]
            assert len(matching) == 1, f"{self.name}: {name} matches {len(matching)} declarations"


AnyEvaluatorKind = EvaluatorKind[Any]
