"""The evaluations of a run that belong to a study, and the scores of their items.

A run may be shared by several studies, and a study's evaluations may have been changed after some
were recorded. So a report takes, for each step, the result whose identity is that of the study's
evaluation today. Without one it takes the newest of the same options and items, such as one of an
older grader. Everything else is left out.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from etils import epath

from codepretrain.command_line import same_study
from codepretrain.evals.identity import SPEC, differing, identity_digest
from codepretrain.evals.item_scores import read_item_scores
from codepretrain.evals.metric import Metric
from codepretrain.files.explain import shown
from codepretrain.metrics.evaluation_records import read_records
from codepretrain.metrics.item_files import Marks, item_file
from codepretrain.report.paired import PairedScores

Identities = Mapping[str, Mapping[str, str]]  # evaluator → its identity


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A record of evals.jsonl; `identity` and `digest`: see `evals/identity.py`.

    folder: where its record and its item scores are. failure: why there are no metrics; "" for a
    result. items: what the record says of the item files (`metrics/item_files.py`). phase, mend:
    whose it is, and the command that evaluates it again, for messages.
    """

    step: int
    evaluator: str
    digest: str
    identity: Mapping[str, str]
    metrics: Mapping[str, Metric]
    folder: str = field(default="", compare=False)
    failure: str = ""
    items: Marks = field(default_factory=dict, compare=False)
    phase: str = field(default="", compare=False)
    mend: str = field(default="codepretrain evaluate", compare=False)


def read_evaluations(folder: epath.Path) -> list[Evaluation]:
    """Returns all records in a run's folder or in its `watch_folder`, in order.

    Raises:
      ValueError: a line is damaged, or of another format.
    """
    return [_evaluation(line, folder) for line in read_records(folder)]


def own_evaluations(found: Iterable[Evaluation], identities: Identities) -> list[Evaluation]:
    """Returns the study's own evaluation of each step and evaluator; see the top of this file."""
    own: dict[tuple[str, int], tuple[int, Evaluation]] = {}
    for evaluation in found:
        key = evaluation.evaluator, evaluation.step
        if evaluation.failure:
            continue
        rank = _rank(evaluation, identities.get(evaluation.evaluator, {}))
        if rank > 0 and (key not in own or rank >= own[key][0]):
            own[key] = rank, evaluation
    return [evaluation for _, evaluation in own.values()]


def of_phase(
    own: Iterable[Evaluation], phase: str, *, last_step: int, command: str
) -> list[Evaluation]:
    """Returns evaluations with their phase and the command that makes each again.

    Args:
      last_step: of the phase, which the command evaluates by default.
      command: the command line of the report, whose study and working directory it has.
    """
    end = same_study(f"evaluate --phase {phase}", command)
    found = []
    for one in own:
        is_end = one.step == last_step
        mend = end if is_end else same_study(f"evaluate --phase {phase} --step {one.step}", command)
        found.append(replace(one, phase=phase, mend=mend))
    return found


def _rank(evaluation: Evaluation, ours: Mapping[str, str]) -> int:
    """Returns 0 for an evaluation that is not the study's, 2 for one of the same identity."""
    theirs = evaluation.identity
    if SPEC not in ours or theirs.get(SPEC) != ours[SPEC]:
        return 0
    if "items" in ours and theirs.get("items") != ours["items"]:
        return 0
    return 2 if evaluation.digest == identity_digest(ours) else 1


def left_out(
    phase: str,
    *,
    step: int,
    found: Sequence[Evaluation],
    own: Sequence[Evaluation],
    identities: Identities,
) -> list[str]:
    """Returns a line per evaluator that has results at a step, none of them of its identity today.

    One of the same options and items is shown all the same; an evaluation that was never built on
    the study's data has no other identity to compare.
    """
    have = {e.evaluator: e.identity for e in own if e.step == step}
    others = {e.evaluator: e.identity for e in found if e.step == step and not e.failure}
    lines = []
    for name, ours in identities.items():
        theirs = have.get(name, others.get(name))
        if theirs is None or theirs == ours or (name in have and "items" not in ours):
            continue
        what = (
            f"{phase}: the result of {name} at step {step:,} differs from this study’s evaluation"
        )
        command = f"`codepretrain evaluate --phase {phase}`"
        lines.append(
            f"{what} in {differing(ours, theirs)}: run {command} for one of today"
            if name in have
            else f"{what} in {differing(ours, theirs)} and is left out: run {command}"
        )
    return lines


def failed(phase: str, found: Sequence[Evaluation], identities: Identities) -> list[str]:
    """Returns a line per failure of one of the study's evaluations that was not made good since.

    A result as near to the study's evaluation as the failed attempt makes it good (`_rank`).
    """
    ranked = [(_rank(e, identities.get(e.evaluator, {})), e) for e in found]
    best: dict[tuple[str, int], int] = {}
    for rank, e in ranked:
        if not e.failure:
            best[e.evaluator, e.step] = max(rank, best.get((e.evaluator, e.step), 0))
    last = {
        (e.evaluator, e.step, e.digest): e.failure
        for rank, e in ranked
        if e.failure and rank > best.get((e.evaluator, e.step), 0)
    }
    return [
        f"{phase}: {name} failed at step {step:,}: {failure}"
        for (name, step, _), failure in last.items()
    ]


def unusable(
    found: Sequence[Evaluation], own: Sequence[Evaluation], identities: Identities
) -> dict[tuple[str, int], str]:
    """Returns (evaluator, step) → why there is no result of the study's evaluation of today."""
    reasons: dict[tuple[str, int], str] = {}
    for e in found:
        ours = identities.get(e.evaluator, {})
        if e.failure and _rank(e, ours) > 0:
            reasons[e.evaluator, e.step] = f"{e.evaluator} failed: {e.failure}"
        elif not e.failure and ours:
            what = differing(ours, e.identity)
            reason = f"the result of {e.evaluator} differs from this study’s evaluation in {what}"
            reasons.setdefault((e.evaluator, e.step), reason)
    for e in own:
        ours = identities[e.evaluator]
        if "items" not in ours or e.digest == identity_digest(ours):
            reasons.pop((e.evaluator, e.step), None)
    return reasons


def read_scores(
    evaluation: Evaluation, names: Collection[str] | None = None
) -> dict[str, PairedScores]:
    """Returns the scores per item of metrics of an evaluation.

    Args:
      names: the metrics; None for all.

    Raises:
      ValueError: the file is missing or damaged.
    """
    key = evaluation.evaluator, evaluation.step, evaluation.digest
    found = read_item_scores(evaluation.folder, *key, marks=evaluation.items)
    if found is None:
        raise ValueError(f"{shown(item_file(evaluation.folder, *key))} is missing")
    scored = {}
    for name, values in found.scores.items():
        if name.endswith(("/weight", "/stratum")) or (names is not None and name not in names):
            continue
        weights, strata = (found.scores.get(f"{name}/{what}") for what in ("weight", "stratum"))
        is_scored = ~np.isnan(values if weights is None else weights)
        scores = PairedScores(
            ids=found.ids, clusters=found.clusters, values=values, weights=weights, strata=strata
        )
        scored[name] = scores.take(np.flatnonzero(is_scored))
    return scored


def _evaluation(line: Mapping[str, Any], folder: epath.Path) -> Evaluation:
    metrics = {name: Metric.from_json(metric) for name, metric in line["metrics"].items()}
    return Evaluation(
        step=line["step"],
        evaluator=line["evaluator"],
        digest=line["digest"],
        identity=line["identity"],
        metrics=metrics,
        folder=str(folder),
        failure=line.get("failure", ""),
        items=line.get("items") or {},
    )
