"""Everything a study left on disk, read into one structure.

A phase's run directory holds `run.json` (config, fingerprint), `metrics.jsonl`, `evals.jsonl`,
`time.jsonl`, `ledger.json` (the ledger of the last saved step) and `items/` (scores per evaluation
item). What is not there yet is missing, not an error: a report can be written while a study trains.
What is there but damaged is named in `problems`, and the report shows it.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from codepretrain.evals.items import items_path
from codepretrain.evals.metric import Metric
from codepretrain.files import journal, jsonl
from codepretrain.metrics.time_ledger import read_sessions
from codepretrain.report.statistics import PairedScores
from codepretrain.rows.format import SPLITS
from codepretrain.rows.manifest import RowsManifest, has_rows, load_manifest
from codepretrain.stream.ledger import Ledger

Status = Literal["complete", "incomplete", "missing"]


@dataclass(frozen=True, kw_only=True)
class PhaseInput:
    """A phase as planned. All fields but the first two are those of `codepretrain plan --json`.

    run_dir: where the phase is, or will be, trained. mixture: stretches of constant weights, each
    {"start_tokens": tokens of the phase before it, "weights": {source: share}}.
    tokens_before: tokens that the path from random parameters saw before this phase.
    epochs_per_source: None where nobody knows how much the source holds.
    """

    run_dir: str
    mixture: tuple[Mapping[str, Any], ...]
    fingerprint: str
    parent: str | None
    parent_step: int | None
    steps: int
    tokens: int
    requested_tokens: int
    tokens_before: int
    tokens_per_source: Mapping[str, int]
    epochs_per_source: Mapping[str, float | None]
    learning_rate: Mapping[str, float]
    initial_checkpoint: str | None = None

    @classmethod
    def from_plan(
        cls, phase: Mapping[str, Any], *, run_dir: Path, mixture: tuple[Mapping[str, Any], ...]
    ) -> "PhaseInput":
        """Takes what it needs of a phase in `codepretrain plan --json`."""
        names = {field.name for field in dataclasses.fields(cls)} - {"run_dir", "mixture"}
        return cls(
            run_dir=str(run_dir), mixture=mixture, **{name: phase[name] for name in sorted(names)}
        )

    @property
    def step_tokens(self) -> int:
        return self.tokens // self.steps

    def shares_at(self, tokens: int) -> Mapping[str, float]:
        """Returns the mixture, normalized, after `tokens` tokens of the phase."""
        weights = [s["weights"] for s in self.mixture if s["start_tokens"] <= tokens][-1]
        return {source: weight / sum(weights.values()) for source, weight in weights.items()}


@dataclass(frozen=True, kw_only=True)
class ReportInput:
    """What a report is about. Built from strings and numbers only, so that it can be stored.

    variants: name → its phases from random parameters on, each a key of `phases`.
    rows: source → directory that holds `train/manifest.json` and `validation/manifest.json`.
    details: more about the study for the page's head, such as {"parameters": "468M"}.
    """

    study: str
    command: str
    code_version: str
    baseline: str | None
    variants: Mapping[str, tuple[str, ...]]
    phases: Mapping[str, PhaseInput]
    rows: Mapping[str, str]
    details: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return jsonl.plain(dataclasses.asdict(self))


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    step: int
    evaluator: str
    metrics: Mapping[str, Metric]


@dataclass(frozen=True, kw_only=True)
class RunResults:
    """One phase: as planned, and what its run left.

    log: records of metrics.jsonl. sessions: the last record of each session in time.jsonl.
    starts: records of starts.jsonl. ledger: at the last saved step.
    """

    name: str
    plan: PhaseInput
    log: tuple[Mapping[str, Any], ...]
    evaluations: tuple[Evaluation, ...]
    sessions: tuple[Mapping[str, Any], ...]
    starts: tuple[Mapping[str, Any], ...]
    ledger: Ledger | None
    provenance: Mapping[str, Any]
    problems: tuple[str, ...]

    @property
    def last_step(self) -> int:
        """Updates made, as far as the files tell."""
        if self.log:
            return self.log[-1]["step"]
        return self.ledger.step if self.ledger else 0

    @property
    def status(self) -> Status:
        if self.last_step == 0:
            return "missing"
        return "complete" if self.last_step >= self.plan.steps else "incomplete"

    def at_end(self, evaluator: str) -> Evaluation | None:
        """Returns the evaluation of the phase's last step, None if it was not made."""
        for evaluation in reversed(self.evaluations):
            if evaluation.evaluator == evaluator and evaluation.step == self.plan.steps:
                return evaluation
        return None


