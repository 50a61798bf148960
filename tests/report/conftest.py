"""A study that looks trained: written with the product's own writers, plausible in its numbers."""

import json
import math
import shutil
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codepretrain.config.schema import LoggingConfig
from codepretrain.evals import estimate, multiple_choice
from codepretrain.evals.identity import identity_digest
from codepretrain.evals.item_scores import ItemScores, write_item_scores
from codepretrain.evals.validation_loss import BITS_PER_BYTE, NATS_PER_TOKEN
from codepretrain.files import json_values
from codepretrain.files.directory import whole_directory
from codepretrain.files.sealed import write_sealed
from codepretrain.metrics.writer import MetricsWriter
from codepretrain.report.collect import PhaseInput, ReportInput, collect
from codepretrain.report.compare import compare_to_baseline
from codepretrain.rows.format import FORMAT_VERSION, SPLITS
from codepretrain.rows.manifest import MANIFEST, RowsManifest, rows_directory
from codepretrain.rows.part import Part, merkle_root
from codepretrain.stream.ledger import Ledger, SourceLedger

STEP_TOKENS = 16 * 128
SOURCES = ("text_reference", "text_docstrings", "code")
HELD = {"text_reference": 1_100, "text_docstrings": 2_400, "code": 5_200}  # rows
TEXT = {"text_reference": 0.35, "text_docstrings": 0.65, "code": 0.0}
CODE = {"text_reference": 0.0, "text_docstrings": 0.0, "code": 1.0}
BALANCED = {"text_reference": 0.175, "text_docstrings": 0.325, "code": 0.5}
MOSTLY_TEXT = {"text_reference": 0.315, "text_docstrings": 0.585, "code": 0.1}
# name: (parent, parent step, steps, mixture stretches (step, weights), rates at start/peak/end)
PHASES = {
    "text_pretrain": (None, None, 400, [(0, TEXT)], (3e-5, 3e-3, 3e-4)),
    "balanced_init": (None, None, 240, [(0, BALANCED)], (3e-5, 3e-3, 3e-3)),
    "balanced_continue": ("balanced_init", 200, 200, [(0, MOSTLY_TEXT)], (3e-3, 3e-3, 3e-4)),
    "code_init": (None, None, 200, [(0, CODE)], (3e-5, 3e-3, 3e-4)),
    "code_continue": (
        "code_init",
        200,
        200,
        [(0, BALANCED), (60, MOSTLY_TEXT)],
        (3e-3, 3e-3, 3e-4),
    ),
    "cooldown_text": ("balanced_continue", 200, 60, [(0, TEXT)], (3e-4, 3e-4, 1e-6)),
    "cooldown_code": (
        "balanced_continue",
        200,
        60,
        [(0, {"text_reference": 0.28, "text_docstrings": 0.52, "code": 0.2})],
        (3e-4, 3e-4, 1e-6),
    ),
}
VARIANTS = {
    "text_only": ("text_pretrain",),
    "balanced_to_text": ("balanced_init", "balanced_continue"),
    "code_to_text": ("code_init", "code_continue"),
    "cooldown_text": ("balanced_init", "balanced_continue", "cooldown_text"),
    "cooldown_with_code": ("balanced_init", "balanced_continue", "cooldown_code"),
}


EVALUATORS = ("validation_loss", "prose_continuation", "code_continuation", "python_expression")
IDENTITIES = {name: {"spec": name, "items": f"{name} items", "grader": "1"} for name in EVALUATORS}


def fingerprint_of(name):
    return (name.encode().hex() * 8)[:64]


def plan_phase(name, root):
    parent, parent_step, steps, stretches, rates = PHASES[name]
    starts = [step for step, _ in stretches]
    rows = dict.fromkeys(SOURCES, 0.0)
    for (start, weights), stop in zip(stretches, [*starts[1:], steps], strict=True):
        for source in SOURCES:
            rows[source] += weights[source] * (stop - start) * 16
    before = plan_phase(parent, root).tokens_before if parent else 0
    return PhaseInput(
        run_dir=str(root / "runs" / f"{name}-{fingerprint_of(name)[:12]}"),
        mixture=tuple({"start_tokens": s * STEP_TOKENS, "weights": w} for s, w in stretches),
        fingerprint=fingerprint_of(name),
        parent=parent,
        parent_step=parent_step,
        steps=steps,
        tokens=steps * STEP_TOKENS,
        requested_tokens=round(steps * STEP_TOKENS, -4),
        tokens_before=before + (parent_step or 0) * STEP_TOKENS,
        tokens_per_source={s: round(n) * 128 for s, n in rows.items() if n},
        epochs_per_source={s: n / HELD[s] for s, n in rows.items() if n},
        learning_rate=dict(zip(("start", "peak", "end"), rates, strict=True)),
    )


