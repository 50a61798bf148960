"""The completions that runs have recorded, paired by prompt.

Two runs can be compared only if the same prompts were completed under the same settings, so the
identities of both evaluations must agree in all but the parameters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from etils import epath

from codepretrain.errors import UserError
from codepretrain.evals.item_scores import item_scores_path
from codepretrain.evals.judge.match import Match
from codepretrain.files import journal, storage

_FIELDS = ("id", "prompt", "completion")


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """The completions of one checkpoint.

    Attributes:
      variant, phase, fingerprint, step: of the checkpoint.
      identity, digest: of the evaluation (`Evaluation.identity`); the parameters are no part of it.
      records: one object per prompt.
    """

    variant: str
    phase: str
    fingerprint: str
    step: int
    identity: Mapping[str, str]
    digest: str
    records: Sequence[Mapping[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Returns what identifies the completions."""
        names = ("variant", "phase", "fingerprint", "step", "digest")
        return {name: getattr(self, name) for name in names} | {"identity": dict(self.identity)}


def read_recorded(
    run_dir: storage.StrPath,
    *,
    evaluator: str,
    variant: str,
    phase: str,
    fingerprint: str,
    step: int,
) -> Recorded:
    """Returns the completions that the newest evaluation of a checkpoint has recorded.

    Raises:
      UserError: there are none, or their files are damaged.
    """
    fields = {"step": int, "evaluator": str, "digest": str, "identity": dict}
    lines = [
        line
        for line in journal.read(epath.Path(run_dir) / "evals.jsonl", fields={"step": int})
        if line["step"] == step and line.get("evaluator") == evaluator
    ]
    remedy = f"run `codepretrain evaluate --phase {phase}` first"
    if not lines:
        raise UserError(
            f"variant {variant!r}: {run_dir} has no record of the evaluation {evaluator!r} at step "
            f"{step:,}: {remedy}"
        )
    newest = lines[-1]
    path = item_scores_path(run_dir, evaluator, step).with_suffix(".jsonl")
    if not all(isinstance(newest.get(name), kind) for name, kind in fields.items()):
        raise UserError(f"{run_dir}/evals.jsonl: a record of {evaluator!r} without its identity")
    if not storage.is_file(path):
        raise UserError(f"variant {variant!r}: there is no file {path}: {remedy}")
    records = journal.read(path, fields=dict.fromkeys(_FIELDS, str))
    if not records:
        raise UserError(f"variant {variant!r}: {path} holds no completions")
    return Recorded(
        variant=variant,
        phase=phase,
        fingerprint=fingerprint,
        step=step,
        identity=newest["identity"],
        digest=newest["digest"],
        records=records,
    )


def match_records(ours: Recorded, reference: Recorded) -> list[Match]:
    """Returns a match for each prompt.

    Raises:
      UserError: the two evaluations differ in more than the parameters.
    """
    names = ours.identity.keys() | reference.identity.keys()
    differing = [n for n in sorted(names) if ours.identity.get(n) != reference.identity.get(n)]
    theirs = {record["id"]: record for record in reference.records}
    if not differing and theirs.keys() != {record["id"] for record in ours.records}:
        differing = ["ids of the prompts"]
    if differing or ours.digest != reference.digest:
        raise UserError(
            f"the completions of {ours.variant!r} and {reference.variant!r} cannot be compared: "
            f"their evaluations differ in {', '.join(differing) or 'their digest'}; run "
            "`codepretrain evaluate` for both with this --config"
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