@dataclass(frozen=True, kw_only=True)
class StudyResults:
    """`manifests`: source → split → manifest, without those not prepared."""

    spec: ReportInput
    runs: Mapping[str, RunResults]
    manifests: Mapping[str, Mapping[str, RowsManifest]]
    problems: tuple[str, ...]

    def path(self, variant: str) -> tuple[RunResults, ...]:
        return tuple(self.runs[phase] for phase in self.spec.variants[variant])

    def last_run(self, variant: str) -> RunResults:
        return self.path(variant)[-1]


def collect(spec: ReportInput) -> StudyResults:
    """Reads the runs and manifests that `spec` names."""
    problems: list[str] = []
    manifests: dict[str, dict[str, RowsManifest]] = {}
    for source, directory in spec.rows.items():
        manifests[source] = {}
        for split in SPLITS:
            folder = Path(directory) / split
            if has_rows(folder):
                with _noting(problems):
                    manifests[source][split] = load_manifest(folder, source=source, split=split)
    runs = {name: _read_run(name, plan) for name, plan in spec.phases.items()}
    return StudyResults(spec=spec, runs=runs, manifests=manifests, problems=tuple(problems))


def read_items(run: RunResults, *, step: int, evaluator: str) -> dict[str, PairedScores]:
    """Returns the scores per item of every metric of an evaluation, {} if they were not kept.

    The file is that of `codepretrain.evals.items`; for an average over groups of items it may
    hold `<metric>/stratum`, the group of each item.

    Raises:
      ValueError: the file is damaged.
    """
    path = items_path(Path(run.plan.run_dir), evaluator, step)
    if not path.exists():
        return {}
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name].astype(np.float64) for name in file.files}
    except Exception as error:  # zipfile, zlib and numpy each have their own for damage
        raise ValueError(f"{path} is damaged: {error}") from error
    return {
        name: PairedScores(values, arrays.get(f"{name}/weight"), arrays.get(f"{name}/stratum"))
        for name, values in arrays.items()
        if not name.endswith(("/weight", "/stratum"))
    }


def _read_run(name: str, plan: PhaseInput) -> RunResults:
    directory = Path(plan.run_dir)
    problems: list[str] = []
    log: list[dict[str, Any]] = []
    evaluations: list[Evaluation] = []
    sessions: list[dict[str, Any]] = []
    starts: list[dict[str, Any]] = []
    ledger = None
    provenance: dict[str, Any] = {}
    with _noting(problems):
        log = jsonl.read(directory / "metrics.jsonl")
    with _noting(problems):
        evaluations = [_evaluation(line) for line in jsonl.read(directory / "evals.jsonl")]
    with _noting(problems):
        sessions = read_sessions(directory / "time.jsonl")
    with _noting(problems):
        starts = journal.read(directory / "starts.jsonl")
    with _noting(problems):
        stored = _read_json(directory / "ledger.json")
        ledger = Ledger.from_json(stored) if stored else None
    with _noting(problems):
        provenance = _read_json(directory / "run.json") or {}
    if provenance.get("fingerprint", plan.fingerprint) != plan.fingerprint:
        problems.append(
            f"{directory / 'run.json'} has fingerprint {provenance['fingerprint']}, "
            f"the study expects "
            f"{plan.fingerprint}"
        )
    return RunResults(
        name=name,
        plan=plan,
        log=tuple(log),
        evaluations=tuple(evaluations),
        sessions=tuple(sessions),
        starts=tuple(starts),
        ledger=ledger,
        provenance=provenance,
        problems=tuple(problems),
    )


def _evaluation(line: Mapping[str, Any]) -> Evaluation:
    metrics = {name: Metric.from_json(metric) for name, metric in line["metrics"].items()}
    return Evaluation(step=line["step"], evaluator=line["evaluator"], metrics=metrics)


def _read_json(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        return jsonl.decode(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error


@contextmanager
def _noting(problems: list[str]) -> Iterator[None]:
    """Goes on after a file that cannot be read, with what is wrong in `problems`."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        problems.append(str(error) or repr(error))
