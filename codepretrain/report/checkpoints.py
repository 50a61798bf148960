"""The comparison of any two checkpoints: what their evaluations say, without a study file.

A checkpoint is a run's folder and a step. Nothing here is about recipes (`between.py`).
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace

from etils import epath

from codepretrain.errors import UserError, quoted
from codepretrain.evals.identity import differing
from codepretrain.files import storage
from codepretrain.metrics.evaluation_records import EVALUATIONS, watch_folder
from codepretrain.report.collect import PhaseInput, ReportInput, RunResults, StudyResults
from codepretrain.report.compare import Comparison, compare_to_baseline
from codepretrain.report.evaluations import Evaluation, of_phase, read_evaluations

_FINGERPRINT = re.compile(r"-[0-9a-f]{12}")
_MAX_NAMED = 12


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A run's folder and a step of it; `evaluations`: those recorded at the step, in order."""

    name: str
    folder: epath.Path
    step: int
    evaluations: tuple[Evaluation, ...]


def find_checkpoint(text: str, workdir: epath.Path) -> Checkpoint:
    """Returns the checkpoint that `PHASE[@STEP]` or `FOLDER[@STEP]` names.

    Args:
      text: the name of a run in the working directory, with or without its fingerprint, or the
        folder of a run anywhere. Without a step it is the last one that was evaluated.

    Raises:
      UserError: there is no such run, several are called so, or nothing was evaluated there.
    """
    name, at, last = text.rpartition("@")
    if not at or not last.isdecimal():
        name, last = text, ""
    try:
        folder = _folder(name, workdir)
    except UserError as error:
        if at and not last:
            raise UserError(f"{error}; a step is a whole number: PHASE@STEP") from error
        raise
    try:
        found = [e for of in (watch_folder(folder), folder) for e in read_evaluations(of)]
    except ValueError as error:
        raise UserError(str(error)) from error
    steps = sorted({e.step for e in found if not e.failure})
    if not steps:
        raise UserError(f"{quoted(text)}: {folder} has no evaluation: run `codepretrain evaluate`")
    step = int(last) if last else steps[-1]
    if step not in steps:
        known = ", ".join(map(str, steps[-_MAX_NAMED:]))
        raise UserError(f"{quoted(text)}: no evaluation at step {step:,}; expected one of {known}")
    phase = _FINGERPRINT.sub("", folder.name)
    command = shlex.join(["--config", "FILE", "--workdir", str(folder.parent.parent)])
    of_step = [e for e in found if e.step == step and not e.failure]
    return Checkpoint(
        name=f"{phase}@{step}",
        folder=folder,
        step=step,
        evaluations=tuple(of_phase(of_step, phase, last_step=0, command=command)),
    )


def compare_checkpoints(ours: Checkpoint, baseline: Checkpoint) -> Comparison:
    """Returns our scores minus the baseline's, over the evaluations that both have.

    Raises:
      UserError: they share no evaluation.
    """
    names = _names(baseline, ours)
    of_ours, of_baseline, problems = _shared(ours, baseline)
    if not of_ours:
        raise UserError(
            f"{baseline.name} and {ours.name} have no evaluation in common: found "
            f"{_listed(baseline)} and {_listed(ours)}"
            + "".join(f"; {problem}" for problem in problems)
        )
    runs = {
        names[0]: _run(names[0], baseline, of_baseline),
        names[1]: _run(names[1], ours, of_ours),
    }
    spec = ReportInput(
        study=f"{ours.name} against {baseline.name}",
        command="",
        code_version="",
        baseline=names[0],
        variants={name: (name,) for name in names},
        phases={name: run.plan for name, run in runs.items()},
        evaluators={},
        rows={},
    )
    results = StudyResults(spec=spec, runs=runs, manifests={}, problems=())
    comparison = compare_to_baseline(results)
    return replace(comparison, problems=(*problems, *comparison.problems))


def _folder(name: str, workdir: epath.Path) -> epath.Path:
    runs = workdir / "runs"
    names = sorted(storage.names(runs))
    matches = [n for n in names if n == name or _FINGERPRINT.sub("", n) == name]
    if len(matches) == 1:
        return runs / matches[0]
    if matches:
        raise UserError(f"{quoted(name)}: {runs} has {', '.join(matches)}: name one of them")
    if "/" in name:
        folder = storage.parse(name, name="checkpoint")
        places = [of for of in (folder, watch_folder(folder)) if storage.is_dir(of)]
        if any(EVALUATIONS in storage.names(of) for of in places):
            return folder
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    known = f"; there are {', '.join(names[:_MAX_NAMED])}{more}" if names else "; there are none"
    raise UserError(f"there is no run {quoted(name)} in {runs}{known}")


def _names(baseline: Checkpoint, ours: Checkpoint) -> list[str]:
    """Returns the shortest names that tell the two apart.

    Raises:
      UserError: they are one.
    """
    pair = (baseline, ours)
    for names in (
        [of.name for of in pair],
        [f"{of.folder.name}@{of.step}" for of in pair],
        [f"{of.folder}@{of.step}" for of in pair],
    ):
        if names[0] != names[1]:
            return names
    raise UserError(f"expected two checkpoints, found {baseline.name} twice")


def _shared(
    ours: Checkpoint, baseline: Checkpoint
) -> tuple[list[Evaluation], list[Evaluation], list[str]]:
    """Returns a result of each for every evaluation that both have, and why others are left out."""
    pairs, problems = [], []
    for evaluator in dict.fromkeys(e.evaluator for e in baseline.evaluations):
        left = [e for e in ours.evaluations if e.evaluator == evaluator]
        right = [e for e in baseline.evaluations if e.evaluator == evaluator]
        same = [(a, b) for a in left for b in right if a.digest == b.digest]
        if same:
            pairs.append(same[-1])
        elif left:
            what = differing(left[-1].identity, right[-1].identity)
            problems.append(
                f"{evaluator} of {ours.name} differs from {baseline.name} in {what}, so they are "
                "not compared"
            )
    return [a for a, _ in pairs], [b for _, b in pairs], problems


def _run(name: str, checkpoint: Checkpoint, evaluations: Sequence[Evaluation]) -> RunResults:
    plan = PhaseInput(
        run_dir=f"{checkpoint.folder}@{checkpoint.step}",
        mixture=(),
        fingerprint="",
        parent=None,
        parent_step=None,
        steps=checkpoint.step,
        tokens=0,
        requested_tokens=0,
        tokens_before=0,
        tokens_per_source={},
        epochs_per_source={},
        learning_rate={},
    )
    return RunResults(
        name=name,
        plan=plan,
        log=(),
        evaluations=tuple(evaluations),
        unusable={},
        sessions=(),
        starts=(),
        ledger=None,
        provenance={},
        problems=(),
    )


def _listed(checkpoint: Checkpoint) -> str:
    return ", ".join(dict.fromkeys(e.evaluator for e in checkpoint.evaluations))
