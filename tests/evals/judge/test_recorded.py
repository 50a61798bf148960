"""Completions as runs record them, paired by prompt."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from codepretrain.errors import UserError
from codepretrain.evals.identity import identity_digest
from codepretrain.evals.item_scores import ItemScores, write_item_scores
from codepretrain.evals.judge.match import Match
from codepretrain.evals.judge.recorded import Checkpoint, read_pair
from codepretrain.metrics.item_files import item_file

IDENTITY = {"items": "two prompts", "settings": "greedy"}


def record(
    folder: Path, texts: dict[str, str], *, identity: dict[str, str] = IDENTITY, step: int = 7
) -> Checkpoint:
    """Records completions of prompts as an evaluation does."""
    folder.mkdir(exist_ok=True)
    digest = identity_digest(identity)
    line = {"step": step, "evaluator": "dolly", "digest": digest, "identity": identity}
    with (folder / "evals.jsonl").open("a") as file:
        file.write(json.dumps({**line, "tokens": 1, "metrics": {}}) + "\n")
    records = [
        {"id": name, "category": "qa", "prompt": f"Prompt {name}", "completion": text}
        for name, text in texts.items()
    ]
    items = ItemScores(list(texts), {}, records, list(texts))
    write_item_scores(folder, "dolly", step, digest, items)
    return Checkpoint(
        variant=folder.name, phase="p", fingerprint="f" * 64, step=7, run_dir=str(folder)
    )


def test_completions_are_paired_by_the_id_of_their_prompt(tmp_path: Path) -> None:
    ours = record(tmp_path / "ours", {"a": "one", "b": "two"})
    theirs = record(tmp_path / "theirs", {"b": "deux", "a": "un"})
    recorded, reference, matches = read_pair(ours, theirs, "dolly")
    assert matches == [
        Match("a", "qa", "Prompt a", ("one", "un")),
        Match("b", "qa", "Prompt b", ("two", "deux")),
    ]
    assert (recorded.variant, reference.variant) == ("ours", "theirs")
    assert recorded.to_json() == {
        "variant": "ours",
        "phase": "p",
        "fingerprint": "f" * 64,
        "step": 7,
        "digest": identity_digest(IDENTITY),
        "replicate": 0,
        "start": "",
        "identity": IDENTITY,
    }


def test_a_completion_that_looks_like_a_number_is_a_text(tmp_path: Path) -> None:
    ours = record(tmp_path / "ours", {"a": "NaN"})
    theirs = record(tmp_path / "theirs", {"a": "Infinity"})
    _, _, matches = read_pair(ours, theirs, "dolly")
    assert matches == [Match("a", "qa", "Prompt a", ("NaN", "Infinity"))]


def test_the_newest_evaluation_that_both_have_is_used(tmp_path: Path) -> None:
    """Another study of the same run may have evaluated other prompts since."""
    other = {**IDENTITY, "items": "three prompts"}
    ours = record(tmp_path / "ours", {"a": "old"}, identity={"items": "one prompt"})
    theirs = record(tmp_path / "theirs", {"a": "vieux"}, identity={"items": "one prompt"})
    record(tmp_path / "ours", {"a": "one"})
    record(tmp_path / "theirs", {"a": "un"})
    record(tmp_path / "ours", {"a": "three"}, identity=other)
    (match,) = read_pair(ours, theirs, "dolly")[2]
    assert match.completions == ("one", "un")


def test_the_studys_own_evaluation_is_preferred_to_a_newer_one(tmp_path: Path) -> None:
    own = {"items": "one prompt"}
    for name in ("ours", "theirs"):
        record(tmp_path / name, {"a": f"own {name}"}, identity=own)
        checkpoint = record(tmp_path / name, {"a": f"newer {name}"})
    ours = dataclasses.replace(checkpoint, run_dir=str(tmp_path / "ours"))
    found = {
        preferred: read_pair(ours, checkpoint, "dolly", preferred=preferred)[2][0].completions
        for preferred in (identity_digest(own), identity_digest(IDENTITY), "of neither")
    }
    assert found == {
        identity_digest(own): ("own ours", "own theirs"),
        identity_digest(IDENTITY): ("newer ours", "newer theirs"),
        "of neither": ("newer ours", "newer theirs"),
    }


def test_completions_of_other_options_or_prompts_than_required_are_not_judged(
    tmp_path: Path,
) -> None:
    older = {"spec": "64 tokens", "items": "two prompts"}
    ours = record(tmp_path / "ours", {"a": "one"}, identity=older)
    theirs = record(tmp_path / "theirs", {"a": "un"}, identity=older)
    record(tmp_path / "theirs", {"a": "u"}, identity={**older, "spec": "8 tokens"})
    for required in ({}, {"spec": "64 tokens"}, older):
        (match,) = read_pair(ours, theirs, "dolly", required=required)[2]
        assert match.completions == ("one", "un")
    message = r"variant 'ours': the completions of 'dolly' at step 7 .* evaluation in {}: run `code"
    with pytest.raises(UserError, match=message.format("options or num_examples")):
        read_pair(ours, theirs, "dolly", required={"spec": "8 tokens"})
    with pytest.raises(UserError, match=message.format("items")):
        read_pair(ours, theirs, "dolly", required={**older, "items": "three prompts"})


def test_evaluations_of_other_prompts_or_settings_are_not_compared(tmp_path: Path) -> None:
    ours = record(tmp_path / "ours", {"a": "one"})
    theirs = record(tmp_path / "theirs", {"a": "un"}, identity={**IDENTITY, "settings": "sampled"})
    with pytest.raises(UserError, match=r"'dolly' differ in settings; run `codepretrain ev"):
        read_pair(ours, theirs, "dolly")


def test_completions_recorded_by_a_job_that_watches_the_run(tmp_path: Path) -> None:
    ours = record(tmp_path / "ours", {"a": "one"})
    (tmp_path / "theirs").mkdir()
    watched = record(tmp_path / "theirs" / "watch", {"a": "un"})
    theirs = dataclasses.replace(watched, variant="theirs", run_dir=str(tmp_path / "theirs"))
    (match,) = read_pair(ours, theirs, "dolly")[2]
    assert match.completions == ("one", "un")
    record(tmp_path / "theirs", {"a": "its own"})
    (match,) = read_pair(ours, theirs, "dolly")[2]
    assert match.completions == ("one", "its own")


def test_a_failed_evaluation_has_no_completions(tmp_path: Path) -> None:
    other = {**IDENTITY, "grader": "new"}
    line = {"step": 7, "evaluator": "dolly", "digest": identity_digest(other), "identity": other}
    ours, theirs = (record(tmp_path / name, {"a": name}) for name in ("ours", "theirs"))
    for name in ("ours", "theirs"):
        with (tmp_path / name / "evals.jsonl").open("a") as file:
            file.write(json.dumps({**line, "tokens": 1, "metrics": {}, "failure": "why"}) + "\n")
    (match,) = read_pair(ours, theirs, "dolly", preferred=identity_digest(other))[2]
    assert match.completions == ("ours", "theirs")


@pytest.mark.parametrize("evaluator", ["dolly", "other"])
def test_a_checkpoint_that_was_not_evaluated(tmp_path: Path, evaluator: str) -> None:
    ours = record(tmp_path / "ours", {"a": "one"})
    theirs = record(tmp_path / "theirs", {"a": "un"}, step=6)
    message = r"has no record of the evaluation .* at step 7: run `codepretrain evaluate --phase p`"
    with pytest.raises(UserError, match=message):
        read_pair(ours, theirs, evaluator)
    with pytest.raises(UserError, match=message):
        read_pair(ours, dataclasses.replace(theirs, run_dir=str(tmp_path / "absent")), "dolly")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is missing or holds no completions"),
        ("", "is missing or holds no completions"),
        ('{"id": "a", "prompt": "P"}\n', "expected a field 'completion'"),
        ("{\n{}\n", "line 1 is damaged"),
        ('{"id": "z", "prompt": "P", "completion": "x"}\n', "are of other prompts, although"),
    ],
)
def test_records_that_are_missing_or_damaged(tmp_path: Path, content: Any, message: str) -> None:
    ours = record(tmp_path / "ours", {"a": "one"})
    theirs = record(tmp_path / "theirs", {"a": "un"})
    path = item_file(tmp_path / "theirs", "dolly", 7, identity_digest(IDENTITY))
    path = Path(path.with_suffix(".jsonl"))
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(UserError, match=message):
        read_pair(ours, theirs, "dolly")