def rate_at(plan, step):
    start, peak, end = (plan.learning_rate[k] for k in ("start", "peak", "end"))
    warmup = 20 if start < peak else 0
    if step < warmup:
        return start + (peak - start) * step / warmup
    progress = (step - warmup) / max(1, plan.steps - 1 - warmup)
    return end + (peak - end) * 0.5 * (1 + math.cos(math.pi * progress))


class Learner:
    """Loss per source falls with what was read of it, and a little with what was read of others."""

    def __init__(self, seen=None):
        self.seen = dict(seen or dict.fromkeys(SOURCES, 0.0))
        self.seen_at = {}

    def read(self, weights):
        for source in SOURCES:
            self.seen[source] += weights[source]

    def loss(self, source, annealed):
        kin = {"text_reference": "text_docstrings", "text_docstrings": "text_reference"}
        own = self.seen[source] + 0.35 * self.seen.get(kin.get(source, ""), 0)
        other = sum(self.seen.values()) - self.seen[source]
        floor = {"text_reference": 3.3, "text_docstrings": 2.9, "code": 1.9}[source]
        return floor + 5.6 * (1 + own / 3 + other / 14) ** -0.42 - 0.1 * annealed


def items_of(source, learner, annealed, *, noise):
    shared = np.random.default_rng(len(source))  # the same rows for every model
    hardness = shared.normal(0, 0.35, 120)
    targets = shared.integers(96, 129, 120).astype(float)
    bytes_of = targets * shared.normal(3.6, 0.2, 120)
    own = np.random.default_rng(noise).normal(0, 0.05, 120)
    nats = targets * (learner.loss(source, annealed) + hardness + own)
    return nats, targets, bytes_of


def of_all(source, values):
    """Returns values of the rows of all sources from those of one; the others are NaN."""
    found = np.full((len(SOURCES), 120), np.nan)
    found[SOURCES.index(source)] = values
    return found.ravel()


def of_source(source, values):
    return values.reshape(len(SOURCES), 120)[SOURCES.index(source)]


def validation(learner, annealed, *, noise):
    """Returns (metrics, items) of the held-out loss."""
    metrics: dict[str, Any] = {}
    scores: dict[str, Any] = {}
    for source in SOURCES:
        nats, targets, bytes_of = items_of(source, learner, annealed, noise=noise)
        name = f"source/{source}/nats_per_token"
        metrics[name] = NATS_PER_TOKEN.metric(estimate.ratio_of_sums(nats, targets))
        scores |= {name: of_all(source, nats), f"{name}/weight": of_all(source, targets)}
        name, bits = f"source/{source}/bits_per_byte", nats / math.log(2)
        metrics[name] = BITS_PER_BYTE.metric(estimate.ratio_of_sums(bits, bytes_of))
        scores |= {name: of_all(source, bits), f"{name}/weight": of_all(source, bytes_of)}
    for measure, spec in (("nats_per_token", NATS_PER_TOKEN), ("bits_per_byte", BITS_PER_BYTE)):
        parts, weights = (
            [of_source(source, scores[f"source/{source}/{name}"]) for source in SOURCES]
            for name in (measure, f"{measure}/weight")
        )
        scores[f"all/{measure}"] = np.concatenate(parts)
        scores[f"all/{measure}/weight"] = np.concatenate(weights)
        scores[f"all/{measure}/stratum"] = np.repeat(np.arange(len(SOURCES)), 120)
        ratios = [estimate.ratio_of_sums(*pair) for pair in zip(parts, weights, strict=True)]
        average = estimate.weighted_average(ratios, [w.sum() for w in weights])
        metrics[f"all/{measure}"] = spec.metric(average)
    ids = [f"{source}/{row}" for source in SOURCES for row in range(120)]
    return metrics, ItemScores(ids, scores, [], ids)


