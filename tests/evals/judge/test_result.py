import json
from pathlib import Path
from typing import Any

import pytest

from codepretrain.evals.judge.match import Judgment
from codepretrain.evals.judge.result import JudgeResult, judge_folder, result_path

JUDGE = {"kind": "endpoint", "endpoint": "https://h/v1", "model": "org/judge-1.5"}


def checkpoint(variant: str) -> dict[str, Any]:
    return {
        "variant": variant, "phase": "p", "fingerprint": "f", "step": 7, "digest": "d",
        "replicate": 0, "start": "trunk", "identity": {"items": "sha of the prompts"},
    }  # fmt: skip


RESULT = JudgeResult(
    study="s",
    evaluator="dolly",
    variant=checkpoint("ours"),
    reference=checkpoint("theirs"),
    judge=JUDGE,
    answered_by=["judge-1.5-0101"],
    judgments=[
        Judgment("a", "qa", ("win", "unreadable")),
        Judgment("b", "", ("loss", None)),
        Judgment("c", "qa", ("tie", "tie"), is_asked=False),
    ],
    num_asserting=(1, 0),
)


def test_a_result_is_read_as_it_was_written() -> None:
    value = json.loads(json.dumps(RESULT.to_json()))
    assert JudgeResult.from_json(value) == RESULT
    assert value["prompts_sha256"] == "sha of the prompts"
    assert value["judgments"][0]["variant_first"] == "win"


def test_results_of_before_replicates_are_read() -> None:
    value = RESULT.to_json()
    for side in ("variant", "reference"):
        value[side] = {k: v for k, v in value[side].items() if k not in ("replicate", "start")}
    found = JudgeResult.from_json(value)
    assert (found.replicate, found.variant["start"]) == (0, "f")


def test_replicates_have_files_of_their_own() -> None:
    second = JudgeResult(**{**vars(RESULT), "variant": {**RESULT.variant, "replicate": 1}})
    names = [result_path(judge_folder("w", JUDGE), one).name for one in (RESULT, second)]
    assert names == ["dolly-ours-theirs.json", "dolly-ours-theirs-r1.json"]


def test_the_digest_changes_with_runs_and_judge() -> None:
    def digest(**changes: Any) -> str:
        return JudgeResult(**{**vars(RESULT), **changes}).to_json()["digest"]

    others = [
        digest(judge={**JUDGE, "model": "another"}),
        digest(variant={**checkpoint("ours"), "fingerprint": "g"}),
        digest(reference={**checkpoint("theirs"), "step": 8}),
        digest(),
    ]
    assert len(set(others)) == 4
    assert digest(judgments=[], study="t") == digest()


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 0}, {"judgments": None}, {"judgments": [{}]}, {"num_asserting": 3},
        {"variant": {}}, {"reference": {**checkpoint("x"), "step": "7"}},
        {"judgments": [{**RESULT.to_json()["judgments"][0], "variant_first": "best"}]},
        {"judgments": [{**RESULT.to_json()["judgments"][0], "variant_first": ["win"]}]},
    ],
)  # fmt: skip
def test_damage_is_a_value_error(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no result of a judge|expected format|is no outcome"):
        JudgeResult.from_json({**RESULT.to_json(), **changes})
    with pytest.raises(ValueError, match="no result of a judge"):
        JudgeResult.from_json({})


def test_where_a_result_is(tmp_path: Path) -> None:
    folder = judge_folder(tmp_path, JUDGE)
    assert folder.parent == tmp_path / "judge"
    assert folder.name.startswith("org_judge_1.5-") or folder.name.startswith("org_judge-1.5-")
    assert result_path(folder, RESULT) == folder / "s" / "dolly-ours-theirs.json"
    assert judge_folder(tmp_path, {**JUDGE, "seed": 1}) != folder
    hostile = judge_folder(tmp_path, {"kind": "endpoint", "model": "../../etc/passwd\0" * 30})
    assert hostile.parent == tmp_path / "judge"
    assert len(hostile.name) < 60
