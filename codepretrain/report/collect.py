"""Reads everything that a study's runs recorded into one structure.

A phase's run directory contains `run.json` (config, fingerprint), `metrics.jsonl`, `evals.jsonl`,
`time.jsonl`, `ledger.json` (the ledger of the last saved step) and `items/` (scores per evaluation
item). A file that does not exist yet is not an error: a report can be written while a study trains.
Damaged files are named in `problems`, which the report shows.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from etils import epath

from codepretrain.config.schema import AveragesConfig, ContrastConfig
from codepretrain.files import journal, json_values, storage
from codepretrain.metrics.evaluation_records import EVALUATIONS, watch_folder
from codepretrain.metrics.time_ledger import read_sessions
from codepretrain.report.evaluations import (
    Evaluation,
    Identities,
    failed,
    left_out,
    of_phase,
    own_evaluations,
    read_evaluations,
    unusable,
)
from codepretrain.rows.manifest import RowsManifest, has_rows, load_manifest
from codepretrain.stream.ledger import Ledger

Status = Literal["complete", "incomplete", "missing"]


@dataclass(frozen=True, kw_only=True)
class PhaseInput:
    """A phase as planned. All fields but the first two are those of `codepretrain plan --json`.

    Attributes:
      run_dir: where the phase is, or will be, trained.
      mixture: stages of constant weights, each {"start_tokens": tokens of the phase before it,
        "weights": {source: share}}.
      members: of a phase of kind "average", each {"phase": …, "step": …, "weight": …}; its
        `learning_rate` is empty.
      tokens_before: tokens on the path from random parameters to the start of this phase.
      epochs_per_source: None for a source whose size is unknown.
      data_order: "restart" if sources are read from their beginning.
      fingerprint_is_provisional: the phase's data or initial checkpoint is missing, so its run
        cannot be found.
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
    members: Sequence[Mapping[str, Any]] = ()
    initial_checkpoint: str | None = None
    data_order: str = "continue"
    fingerprint_is_provisional: bool = False

    @classmethod
    def from_plan(
        cls,
        phase: Mapping[str, Any],
        *,
        run_dir: storage.StrPath,
        mixture: tuple[Mapping[str, Any], ...],
    ) -> "PhaseInput":
        """Returns the fields of a phase in `codepretrain plan --json`, with the other two."""
        names = {field.name for field in dataclasses.fields(cls)} - {"run_dir", "mixture"}
        return cls(
            run_dir=str(run_dir), mixture=mixture, **{name: phase[name] for name in sorted(names)}
        )

    @property
    def step_tokens(self) -> int:
        return self.tokens // self.steps

    def shares_at(self, tokens: int) -> Mapping[str, float]:
        """Returns the mixture, normalized, after `tokens` tokens of the phase."""
        weights = [m["weights"] for m in self.mixture if m["start_tokens"] <= tokens][-1]
        return {source: weight / sum(weights.values()) for source, weight in weights.items()}


@dataclass(frozen=True, kw_only=True)
class ReportInput:
    """The subject of a report. Contains only strings and numbers, so it can be stored.

    Attributes:
      variants: name → its phases in order, from random parameters; each is a key of `phases`. An
        average comes after all members and what they start from. Those of the first replicate,
        where there are several.
      replicates: name → such a path for each replicate of the variant, the first one's included;
        a variant without an entry has one.
      shared_seeds: a line for each seed that several replicates have.
      contrasts: their metrics are averages, or `<evaluation>/<metric>`.
      registrations: contrast → registered "before" the results, "after" them, or "unknown".
      pareto: the two such metrics that are drawn against each other; () for none.
      evaluators: name → identity (`evals/identity.py`), its specification alone if never built.
      rows: source → split → directory of the rows.
      averages: over the evaluations, with every score as `<evaluation>/<metric>`.
      details: more about the study for the head of the page, such as {"parameters": "468M"}.
    """

    study: str
    command: str
    code_version: str
    baseline: str | None
    variants: Mapping[str, tuple[str, ...]]
    phases: Mapping[str, PhaseInput]
    evaluators: Identities
    rows: Mapping[str, Mapping[str, str]]
    replicates: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    shared_seeds: tuple[str, ...] = ()
    averages: AveragesConfig = field(default_factory=AveragesConfig)
    contrasts: Mapping[str, ContrastConfig] = field(default_factory=dict)
    registrations: Mapping[str, str] = field(default_factory=dict)
    pareto: tuple[str, ...] = ()
    num_parameters: int | None = None
    num_parameters_non_embedding: int | None = None
    details: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return json_values.plain(self)

    def spelled_path(self, variant: str) -> str:
        """Returns the phases of a variant; "a, b → soup" where b does not start from a."""
        path = self.variants[variant]
        plans = [self.phases[name] for name in path]
        has_average = any(plan.members for plan in plans)
        spelled = path[0]
        for before, name, plan in zip(path, path[1:], plans[1:], strict=False):
            origins = {plan.parent, *(member["phase"] for member in plan.members)}
            spelled += f" → {name}" if before in origins or not has_average else f", {name}"
        return spelled


