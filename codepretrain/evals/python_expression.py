"""Completes Python expressions and compares their values.

The prompt ends within an expression, and the model writes on to the end of the line. Its completion
ends where it first completes the prompt's expression; it is right if the expression then has the
value that it has in the document, in whatever spelling. A sandboxed program does all of this,
including the parsing.
"""

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from codepretrain.evals.estimate import Estimate, clustered_mean
from codepretrain.evals.evaluator import EvalResult, EvaluatorKind, Request
from codepretrain.evals.item_scores import ItemScores
from codepretrain.evals.metric import MetricSpec
from codepretrain.evals.progress import Progress
from codepretrain.evals.sandbox.layers import REQUIRED_LAYERS, parse_layers
from codepretrain.evals.sandbox.run import (
    Execution,
    SandboxLimits,
    run_programs,
)
from codepretrain.evals.spread import agree_on_sandbox, require_on_this_host, spread
from codepretrain.evals.task_items import check_task, items_digest, load_items

if TYPE_CHECKING:
    from codepretrain.evals.language_model import LanguageModel
    from codepretrain.evals.resources import Resources
    from codepretrain.model.transformer import Params

TASKS = ("python_expression",)

# The completed expression has the expected value. One greedy completion per item. The accuracy of
# chance is unknown, and next to nothing.
PASS_AT_1 = MetricSpec(
    name="pass_at_1",
    unit="fraction",
    direction="higher",
    cluster="document",
    is_primary=True,
)
# The completed expression has a value at all.
RUNS = MetricSpec(name="runs", unit="fraction", direction="higher", cluster="document")
# How many items a policy solves that closes the open brackets and quotes and writes nothing else.
CLOSING = MetricSpec(
    name="baseline/closes_brackets", unit="fraction", direction=None, cluster="document"
)
# The share of the most common value: what a policy that always has this value would solve.
MAJORITY = MetricSpec(name="baseline/majority", unit="fraction", direction=None, cluster="document")
# How the completions ended, by `outcome`.
PREDICTED = MetricSpec(name="predicted/*", unit="fraction", direction=None, cluster="document")
OUTCOMES = ("expected_value", "other_value", "no_value", "timeout", "memory", "output")

# Increase it with every change of the program or of `grade` that can change a grade.
GRADER = "1"

# An expression of one line needs little. Generous, so that a busy machine changes no result.
LIMITS = SandboxLimits(wall_s=20.0, cpu_s=5, memory_bytes=512 << 20, output_bytes=16 << 10)


@dataclass(frozen=True, kw_only=True)
class PythonExpressionOptions:
    """Options.

    Attributes:
      sandbox_layers: the layers of isolation (`sandbox/layers.py`), separated by commas, without
        which no generated program runs. Other layers are used where the machine grants them.
    """

    task: str = "python_expression"
    sandbox_layers: str = ",".join(REQUIRED_LAYERS)


@dataclass(frozen=True, kw_only=True)
class ExpressionItem:
    """The prompt ends with `expression_prefix`, which `reference` would complete.

    expected: `repr` of the expression's value, computed when the item was made. closing_is_right:
    whether the expression has this value when only its brackets and quotes are closed.
    """

    id: str
    document: str
    prompt: Sequence[int]
    expression_prefix: str
    expected: str
    reference: str
    closing_is_right: bool
    max_new_tokens: int

    def check(self) -> str | None:
        """Returns what is wrong with the item, None if nothing is."""
        if self.max_new_tokens < 1:
            return f"max_new_tokens: expected 1 or more, found {self.max_new_tokens}"
        return None

    @property
    def token_lists(self) -> list[Sequence[int]]:
        return [self.prompt]


class PythonExpression:
    """Params → how often the completed expression has the expected value.

    Every process generates, runs a share of the programs and gets the grades of all: a program that
    runs twice may give two results.
    """

    def __init__(
        self,
        model: "LanguageModel",
        items: Sequence[ExpressionItem],
        *,
        required_layers: Sequence[str] = REQUIRED_LAYERS,
    ) -> None:
        self._model = model
        self._items = items
        self._required_layers = required_layers
        self.identity = {
            "items": items_digest(items),
            "grader": f"{GRADER}, Python {platform.python_version()}",
        }

    def __call__(self, params: "Params", progress: Progress) -> EvalResult:
        completions = self._model.generate(
            params,
            [item.prompt for item in self._items],
            max_new_tokens=[item.max_new_tokens for item in self._items],
            stop=[b"\n"],
            progress=progress,
        )
        texts = [completion.text.decode(errors="replace") for (completion,) in completions]
        return result(self._items, self._grades(texts, progress))

    def _grades(self, texts: Sequence[str], progress: Progress) -> list[dict[str, Any]]:
        """Returns the record of each completion; every process runs a share of the programs."""
        from codepretrain.hosts import WAIT_S  # imports JAX

        sandbox = agree_on_sandbox(LIMITS.memory_bytes + LIMITS.disk_bytes)

        def run(part: Sequence[tuple[ExpressionItem, str]]) -> list[dict[str, Any]]:
            executions = run_programs(
                [program(item, text) for item, text in part],
                limits=LIMITS,
                required_layers=self._required_layers,
                layers=sandbox.layers,
                num_workers=sandbox.num_workers,
            )
            pairs = zip(part, executions, strict=True)
            return [grade(item, text, execution) for (item, text), execution in pairs]

        return spread(
            list(zip(self._items, texts, strict=True)),
            run,
            what="programs",
            per_process=sandbox.per_process,
            wait_s=WAIT_S + LIMITS.wall_s * sandbox.per_process,
            progress=progress,
        )