def task(learner, *, source, noise, ease):
    shared = np.random.default_rng(7).uniform(size=200)
    own = np.random.default_rng(noise).uniform(-0.12, 0.12, 200)
    threshold = ease - 0.22 * learner.loss(source, 0.0)
    right = (shared + own < threshold).astype(float)
    accuracy, per_byte = (estimate.proportion(values) for values in (right, 1 - right))
    metrics = {
        "accuracy": multiple_choice.ACCURACY.metric(accuracy, null_value=0.25),
        "accuracy_per_byte": multiple_choice.ACCURACY_PER_BYTE.metric(per_byte, null_value=0.25),
        "baseline/majority": multiple_choice.MAJORITY.metric(estimate.proportion(shared < 0.27)),
        "baseline/shortest": multiple_choice.SHORTEST.metric(estimate.proportion(shared < 0.31)),
        "predicted/0": multiple_choice.PREDICTED.metric(estimate.proportion(shared < 0.4)),
        "predicted/1": multiple_choice.PREDICTED.metric(estimate.proportion(shared >= 0.4)),
    }
    ids = [f"{source}/{number}" for number in range(200)]
    scores = {"accuracy": right, "accuracy_per_byte": 1 - right}
    return metrics, ItemScores(ids, scores, [], ids)


def write_manifests(root):
    for source in SOURCES:
        for split, num_rows in (("train", HELD[source]), ("validation", 120)):
            padding = num_rows * {"text_reference": 2, "text_docstrings": 4, "code": 1}[source]
            documents = num_rows // (1 if source == "code" else 2)
            manifest = RowsManifest(
                source=source,
                split=split,
                format_version=FORMAT_VERSION,
                max_seq_len=128,
                packing="best_fit",
                vocab_size=4096,
                num_documents=documents,
                num_bytes=num_rows * 440,
                num_tokens=num_rows * 128 - padding + documents,
                num_target_tokens=num_rows * 128 - padding,
                num_rows=num_rows,
                num_padding=padding,
                num_split_documents=documents // (2 if source == "code" else 9),
                tokenizer_hash="ab" * 32,
                identity="cd" * 32,
                rows_sha256=merkle_root(["45" * 32]),
                documents_hash="01" * 32,
                vocabulary_hash="23" * 32,
                parts=(Part("part-00000", num_rows, documents, "45" * 32),),
            )
            with whole_directory(rows_directory(root, source, split)) as folder:
                write_sealed(folder / MANIFEST, manifest.to_json())


def write_time(plan, run_dir, last_step):
    kinds = ("program", "compile", "train", "save", "evaluate", "wait_for_data")
    seconds = (2.1, 4.6, 0.085 * last_step, 0.9, 2.8, 0.002 * last_step)
    cut = last_step * 6 // 10
    sessions = [(0, cut + 5), (cut, last_step)] if plan.parent is None else [(0, last_step)]
    lines = []
    for index, (first, last) in enumerate(sessions):
        part = (last - first) / last_step
        spent = {kind: part * s for kind, s in zip(kinds, seconds, strict=True)}
        line = {
            "session": index,
            "started_at": f"2025-11-20T12:{10 + index}:00+00:00",
            "first_step": first,
            "last_step": last,
            "devices": "1 × cpu",
            "seconds": spent,
            "wall_s": sum(spent.values()),
        }
        lines.append(json_values.encode(line) + "\n")
    (run_dir / "time.jsonl").write_text("".join(lines))


def write_ledger(run_dir, step, rows):
    sources = {
        source: SourceLedger(
            requested_rows=count,
            rows=round(count),
            tokens=round(count) * 128,
            target_tokens=round(count) * 126,
            documents=round(count * 0.6),
            bytes=round(count * 430),
            start_ordinal=0,
            ordinal=round(count),
            path_rows=round(count),
            epochs=round(count) / HELD[source],
        )
        for source, count in rows.items()
        if count
    }
    hashes = {source: f"{index}a" * 32 for index, source in enumerate(sources)}
    ledger = Ledger(step=step, sources=sources, manifests=hashes, digest="7f" * 32)
    (run_dir / "ledger.json").write_text(json_values.encode(ledger.to_json()))


