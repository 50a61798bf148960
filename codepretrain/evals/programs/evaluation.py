"""Evaluates parameters on programming problems: completes, runs, grades.

Every process makes the same calls to the language model and gets all completions. The programs are
spread over all processes. Process 0 reads the problems and keeps completions and grades as they
come; the others get them from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from etils import epath

from codepretrain.evals.evaluator import EvalResult
from codepretrain.evals.programs.baselines import baselines
from codepretrain.evals.programs.grading import Grading
from codepretrain.evals.programs.metrics import Sample, result
from codepretrain.evals.programs.problem import Problem
from codepretrain.evals.progress import Progress
from codepretrain.evals.sandbox.run import SandboxLimits
from codepretrain.evals.spread import agree_on_sandbox
from codepretrain.files.hashing import sha256_json

if TYPE_CHECKING:
    from codepretrain.evals.language_model import LanguageModel, RequestCache, Sampling
    from codepretrain.model.transformer import Params


@dataclass(frozen=True)
class Tokenized:
    """Problems with the token ids of their prompts, bos included, and of their references."""

    problems: Sequence[Problem]
    prompts: Sequence[Sequence[int]]
    references: Sequence[Sequence[int]]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How completions are drawn and graded. temperature 0 is greedy; ks are those of pass@k."""

    num_samples: int
    ks: Sequence[int]
    temperature: float
    top_p: float
    top_k: int | None
    seed: int
    max_new_tokens: int
    limits: SandboxLimits
    required_layers: Sequence[str]


class CodeGeneration:
    """Params → the share of problems that are solved."""

    def __init__(
        self,
        model: "LanguageModel",
        tokenized: Tokenized | None,
        settings: Settings,
        *,
        folder: epath.Path,
        identity: Mapping[str, str],
    ) -> None:
        """Takes the problems.

        Args:
          tokenized: on process 0; the others get it from there.
          folder: where what is unfinished is kept.
          identity: of process 0; see `evaluator.Evaluation`.
        """
        self._model = model
        self._tokenized = tokenized
        self._settings = settings
        self._folder = folder
        self._is_shared = False
        self._kept: list[RequestCache] = []
        self.identity = identity

    def __call__(self, params: "Params", progress: Progress) -> EvalResult:
        from codepretrain.evals.language_model import RequestCache  # imports JAX
        from codepretrain.hosts import share

        if not self._is_shared:  # not when it is built: agreements do not nest
            self._tokenized, self.identity = share((self._tokenized, self.identity))
            self._is_shared = True
        assert self._tokenized is not None
        problems, settings = self._tokenized.problems, self._settings
        limits = settings.limits
        sandbox = agree_on_sandbox(2 * (limits.memory_bytes + limits.disk_bytes))
        grading = Grading(problems, limits, settings.required_layers, sandbox)
        with self._model.keeping_answers(params, self._folder, name="requests") as answers:
            texts = self._complete(params, self._tokenized, progress)
            nats = self._reference_nats(params, self._tokenized, progress)
        digest = sha256_json({"model": answers.digest, **self.identity})
        with RequestCache(self._folder / f"{digest}-grades.jsonl", digest) as kept:
            wanted = [(i, text) for i, some in enumerate(texts) for text in some]
            grades = grading(wanted, progress, kept=kept)
        self._kept = [answers, kept]
        samples = [[Sample(text, grades[i, text]) for text in some] for i, some in enumerate(texts)]
        return result(
            problems,
            samples,
            nats=nats,
            baselines=baselines(grading, progress, folder=self._folder, identity=self.identity),
            ks=settings.ks,
        )

    def forget(self) -> None:
        """Removes the completions and grades of the last call, whose result is recorded."""
        while self._kept:
            self._kept.pop().remove()

    def _complete(
        self, params: "Params", tokenized: Tokenized, progress: Progress
    ) -> list[list[str]]:
        """Returns the texts of each problem's samples."""
        settings = self._settings
        completions = self._model.generate(
            params,
            tokenized.prompts,
            max_new_tokens=settings.max_new_tokens,
            stop=[[text.encode() for text in problem.stop] for problem in tokenized.problems],
            sampling=self._sampling(),
            num_samples=settings.num_samples,
            progress=progress,
        )
        return [[one.text.decode(errors="replace") for one in some] for some in completions]

    def _sampling(self) -> "Sampling | None":
        from codepretrain.evals.language_model import Sampling  # imports JAX

        settings = self._settings
        if not settings.temperature:
            return None
        return Sampling(
            temperature=settings.temperature,
            top_k=settings.top_k,
            top_p=settings.top_p,
            seed=settings.seed,
        )

    def _reference_nats(
        self, params: "Params", tokenized: Tokenized, progress: Progress
    ) -> np.ndarray:
        """Returns -log p of each reference after its prompt: [N] float64."""
        scores = self._model.score(
            params, tokenized.prompts, tokenized.references, progress=progress
        )
        return -scores.log_probabilities