_PROGRAM = """\
import warnings
warnings.simplefilter("ignore")  # the compiler warns of unusual expressions

def completed(prefix, completion):
    for stop in range(1, len(completion) + 1):
        try:
            return compile(prefix + completion[:stop], "<expression>", "eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            pass
    raise SystemExit("no expression")

print(repr(eval(completed({prefix!r}, {completion!r}), {{}})))
"""


def program(item: ExpressionItem, completion: str) -> str:
    """Returns a program that prints the repr of the completed expression's value, and a newline."""
    return _PROGRAM.format(prefix=item.expression_prefix, completion=completion)


def grade(item: ExpressionItem, completion: str, execution: Execution) -> dict[str, Any]:
    """Returns the record of one completion, given the execution of its program."""
    has_value = execution.status == "passed" and execution.stdout.endswith(b"\n")
    is_right = has_value and execution.stdout == f"{item.expected}\n".encode()
    outcome = execution.status if execution.status in OUTCOMES else "no_value"
    if has_value:
        outcome = "expected_value" if is_right else "other_value"
    return {
        "id": item.id,
        "completion": completion,
        "reference": item.reference,
        "expected": item.expected,
        "printed": execution.stdout[:200].decode(errors="replace"),
        "status": execution.status,
        "isolation": list(execution.isolation),
        RUNS.name: has_value,
        PASS_AT_1.name: is_right,
        "outcome": outcome,
    }


def result(items: Sequence[ExpressionItem], grades: Sequence[Mapping[str, Any]]) -> EvalResult:
    """Returns the result of graded completions."""
    clusters = [item.document for item in items]

    def share(is_so: Sequence[bool] | np.ndarray) -> Estimate:
        return clustered_mean(is_so, clusters)

    scores = {spec.name: np.array([g[spec.name] for g in grades]) for spec in (PASS_AT_1, RUNS)}
    metrics = {spec.name: spec.metric(share(scores[spec.name])) for spec in (PASS_AT_1, RUNS)}
    [(majority, _)] = Counter(item.expected for item in items).most_common(1)
    metrics[MAJORITY.name] = MAJORITY.metric(share([i.expected == majority for i in items]))
    metrics[CLOSING.name] = CLOSING.metric(share([item.closing_is_right for item in items]))
    for outcome in OUTCOMES:
        predicted = share([grade["outcome"] == outcome for grade in grades])
        metrics[f"predicted/{outcome}"] = PREDICTED.metric(predicted)
    return EvalResult(metrics, ItemScores([item.id for item in items], scores, grades, clusters))


def _check(request: Request[PythonExpressionOptions]) -> None:
    path = f"{request.path}.options.task"
    check_task(request.options.task, TASKS, kind="python_expression", path=path)
    _layers(request)


def _layers(request: Request[PythonExpressionOptions]) -> tuple[str, ...]:
    return parse_layers(request.options.sandbox_layers, path=_layers_path(request))


def _layers_path(request: Request[PythonExpressionOptions]) -> str:
    return f"{request.path}.options.sandbox_layers"


def _check_machine(request: Request[PythonExpressionOptions]) -> None:
    require_on_this_host(_layers(request), option=_layers_path(request))


def _build(request: Request[PythonExpressionOptions], resources: "Resources") -> PythonExpression:
    _check_machine(request)  # on every process: each one runs programs
    items = load_items(
        resources.data_dir,
        request.options.task,
        ExpressionItem,
        num_examples=request.num_examples,
        vocab_size=resources.config.model.vocab_size,
    )
    return PythonExpression(resources.language_model, items, required_layers=_layers(request))


EVALUATOR = EvaluatorKind(
    name="python_expression",
    options=PythonExpressionOptions,
    metrics=(PASS_AT_1, RUNS, MAJORITY, CLOSING, PREDICTED),
    build=_build,
    check=_check,
    check_machine=_check_machine,
    execution_options=frozenset({"sandbox_layers"}),
)
