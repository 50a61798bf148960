"""An evaluation of planted completions: a model that writes what it is told."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from etils import epath

from codepretrain.evals.evaluator import EvalResult
from codepretrain.evals.language_model import Completion, LanguageModel, RequestCache, Scores
from codepretrain.evals.params_digest import params_digest
from codepretrain.evals.programs.evaluation import CodeGeneration, Settings, Tokenized
from codepretrain.evals.programs.human_eval import problems
from codepretrain.evals.programs.problem import Problem
from codepretrain.evals.progress import no_progress
from codepretrain.evals.sandbox.layers import REQUIRED_LAYERS
from codepretrain.evals.sandbox.run import SandboxLimits
from tests.evals.programs.conftest import HUMAN_EVAL

LIMITS = SandboxLimits(wall_s=30.0, cpu_s=1, memory_bytes=256 << 20, output_bytes=1 << 20)
BITS = 8.0  # of every reference
PARAMS = {"layer": np.arange(4, dtype=np.float32)}
RIGHT = (
    "\n    return sum(numbers)",
    "\n    h = (len(text) + 1) // 2\n    return text[h:] + text[:h]",
)
PLANTED: dict[str, list[str]] = {
    "HumanEval/0": [RIGHT[0], "\n    return 0", RIGHT[0], "\n    return ("],
    "HumanEval/1": [
        "\n    while True: pass",
        "\n    1/0",
        RIGHT[1],
        "\n    import os; os._exit(0)",
    ],
    "HumanEval/2": ["\n    return value", "\n    return value\n", "\n    return value", "NaN"],
}
REASONS = {
    "HumanEval/0": ["passed", "wrong", "passed", "invalid"],
    "HumanEval/1": ["timeout", "error", "passed", "exited"],
    "HumanEval/2": ["passed", "passed", "passed", "invalid"],
}


class PlantedModel:
    """Writes `PLANTED`; `calls` has the arguments of each call."""

    def __init__(self, found: Sequence[Problem]) -> None:
        self._ids = {(position + 1,): problem.id for position, problem in enumerate(found)}
        self.calls: list[dict[str, Any]] = []

    @contextlib.contextmanager
    def keeping_answers(
        self, params: Any, folder: epath.Path, *, name: str
    ) -> Iterator[RequestCache]:
        with RequestCache(folder / name, params_digest(params)) as cache:
            yield cache

    def generate(
        self, params: Any, prompts: Sequence[Sequence[int]], *, num_samples: int, **keywords: Any
    ) -> list[list[Completion]]:
        self.calls.append({"prompts": prompts, **keywords})
        texts = [PLANTED[self._ids[tuple(prompt)]][:num_samples] for prompt in prompts]
        return [[Completion([1], text.encode(), "stop") for text in some] for some in texts]

    def score(self, params: Any, contexts: Any, continuations: Any, **_: Any) -> Scores:
        nats = np.full(len(contexts), -BITS * np.log(2))
        return Scores(nats, np.zeros(len(contexts), bool), np.ones(len(contexts), int))


def settings(**changes: Any) -> Settings:
    return Settings(
        **{
            "num_samples": 4,
            "ks": [1, 2],
            "temperature": 0.8,
            "top_p": 0.95,
            "top_k": None,
            "seed": 0,
            "max_new_tokens": 8,
            "limits": LIMITS,
            "required_layers": REQUIRED_LAYERS,
            **changes,
        }
    )


def evaluation(
    folder: Path,
    *,
    identity: Mapping[str, str] | None = None,
    **changes: Any,
) -> tuple[CodeGeneration, PlantedModel]:
    found = problems(HUMAN_EVAL, keep_line_break=False)
    model = PlantedModel(found)
    prompts = [(position + 1,) for position in range(len(found))]
    return (
        CodeGeneration(
            cast(LanguageModel, model),
            Tokenized(found, prompts, prompts),
            settings(**changes),
            folder=epath.Path(folder),
            identity=identity or {"items": "planted"},
        ),
        model,
    )


def evaluate(folder: Path, **keywords: Any) -> EvalResult:
    return evaluation(folder, **keywords)[0](PARAMS, no_progress)
