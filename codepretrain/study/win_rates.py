"""The recorded completions of a study's variants, pair by pair, and the result of judging them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from etils import epath

from codepretrain.config.parse import suggestion
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError, quoted
from codepretrain.evals.identity import SPEC, identity_digest
from codepretrain.evals.judge.match import Judgment, Match
from codepretrain.evals.judge.recorded import Checkpoint, NotRecordedError, Recorded, read_pair
from codepretrain.evals.judge.result import JudgeResult, judge_folder, result_path
from codepretrain.evals.judge.verdict import has_verdict_line
from codepretrain.files.atomic import write_json
from codepretrain.files.json_values import plain
from codepretrain.report.win_rate_recipes import JudgedComparison
from codepretrain.report.win_rate_rows import summary
from codepretrain.study.evaluations import kept_identities
from codepretrain.study.replicates import last_phases
from codepretrain.study.workspace import Workspace

KIND = "completions"


@dataclass(frozen=True)
class Pair:
    """The completions of a replicate of a variant and its reference, and their matches."""

    ours: Recorded
    reference: Recorded
    matches: Sequence[Match]


def read_pairs(
    workspace: Workspace,
    *,
    evaluator: str,
    pairs: str | None,
    announce: Callable[[str], None] = lambda _: None,
) -> list[Pair]:
    """Returns the pairs that a command line asks for, with what the runs recorded.

    Replicate k of a variant is compared with replicate k of its reference.

    Args:
      pairs: "a:b,c:d"; None is every variant against the baseline.
      announce: is told of replicates that are left out, because they were not evaluated.

    Raises:
      UserError: no such evaluation or variant, or completions that are missing in every replicate,
        of other options or prompts than the study's, or differ in more than the parameters.
    """
    config = workspace.config
    _check_evaluator(config, evaluator)
    own = kept_identities(workspace)[evaluator]
    found: list[Pair] = []
    for ours, reference in variant_pairs(config, pairs):
        of_pair, missing = _replicates(workspace, ours, reference, evaluator, own)
        if not of_pair:
            raise missing[0]
        for error in missing:
            announce(f"left out: {error}")
        found += of_pair
    return found


def _replicates(
    workspace: Workspace,
    ours: str,
    reference: str,
    evaluator: str,
    own: Mapping[str, str],
) -> tuple[list[Pair], list[NotRecordedError]]:
    """Returns a pair for each replicate of both variants, and why others are missing.

    Replicates that end in the same two runs are one.
    """
    found: dict[tuple[str, str], Pair] = {}
    missing = []
    phases = [last_phases(workspace.config, variant) for variant in (ours, reference)]
    for replicate, names in enumerate(zip(*phases, strict=False)):
        sides = [
            _checkpoint(workspace, variant, name, replicate)
            for variant, name in zip((ours, reference), names, strict=True)
        ]
        key = sides[0].fingerprint, sides[1].fingerprint
        if key in found:
            continue
        try:
            found[key] = Pair(
                *read_pair(
                    sides[0],
                    sides[1],
                    evaluator,
                    preferred=identity_digest(own),
                    required={name: own[name] for name in (SPEC, "items") if name in own},
                )
            )
        except NotRecordedError as error:
            missing.append(error)
    return list(found.values()), missing


def _checkpoint(workspace: Workspace, variant: str, phase: str, replicate: int) -> Checkpoint:
    return Checkpoint(
        variant=variant,
        phase=phase,
        fingerprint=workspace.fingerprint(phase),
        step=workspace.phases[phase].num_steps,
        run_dir=workspace.run_dir(phase),
        replicate=replicate,
        start=_start(workspace, phase),
    )


def _start(workspace: Workspace, phase: str) -> str:
    """Returns what the replicates of a phase share last on their path; else where it begins."""
    path = workspace.phases[phase].path
    shared = [one.name for one in path[:-1] if not one.config.is_replicated]
    imported = [one.config.initial_checkpoint for one in path if one.config.initial_checkpoint]
    if shared:
        return workspace.fingerprint(shared[-1])
    return imported[0] if imported else workspace.fingerprint(path[0].name)


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
    write_json(path, plain({**result.to_json(), "summary": summary(JudgedComparison((result,)))}))
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
