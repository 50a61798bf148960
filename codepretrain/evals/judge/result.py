"""The file of one comparison: the outcome of every match, and what decided it.

    <workdir>/judge/<judge>/verdicts.jsonl                                  a remote judge's answers
                            <study>/<evaluator>-<variant>-<reference>.json  this file; -r1.json: of
                                                                            the second replicates

`<judge>` names the model, and a hash of all that decides its verdicts beside the completions.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from etils import epath

from codepretrain.evals.judge.match import Judgment, Outcome
from codepretrain.files.hashing import sha256_json
from codepretrain.files.storage import StrPath

FORMAT = 1
_HASH_DIGITS = 8
_MAX_MODEL = 48
_OUTCOMES = get_args(Outcome)


@dataclass(frozen=True, kw_only=True)
class JudgeResult:
    """A comparison of two checkpoints by one judge: of one replicate of two variants.

    Attributes:
      variant, reference: `Recorded.to_json` of the completions.
      judge: what decides the verdicts beside the completions (`remote.identity`, `local.identity`).
      answered_by: the models that the endpoint names; it may serve another than was asked for.
      num_asserting: completions of the variant and of the reference that hold a line in the form of
        a verdict, which may sway the judge.
    """

    study: str
    evaluator: str
    variant: Mapping[str, Any]
    reference: Mapping[str, Any]
    judge: Mapping[str, Any]
    answered_by: Sequence[str]
    judgments: Sequence[Judgment]
    num_asserting: tuple[int, int]

    @property
    def replicate(self) -> int:
        """Which replicate of the variant it is of; the reference's has the same number."""
        return int(self.variant["replicate"])

    def to_json(self) -> dict[str, Any]:
        identity = {
            "evaluator": self.evaluator,
            "variant": self.variant,
            "reference": self.reference,
            "judge": self.judge,
        }
        return {
            "format": FORMAT,
            "study": self.study,
            **identity,
            "prompts_sha256": self.variant["identity"].get("items"),
            "digest": sha256_json(identity),
            "answered_by": list(self.answered_by),
            "num_asserting": list(self.num_asserting),
            "judgments": [
                {
                    "id": judgment.id,
                    "category": judgment.category,
                    "variant_first": judgment.outcomes[0],
                    "reference_first": judgment.outcomes[1],
                    "is_asked": judgment.is_asked,
                }
                for judgment in self.judgments
            ],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "JudgeResult":
        """Returns the result that `to_json` was called on. Raises ValueError if it is damaged."""
        try:
            if value["format"] != FORMAT:
                raise ValueError(f"expected format {FORMAT}, found {value['format']!r}")
            ours, theirs = value["num_asserting"]
            return cls(
                **{name: value[name] for name in ("study", "evaluator", "judge", "answered_by")},
                variant=_checkpoint(value["variant"]),
                reference=_checkpoint(value["reference"]),
                judgments=[_judgment(entry) for entry in value["judgments"]],
                num_asserting=(ours, theirs),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no result of a judge: {type(error).__name__}: {error}") from error


def judge_folder(workdir: StrPath, judge: Mapping[str, Any]) -> epath.Path:
    """Returns the folder of everything that one judge has decided."""
    name = str(judge.get("model", judge["kind"]))
    model = re.sub(r"[^A-Za-z0-9.]+", "_", name)[:_MAX_MODEL].strip("._")
    return epath.Path(workdir) / "judge" / f"{model}-{sha256_json(judge)[:_HASH_DIGITS]}"


def result_path(folder: epath.Path, result: JudgeResult) -> epath.Path:
    """Returns the result's file in the judge's folder. Names of variants contain no hyphen."""
    names = (result.evaluator, result.variant["variant"], result.reference["variant"])
    replicate = f"-r{result.replicate}" if result.replicate else ""
    return folder / result.study / f"{'-'.join(names)}{replicate}.json"


def _checkpoint(value: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in ("variant", "phase", "fingerprint", "digest"):
        if not isinstance(value[name], str):
            raise TypeError(f"{name} is not text")
    # Results of before replicates were judged have no number and no start.
    value = {"replicate": 0, "start": value["fingerprint"], **value}
    for name in ("step", "replicate"):
        if not isinstance(value[name], int):
            raise TypeError(f"{name} is not a number")
    return value


def _judgment(entry: Mapping[str, Any]) -> Judgment:
    first, second = entry["variant_first"], entry["reference_first"]
    if not {first, second} <= {None, *_OUTCOMES}:
        raise ValueError(f"{first!r} or {second!r} is no outcome")
    return Judgment(entry["id"], entry["category"], (first, second), bool(entry["is_asked"]))
