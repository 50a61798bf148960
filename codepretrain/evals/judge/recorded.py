"""The completions that runs have recorded, paired by prompt.

Two runs can be compared only if the same prompts were completed under the same settings, so the
identities of both evaluations must agree in all but the parameters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from etils import epath

from codepretrain.errors import UserError
from codepretrain.evals.identity import differing
from codepretrain.evals.judge.match import Match
from codepretrain.files import journal, storage
from codepretrain.metrics.evaluation_records import read_results
from codepretrain.metrics.item_files import RECORDS, item_file

_FIELDS = ("id", "prompt", "completion")


class NotRecordedError(UserError):
    """A checkpoint was not evaluated."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """The completions of one checkpoint.

    Attributes:
      variant, phase, fingerprint, step: of the checkpoint.
      replicate, start: see `Checkpoint`.
      identity, digest: of the evaluation (`evals/identity.py`); the parameters are no part of it.
      records: one object per prompt.
    """

    variant: str
    phase: str
    fingerprint: str
    step: int
    identity: Mapping[str, str]
    digest: str
    records: Sequence[Mapping[str, Any]]
    replicate: int = 0
    start: str = ""

    def to_json(self) -> dict[str, Any]:
        """Returns what identifies the completions."""
        names = ("variant", "phase", "fingerprint", "step", "digest", "replicate", "start")
        return {name: getattr(self, name) for name in names} | {"identity": dict(self.identity)}


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The end of a variant's last phase.

    replicate: of the variant, from 0. start: the last that its path shares with those of other
    replicates, else the first: the fingerprint of a phase, or the name of an imported model.
    Checkpoints of one start are not independent.
    """

    variant: str
    phase: str
    fingerprint: str
    step: int
    run_dir: storage.StrPath
    replicate: int = 0
    start: str = ""


def read_pair(
    ours: Checkpoint,
    reference: Checkpoint,
    evaluator: str,
    *,
    preferred: str = "",
    required: Mapping[str, str] | None = None,
) -> tuple[Recorded, Recorded, list[Match]]:
    """Returns the completions of both checkpoints by one evaluation.

    Args:
      preferred: the digest of the study's own evaluation; if a checkpoint lacks it, the newest
        evaluation that both have is taken.
      required: named digests that an evaluation must agree with, where it has one of the name.

    Raises:
      NotRecordedError: a checkpoint was not evaluated.
      UserError: a checkpoint was not evaluated as required, or both were, but with other prompts or
        settings; or a file is damaged.
    """
    found = [
        _required(checkpoint, evaluator, _evaluations(checkpoint, evaluator), required or {})
        for checkpoint in (ours, reference)
    ]
    shared = [digest for digest in found[0] if digest in found[1]]
    if not shared:
        newest = [list(evaluations.values())[-1].identity for evaluations in found]
        raise UserError(
            f"the completions of {ours.variant!r} and {reference.variant!r} cannot be compared: "
            f"their evaluations {evaluator!r} differ in {differing(*newest)}; run `codepretrain "
            f"evaluate --phase {ours.phase} --phase {reference.phase}` with this --config"
        )
    digest = preferred if preferred in shared else shared[-1]
    pair = [
        _recorded(checkpoint, evaluator, digest, evaluations[digest])
        for checkpoint, evaluations in zip((ours, reference), found, strict=True)
    ]
    return pair[0], pair[1], _matches(*pair)


class _Evaluation(NamedTuple):
    """Where the completions are, and the identity of the evaluation that recorded them."""

    folder: epath.Path
    identity: Mapping[str, str]


def _evaluations(checkpoint: Checkpoint, evaluator: str) -> dict[str, _Evaluation]:
    """Returns the evaluations of a checkpoint by digest, the newest last."""
    found: dict[str, _Evaluation] = {}
    for folder, record in read_results(checkpoint.run_dir):
        if (record["step"], record["evaluator"]) == (checkpoint.step, evaluator):
            found.pop(record["digest"], None)
            found[record["digest"]] = _Evaluation(folder, record["identity"])
    if not found:
        raise NotRecordedError(
            f"variant {checkpoint.variant!r}: {checkpoint.run_dir} has no record of the evaluation "
            f"{evaluator!r} at step {checkpoint.step:,}: run `codepretrain evaluate --phase "
            f"{checkpoint.phase}` first"
        )
    return found


def _required(
    checkpoint: Checkpoint,
    evaluator: str,
    found: dict[str, _Evaluation],
    required: Mapping[str, str],
) -> dict[str, _Evaluation]:
    """Returns the evaluations that agree with what is required; raises UserError if none does."""
    wanted = {
        digest: {name: evaluation.identity.get(name, value) for name, value in required.items()}
        for digest, evaluation in found.items()
    }
    agreeing = {digest: found[digest] for digest in found if wanted[digest] == required}
    if not agreeing:
        newest = list(wanted.values())[-1]
        raise UserError(
            f"variant {checkpoint.variant!r}: the completions of {evaluator!r} at step "
            f"{checkpoint.step:,} in {checkpoint.run_dir} differ from this study's evaluation in "
            f"{differing(required, newest)}: run `codepretrain evaluate --phase "
            f"{checkpoint.phase}` with this --config first"
        )
    return agreeing


def _recorded(
    checkpoint: Checkpoint, evaluator: str, digest: str, evaluation: _Evaluation
) -> Recorded:
    path = item_file(evaluation.folder, evaluator, checkpoint.step, digest, RECORDS)
    records = journal.read(path, fields=dict.fromkeys(_FIELDS, str))
    if not records:
        raise UserError(
            f"variant {checkpoint.variant!r}: {path} is missing or holds no completions: run "
            f"`codepretrain evaluate --phase {checkpoint.phase}` with this --config"
        )
    return Recorded(
        variant=checkpoint.variant,
        phase=checkpoint.phase,
        fingerprint=checkpoint.fingerprint,
        step=checkpoint.step,
        identity=evaluation.identity,
        digest=digest,
        records=records,
        replicate=checkpoint.replicate,
        start=checkpoint.start,
    )


def _matches(ours: Recorded, reference: Recorded) -> list[Match]:
    theirs = {record["id"]: record for record in reference.records}
    if theirs.keys() != {record["id"] for record in ours.records}:
        raise UserError(
            f"the completions of {ours.variant!r} and {reference.variant!r} are of other prompts, "
            "although their evaluations have the same digest: files were changed; restore them"
        )
    return [
        Match(
            record["id"],
            str(record.get("category", "")),
            record["prompt"],
            (record["completion"], theirs[record["id"]]["completion"]),
        )
        for record in ours.records
    ]