@dataclass(frozen=True, kw_only=True)
class RunResults:
    """One phase: its plan, and the records of its run.

    log: records of metrics.jsonl. evaluations: the study's own (`evaluations.py`). sessions: the
    last record of each session in time.jsonl. starts: records of starts.jsonl. ledger: at the last
    saved step. provenance: run.json.
    """

    name: str
    plan: PhaseInput
    log: tuple[Mapping[str, Any], ...]
    evaluations: tuple[Evaluation, ...]
    unusable: Mapping[tuple[str, int], str]
    sessions: tuple[Mapping[str, Any], ...]
    starts: tuple[Mapping[str, Any], ...]
    ledger: Ledger | None
    provenance: Mapping[str, Any]
    problems: tuple[str, ...]

    @property
    def last_step(self) -> int:
        """The number of updates made, according to the files."""
        if self.log:
            return self.log[-1]["step"]
        return self.ledger.step if self.ledger else 0

    @property
    def status(self) -> Status:
        if self.last_step == 0:
            return "missing"
        is_saved = self.ledger is not None and self.ledger.step >= self.plan.steps
        return "complete" if is_saved else "incomplete"

    def at_end(self, evaluator: str) -> Evaluation | None:
        """Returns the evaluation of the phase's last step, None if there is none."""
        for evaluation in reversed(self.evaluations):
            if evaluation.evaluator == evaluator and evaluation.step == self.plan.steps:
                return evaluation
        return None


@dataclass(frozen=True, kw_only=True)
class StudyResults:
    """`manifests`: source → split → manifest; without splits that are not prepared."""

    spec: ReportInput
    runs: Mapping[str, RunResults]
    manifests: Mapping[str, Mapping[str, RowsManifest]]
    problems: tuple[str, ...]

    @property
    def all_problems(self) -> tuple[str, ...]:
        """The problems of the data, then those of each run."""
        of_runs = (problem for run in self.runs.values() for problem in run.problems)
        return (*self.problems, *of_runs)

    def path(self, variant: str) -> tuple[RunResults, ...]:
        """Returns the runs of a variant's first replicate."""
        return self.replicates(variant)[0]

    def replicates(self, variant: str) -> tuple[tuple[RunResults, ...], ...]:
        """Returns the runs of every replicate of a variant, in order from random parameters."""
        paths = self.spec.replicates.get(variant) or (self.spec.variants[variant],)
        return tuple(tuple(self.runs[phase] for phase in path) for path in paths)


def collect(spec: ReportInput) -> StudyResults:
    """Reads the runs and manifests that `spec` names."""
    problems: list[str] = []
    manifests: dict[str, dict[str, RowsManifest]] = {}
    for source, directories in spec.rows.items():
        manifests[source] = {}
        for split, directory in directories.items():
            folder = epath.Path(directory)
            with _noting(problems, folder):
                if has_rows(folder):
                    manifests[source][split] = load_manifest(folder, source=source, split=split)
    runs = {name: _read_run(name, plan, spec) for name, plan in spec.phases.items()}
    for name, run in runs.items():
        if run.status == "missing" and run.plan.fingerprint_is_provisional:
            problems.append(
                f"phase {name!r}: its data is not prepared in this --workdir, or its imported "
                "model is missing, so its run cannot be found: prepare and import again"
            )
    return StudyResults(spec=spec, runs=runs, manifests=manifests, problems=tuple(problems))


def _read_run(name: str, plan: PhaseInput, spec: ReportInput) -> RunResults:
    directory, identities = epath.Path(plan.run_dir), spec.evaluators
    problems: list[str] = []
    log: list[dict[str, Any]] = []
    sessions: list[dict[str, Any]] = []
    starts: list[dict[str, Any]] = []
    ledger = None
    provenance: dict[str, Any] = {}
    with _noting(problems, path := directory / "metrics.jsonl"):
        log = journal.read(path, fields={"step": int})
    found = []
    for folder in (watch_folder(directory), directory):  # of equals, the run's own is taken
        with _noting(problems, folder / EVALUATIONS):
            found += read_evaluations(folder)
    own = own_evaluations(found, identities)
    evaluations = of_phase(own, name, last_step=plan.steps, command=spec.command)
    problems += left_out(name, step=plan.steps, found=found, own=evaluations, identities=identities)
    problems += failed(name, found, identities)
    with _noting(problems, path := directory / "time.jsonl"):
        sessions = read_sessions(path)
    with _noting(problems, path := directory / "starts.jsonl"):
        starts = journal.read(path, fields={"start": int})
    with _noting(problems, path := directory / "ledger.json"):
        stored = _read_json(path)
        ledger = Ledger.from_json(stored) if stored else None
    with _noting(problems, path := directory / "run.json"):
        provenance = _read_json(path) or {}
    if provenance.get("fingerprint", plan.fingerprint) != plan.fingerprint:
        problems.append(
            f"{directory / 'run.json'}: expected fingerprint {plan.fingerprint}, "
            f"found {provenance['fingerprint']}"
        )
    return RunResults(
        name=name,
        plan=plan,
        log=tuple(log),
        evaluations=tuple(evaluations),
        unusable=unusable(found, evaluations, identities),
        sessions=tuple(sessions),
        starts=tuple(starts),
        ledger=ledger,
        provenance=provenance,
        problems=tuple(problems),
    )


def _read_json(path: epath.Path) -> dict[str, Any] | None:
    try:
        text = storage.read_text(path)
    except storage.MissingFileError:
        return None
    try:
        return json_values.decode(text)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error


@contextmanager
def _noting(problems: list[str], path: epath.Path) -> Iterator[None]:
    """Continues after a file that cannot be read, and adds the error to `problems`."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        text = str(error) or repr(error)
        problems.append(text if str(path) in text else f"{path}: {text}")
