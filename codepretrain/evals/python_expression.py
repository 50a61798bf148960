"""Completes Python expressions and looks at their value.

The prompt ends within an expression, and the model writes on to the end of the line. Its completion
ends where it first makes an expression of what stood in the prompt; it is right if that has the
value that the expression has in the document, however it is written. All of this, the parsing too,
is done by a program in the sandbox.
"""

from collections.abc import Sequence

import numpy as np

from codepretrain.evals.items import EvalResult, Items
from codepretrain.evals.language_model import LanguageModel
from codepretrain.evals.metric import proportion
from codepretrain.evals.sandbox.layers import REQUIRED_LAYERS
from codepretrain.evals.sandbox.run import Execution, SandboxLimits, run_programs
from codepretrain.evals.tasks import GenerationItem
from codepretrain.model.transformer import Params

# An expression of one line needs little. Wide enough that a busy machine changes no result.
LIMITS = SandboxLimits(wall_s=20.0, cpu_s=5, memory_bytes=512 << 20, output_bytes=16 << 10)


class PythonExpression:
    """Params → how often the completed expression has the expected value.

    Metrics: `pass_at_1`, and `runs`, how often the expression has a value at all. One greedy
    completion per item. Every process generates and runs the programs; the results are the same.
    """

    def __init__(
        self,
        model: LanguageModel,
        items: Sequence[GenerationItem],
        *,
        required_layers: Sequence[str] = REQUIRED_LAYERS,
    ) -> None:
        self._model = model
        self._items = items
        self._required_layers = required_layers

    def __call__(self, params: Params) -> EvalResult:
        most = max(item.max_new_tokens for item in self._items)
        completions = self._model.generate(
            params, [item.prompt for item in self._items], max_new_tokens=most, stop_bytes=b"\n"
        )
        decode = self._model.vocabulary.decode
        texts = [
            decode(ids[: item.max_new_tokens]).partition(b"\n")[0].decode(errors="replace")
            for item, ids in zip(self._items, completions, strict=True)
        ]
        programs = [program(item, text) for item, text in zip(self._items, texts, strict=True)]
        executions = run_programs(programs, limits=LIMITS, required_layers=self._required_layers)
        return grade(self._items, texts, executions)


_PROGRAM = """\
import warnings
warnings.simplefilter("ignore")  # of a compiler that finds the expression odd

def completed(prefix, completion):
    for stop in range(1, len(completion) + 1):
        try:
            return compile(prefix + completion[:stop], "<expression>", "eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            pass
    raise SystemExit("no expression")

print(repr(eval(completed({prefix!r}, {completion!r}), {{}})))
"""


def program(item: GenerationItem, completion: str) -> str:
    """Returns a program that prints the repr of the completed expression's value, and a newline."""
    return _PROGRAM.format(prefix=item.expression_prefix, completion=completion)


def grade(
    items: Sequence[GenerationItem], completions: Sequence[str], executions: Sequence[Execution]
) -> EvalResult:
    """Returns the result of these completions, given what became of their programs."""
    scores = {
        "pass_at_1": np.array(
            [
                execution.status == "passed" and execution.stdout == f"{item.expected}\n".encode()
                for item, execution in zip(items, executions, strict=True)
            ]
        ),
        "runs": np.array([execution.status == "passed" for execution in executions]),
    }
    records = [
        {
            "id": item.id,
            "completion": completion,
            "reference": item.reference,
            "expected": item.expected,
            "printed": execution.stdout[:200].decode(errors="replace"),
            "status": execution.status,
            "isolation": list(execution.isolation),
        }
        for item, completion, execution in zip(items, completions, executions, strict=True)
    ]
    metrics = {name: proportion(values) for name, values in scores.items()}
    return EvalResult(metrics, Items(scores, records))