def evaluate(writer, run_dir, learner, step, *, annealed, noise):
    results = {
        "validation_loss": validation(learner, annealed, noise=noise),
        "prose_continuation": task(learner, source="text_docstrings", noise=noise, ease=1.45),
        "code_continuation": task(learner, source="code", noise=noise, ease=1.3),
        "python_expression": task(learner, source="code", noise=noise, ease=0.86),
    }
    for name, (metrics, items) in results.items():
        identity = IDENTITIES[name]
        digest = identity_digest(identity)
        marks = write_item_scores(run_dir, name, step, digest, items)
        writer.log_evaluation(
            step=step,
            tokens=step * STEP_TOKENS,
            evaluator=name,
            metrics={key: value.to_json() for key, value in metrics.items()},
            identity=identity,
            digest=digest,
            items=marks,
        )


def train(plan, name, learner, *, stop_step):
    """Writes the run of one phase up to `stop_step`; `learner` ends where the phase does."""
    run_dir = Path(plan.run_dir)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    anneals = plan.learning_rate["end"] < 1e-5
    rows = dict.fromkeys(SOURCES, 0.0)
    with MetricsWriter(run_dir, LoggingConfig(write_tensorboard=False), name) as writer:
        for step in range(stop_step + 1):
            annealed = step / plan.steps if anneals else 0.0
            if step % 25 == 0 or step == plan.steps:
                evaluate(
                    writer, run_dir, learner, step, annealed=annealed, noise=rng.integers(1 << 30)
                )
            weights = plan.shares_at(step * STEP_TOKENS)
            if step == stop_step:
                break
            learner.read(weights)
            learner.seen_at[step + 1] = dict(learner.seen)
            loss = sum(weights[s] * learner.loss(s, annealed) for s in SOURCES)
            rows = {s: rows[s] + 16 * weights[s] for s in SOURCES}
            writer.log_step(
                {
                    "step": step + 1,
                    "tokens": (step + 1) * STEP_TOKENS,
                    "loss": np.float32(loss + rng.normal(0, 0.08)),
                    "learning_rate": rate_at(plan, step),
                    "skipped": name == "code_init" and step in (70, 71),
                    "num_skipped": sum(step >= s for s in (70, 71)) if name == "code_init" else 0,
                }
            )
    run = {"phase": name, "fingerprint": plan.fingerprint, "parent": plan.parent}
    (run_dir / "run.json").write_text(json.dumps(run))
    write_time(plan, run_dir, stop_step)
    write_ledger(run_dir, stop_step, rows)


def build_study(root, *, unfinished=None):
    """unfinished: phase → step at which it stopped; 0 was never begun."""
    write_manifests(root)
    plans = {name: plan_phase(name, root) for name in PHASES}
    learners: dict[str, Learner] = {}
    for name, plan in plans.items():
        learners[name] = Learner(
            learners[plan.parent].seen_at[plan.parent_step] if plan.parent else None
        )
        stop_step = (unfinished or {}).get(name, plan.steps)
        if stop_step:
            train(plan, name, learners[name], stop_step=stop_step)
    return ReportInput(
        study="demo",
        command="codepretrain run --config experiments/demo.py",
        code_version="0.1.0 (4f2c9e1)",
        baseline="text_only",
        variants=VARIANTS,
        phases=plans,
        evaluators=IDENTITIES,
        rows={
            source: {split: str(rows_directory(root, source, split)) for split in SPLITS}
            for source in SOURCES
        },
        details={"Parameters": "1.9M (0.8M without embeddings)", "Sequence": "128 tokens"},
    )


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """All five variants complete. Read only."""
    return build_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="session")
def unfinished_study(tmp_path_factory):
    """One variant under way, one never begun. Read only."""
    root = tmp_path_factory.mktemp("unfinished")
    return build_study(root, unfinished={"cooldown_text": 35, "cooldown_code": 0})


@pytest.fixture
def copied_study(study, tmp_path):
    """The complete study in a folder of its own, to be damaged."""
    root = Path(next(iter(study.phases.values())).run_dir).parent.parent
    shutil.copytree(root, tmp_path / "study")
    moved = {
        name: replace(plan, run_dir=plan.run_dir.replace(str(root), str(tmp_path / "study")))
        for name, plan in study.phases.items()
    }
    rows = {
        source: {
            split: path.replace(str(root), str(tmp_path / "study")) for split, path in paths.items()
        }
        for source, paths in study.rows.items()
    }
    return replace(study, phases=moved, rows=rows)


@pytest.fixture(scope="session")
def results(study):
    return collect(study)


@pytest.fixture(scope="session")
def comparison(results):
    return compare_to_baseline(results)
