"""Studies of which every variant is the same recipe, as the report collects them, without files.

    score of a run = Σ over its phases of (run + run × item) + difficulty of cluster and item

so that variants that share phases share what arose in them. Nothing that the report says of a
difference between them is true, but what it says of checkpoints.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from codepretrain.evals.metric import Metric
from codepretrain.report.collect import PhaseInput, ReportInput, RunResults, StudyResults
from codepretrain.report.differences import Reader
from codepretrain.report.evaluations import Evaluation
from codepretrain.report.paired import PairedScores
from tests.report.replicated import STEP, phase

Paths = Mapping[str, Sequence[tuple[str, ...]]]  # variant → the phases of each replicate


@dataclass(frozen=True, kw_only=True)
class SameRecipe:
    """A study of one recipe.

    Attributes:
      tasks: task → number of clusters of two items.
      run_sd: between runs, of the score of a path; equal parts arise in its phases.
      plans: phase without its replicate → what differs from a plain plan.
      effects: phase without its replicate → what it adds to a score.
    """

    paths: Paths
    tasks: Mapping[str, int] = field(default_factory=lambda: {"a": 30, "b": 50, "c": 80})
    run_sd: float = 0.3
    noise_sd: float = 0.5
    plans: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    effects: Mapping[str, float] = field(default_factory=dict)

    def draw(self, rng: np.random.Generator) -> tuple[StudyResults, Reader]:
        """Returns the results of a study, and the reader of its items."""
        tables = {name: self._scores(rng, clusters) for name, clusters in self.tasks.items()}
        runs = self._runs(tables)
        variants = {variant: tuple(of[0]) for variant, of in self.paths.items()}
        spec = ReportInput(
            study="same",
            command="",
            code_version="",
            baseline=next(iter(variants)),
            variants=variants,
            replicates={variant: tuple(map(tuple, of)) for variant, of in self.paths.items()},
            phases={name: run.plan for name, run in runs.items()},
            evaluators={name: {"spec": name} for name in self.tasks},
            rows={},
        )

        def read(evaluation: Evaluation) -> Mapping[str, PairedScores]:
            values = tables[evaluation.evaluator][evaluation.folder]
            ids = [str(i) for i in range(len(values))]
            clusters = [str(i // 2) for i in range(len(values))]
            return {"score": PairedScores(ids=ids, clusters=clusters, values=values)}

        results = StudyResults(spec=spec, runs=runs, manifests={}, problems=())
        return results, Reader(read, [])

    def _scores(self, rng: np.random.Generator, num_clusters: int) -> dict[str, np.ndarray]:
        """Returns phase → the scores of its end, [items]."""
        difficulty = np.repeat(rng.normal(0, 0.7, num_clusters), 2)
        difficulty = difficulty + rng.normal(0, 0.7, 2 * num_clusters)
        longest = max(len(path) for of in self.paths.values() for path in of)
        own: dict[str, np.ndarray] = {}
        found: dict[str, np.ndarray] = {}
        for path in (path for of in self.paths.values() for path in of):
            for place, name in enumerate(path):
                if name not in own:
                    run = rng.normal(0, self.run_sd / longest**0.5)
                    run += self.effects.get(name.split("-")[0], 0.0)
                    noise = rng.normal(0, self.noise_sd / longest**0.5, 2 * num_clusters)
                    own[name] = run + noise
                found[name] = difficulty + sum(own[of] for of in path[: place + 1])
        return found

    def _runs(self, tables: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, RunResults]:
        runs = {}
        for path in (path for of in self.paths.values() for path in of):
            for parent, name in zip((None, *path), path, strict=False):
                if name not in runs:
                    evaluations = tuple(_evaluation(task, name, of) for task, of in tables.items())
                    runs[name] = RunResults(
                        name=name,
                        plan=self._plan(name, parent),
                        log=({"step": STEP},),
                        evaluations=evaluations,
                        unusable={},
                        sessions=(),
                        starts=(),
                        ledger=None,
                        provenance={},
                        problems=(),
                    )
        return runs

    def _plan(self, name: str, parent: str | None) -> PhaseInput:
        plan = phase(Path("/nowhere"), name)
        if parent is not None:
            plan = replace(plan, parent=parent, parent_step=STEP, tokens_before=STEP)
        return replace(plan, **self.plans.get(name.split("-")[0], {}))


def _evaluation(task: str, name: str, tables: Mapping[str, np.ndarray]) -> Evaluation:
    values = tables[name]
    metric = Metric(
        value=float(values.mean()),
        standard_error=float(values.std(ddof=1)) / len(values) ** 0.5,
        count=len(values) // 2,
        num_items=len(values),
        freedom=len(values) / 2 - 1,
        unit="nats/token",
        direction="lower",
        is_primary=True,
        null_value=None,
        cluster="passage",
    )
    return Evaluation(
        step=STEP,
        evaluator=task,
        digest=task,
        identity={"spec": task},
        metrics={"score": metric},
        folder=name,
    )


def apart(counts: Mapping[str, int]) -> Paths:
    """Returns variants of one phase each, with a number of replicates."""
    return {variant: [(f"{variant}-r{k}",) for k in range(n)] for variant, n in counts.items()}


def of_trunks(counts: Mapping[str, int], *, is_replicated: bool = True) -> Paths:
    """Returns variants that follow one trunk: replicate k of each that of the trunk.

    Args:
      is_replicated: whether the trunk has replicates; else all follow its only run.
    """
    return {
        variant: [(f"trunk-r{k if is_replicated else 0}", f"{variant}-r{k}") for k in range(n)]
        for variant, n in counts.items()
    }
