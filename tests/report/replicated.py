"""Studies with replicates: score files as runs write them, of effects that are known."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from codepretrain.config.schema import ContrastConfig, LoggingConfig
from codepretrain.evals import estimate, multiple_choice
from codepretrain.evals.identity import identity_digest
from codepretrain.evals.item_scores import ItemScores, write_item_scores
from codepretrain.evals.validation_loss import NATS_PER_TOKEN
from codepretrain.files import json_values
from codepretrain.metrics.writer import MetricsWriter
from codepretrain.report.collect import PhaseInput, ReportInput, StudyResults
from codepretrain.report.compare import Comparison
from codepretrain.report.content import Content
from codepretrain.stream.ledger import Ledger

LOSS, QUIZ = "validation_loss", "quiz"
LOSS_METRIC = "source/code/nats_per_token"
IDENTITIES = {name: {"spec": name, "items": name, "grader": "1"} for name in (LOSS, QUIZ)}
STEP = 20


def phase(root: Path, name: str) -> PhaseInput:
    return PhaseInput(
        run_dir=str(root / "runs" / name),
        mixture=({"start_tokens": 0, "weights": {"code": 1.0}},),
        fingerprint=name,
        parent=None,
        parent_step=None,
        steps=STEP,
        tokens=STEP,
        requested_tokens=STEP,
        tokens_before=0,
        tokens_per_source={"code": STEP},
        epochs_per_source={"code": 1.0},
        learning_rate={"start": 0.1, "peak": 0.1, "end": 0.1},
    )


def replicated_study(
    root: Path, levels: Mapping[str, Sequence[float]], *, num_items: int = 80, seed: int = 0
) -> ReportInput:
    """Writes the runs of every variant, and returns the study; its first variant is the baseline.

    Args:
      levels: the true loss of each replicate of a variant; the accuracy falls with it.
    """
    names = {
        variant: [variant if k == 0 else f"{variant}-r{k}" for k in range(len(of))]
        for variant, of in levels.items()
    }
    rng = np.random.default_rng(seed)
    for variant, of in levels.items():
        for name, level in zip(names[variant], of, strict=True):
            write_run(root, name, level, num_items=num_items, rng=rng)
    return ReportInput(
        study="replicated",
        command="codepretrain report",
        code_version="0.1.0",
        baseline=next(iter(levels)),
        variants={variant: (of[0],) for variant, of in names.items()},
        replicates={variant: tuple((name,) for name in of) for variant, of in names.items()},
        phases={name: phase(root, name) for of in names.values() for name in of},
        evaluators=IDENTITIES,
        rows={"code": {}},
    )


def write_run(
    root: Path, name: str, level: float, *, num_items: int, rng: np.random.Generator
) -> None:
    """Writes a run's log and the item scores of a held-out loss and of a quiz at its end."""
    shared = np.random.default_rng(99)  # the same items for every run
    targets = shared.integers(50, 150, num_items).astype(float)
    hardness = shared.normal(0, 0.3, num_items)
    ease = shared.uniform(0, 1, num_items)
    nats = targets * (level + hardness + rng.normal(0, 0.05, num_items))
    right = (ease + rng.normal(0, 0.1, num_items) < 1.3 - 0.25 * level).astype(float)
    folder = root / "runs" / name
    results = {
        LOSS: (LOSS_METRIC, nats, targets),
        QUIZ: ("accuracy", right, None),
    }
    ledger = Ledger(step=STEP, sources={}, manifests={}, digest="7f" * 32)
    with MetricsWriter(folder, LoggingConfig(write_tensorboard=False), name) as writer:
        writer.log_step({"step": STEP, "tokens": STEP, "loss": level})
        for evaluator, (metric, values, weights) in results.items():
            ids = [f"{evaluator}/{i}" for i in range(num_items)]
            scores = {metric: values}
            if weights is None:
                found = multiple_choice.ACCURACY.metric(
                    estimate.proportion(values), null_value=0.25
                )
            else:
                scores[f"{metric}/weight"] = weights
                found = NATS_PER_TOKEN.metric(estimate.ratio_of_sums(values, weights))
            identity = IDENTITIES[evaluator]
            digest = identity_digest(identity)
            items = ItemScores(ids, scores, [], ids)
            marks = write_item_scores(folder, evaluator, STEP, digest, items)
            writer.log_evaluation(
                step=STEP,
                tokens=STEP,
                evaluator=evaluator,
                metrics={metric: found.to_json()},
                identity=identity,
                digest=digest,
                items=marks,
            )
    (folder / "ledger.json").write_text(json_values.encode(ledger.to_json()))


def content(results: StudyResults, comparison: Comparison) -> Content:
    """Returns the content of a report that has nothing but a comparison."""
    return Content(results=results, comparison=comparison, pairs=(), written_at="now")


def split_at_random(
    study: ReportInput, variant: str, metrics: Sequence[str], rng: np.random.Generator
) -> ReportInput:
    """Returns a study of two variants, "first" and "second", of one recipe.

    Each has half of the variant's replicates. Its contrasts are that each metric differs.
    """
    paths = study.replicates[variant]
    order = rng.permutation(len(paths))
    halves = {
        "first": tuple(paths[i] for i in sorted(order[: len(paths) // 2])),
        "second": tuple(paths[i] for i in sorted(order[len(paths) // 2 :])),
    }
    return replace(
        study,
        variants={name: of[0] for name, of in halves.items()},
        replicates=halves,
        baseline="first",
        contrasts={
            metric: ContrastConfig(
                metric=metric, direction="different", variants=("second", "first")
            )
            for metric in metrics
        },
    )
