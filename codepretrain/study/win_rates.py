"""The recorded completions of a study's variants, pair by pair, and the result of judging them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from etils import epath

from codepretrain.config.parse import suggestion
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError, quoted
from codepretrain.evals.identity import SPEC, identity_digest
from codepretrain.evals.judge.match import Judgment, Match
from codepretrain.evals.judge.recorded import Checkpoint, Recorded, read_pair
from codepretrain.evals.judge.result import JudgeResult, judge_folder, result_path
from codepretrain.evals.judge.verdict import has_verdict_line
from codepretrain.files.atomic import write_json
from codepretrain.files.json_values import plain
from codepretrain.report.win_rate_rows import summary
from codepretrain.study.evaluations import kept_identities
from codepretrain.study.workspace import Workspace

KIND = "completions"


@dataclass(frozen=True)
class Pair:
    """The completions of a variant and its reference, and the matches of their prompts."""

    ours: Recorded
    reference: Recorded
    matches: Sequence[Match]


def read_pairs(workspace: Workspace, *, evaluator: str, pairs: str | None) -> list[Pair]:
    """Returns the pairs that a command line asks for, with what the runs recorded.

    Args:
      pairs: "a:b,c:d"; None is every variant against the baseline.

    Raises:
      UserError: no such evaluation or variant, or completions that are missing, of other options
        or prompts than the study's, or differ in more than the parameters.
    """
    config = workspace.config
    _check_evaluator(config, evaluator)
    names = variant_pairs(config, pairs)
    own = kept_identities(workspace)[evaluator]
    return [
        Pair(
            *read_pair(
                _checkpoint(workspace, ours),
                _checkpoint(workspace, reference),
                evaluator,
                preferred=identity_digest(own),
                required={name: own[name] for name in (SPEC, "items") if name in own},
            )
        )
        for ours, reference in names
    ]


def _checkpoint(workspace: Workspace, variant: str) -> Checkpoint:
    phase = workspace.config.variants[variant]
    return Checkpoint(
        variant=variant,
        phase=phase,
        fingerprint=workspace.fingerprint(phase),
        step=workspace.phases[phase].num_steps,
        run_dir=workspace.run_dir(phase),
    )


def write_result(
    workspace: Workspace,
    *,
    evaluator: str,
    pair: Pair,
    judge: Mapping[str, Any],
    judgments: Sequence[Judgment],
    answered_by: Sequence[str] = (),
) -> tuple[epath.Path, JudgeResult]:
    """Writes the result of one comparison, with its rates, and returns it with its file."""
    result = JudgeResult(
        study=workspace.config.name,
        evaluator=evaluator,
        variant=pair.ours.to_json(),
        reference=pair.reference.to_json(),
        judge=judge,
        answered_by=answered_by,
        judgments=judgments,
        num_asserting=(_num_asserting(pair, 0), _num_asserting(pair, 1)),
    )
    path = result_path(judge_folder(workspace.workdir, judge), result)
    write_json(path, plain({**result.to_json(), "summary": summary(judgments)}))
    return path, result


def _num_asserting(pair: Pair, side: int) -> int:
    return sum(has_verdict_line(match.completions[side]) for match in pair.matches)


def _check_evaluator(config: StudyConfig, evaluator: str) -> None:
    if evaluator not in config.evals:
        near = suggestion(evaluator, list(config.evals))
        raise UserError(f"--evaluator: there is no evaluation {quoted(evaluator)}{near}")
    kind = config.evals[evaluator].kind
    if kind != KIND:
        raise UserError(
            f"--evaluator: config.evals.{evaluator}.kind: expected {KIND!r}, whose completions can "
            f"be judged, found {kind!r}"
        )


def variant_pairs(config: StudyConfig, pairs: str | None) -> list[tuple[str, str]]:
    """Returns the pairs of variants to compare, each once."""
    if pairs is None:
        if config.baseline is None:
            raise UserError(
                "--pairs: config.baseline names no variant to compare with: expected pairs of "
                "variants, as in a:b,c:b"
            )
        others = [name for name in config.variants if name != config.baseline]
        if not others:
            raise UserError("--pairs: the study has no variant beside its baseline")
        return [(name, config.baseline) for name in others]
    found = []
    for text in pairs.split(","):
        names = [name.strip() for name in text.split(":")]
        if len(names) != 2 or names[0] == names[1]:
            raise UserError(
                f"--pairs: expected two different variants, as in a:b, found {quoted(text)}"
            )
        for name in names:
            if name not in config.variants:
                near = suggestion(name, list(config.variants))
                raise UserError(f"--pairs: there is no variant {quoted(name)}{near}")
        found.append((names[0], names[1]))
    return list(dict.fromkeys(found))
