"""Files of candidates: lines at the borders of ranges, and lines that are none."""

import json
from pathlib import Path

import pytest

from codepretrain.data.document import Skipped
from codepretrain.data.synthetic import candidates
from codepretrain.data.synthetic.candidates import Candidate, ranges, read_candidates

PROBLEM = {
    "statement": "Add.",
    "name": "add",
    "tests": [[{"code": "add(1, 2)", "check": "result == 3"}]],
}


def line(text: str, /, **changes: object) -> str:
    value = {"problem": PROBLEM, "solution": text, "teacher": "t", "license": "MIT", **changes}
    return json.dumps(value)


def read(path: Path) -> list[Candidate | Skipped]:
    return [item for part in ranges(str(path), path.name) for item in read_candidates(part)]


@pytest.mark.parametrize("size", [1, 7, 100, 236, 237, 238, 1000])
def test_every_line_is_read_once_whatever_the_ranges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(candidates, "_RANGE_BYTES", size)
    texts = [f"x = {'1' * (17 * i % 90)}" for i in range(1, 12)]
    for end in ("", "\n", "\n\n"):
        (tmp_path / "a.jsonl").write_text("\n".join(line(text) for text in texts) + end)
        found = read(tmp_path / "a.jsonl")
        assert [item.solution for item in found if isinstance(item, Candidate)] == texts


def test_a_surrogate_pair_is_a_character() -> None:
    item = candidates._candidate(line("x = '\U0001f600'").encode(), "here")
    assert isinstance(item, Candidate)
    assert item.solution == "x = '\U0001f600'"


def test_a_candidate() -> None:
    item = candidates._candidate(line("x", license=None, more=[1]).encode(), "here")
    assert isinstance(item, Candidate)
    assert (item.solution, item.teacher, item.license, item.origin) == ("x", "t", None, "here")
    assert item.problem.name == "add"


@pytest.mark.parametrize(
    ("content", "reason", "detail"),
    [
        (b"\xff", "not UTF-8", ""),
        (b"{", "not a JSON object", "Expecting"),
        (b"[1]", "not a JSON object", "expected one JSON object"),
        (b"[" * 100_000, "not a JSON object", "nested too deeply"),
        (line("x", solution=3).encode(), "no text in `solution` or `teacher`", ""),
        (line("x", teacher=None).encode(), "no text in `solution` or `teacher`", ""),
        (line("x", license=3).encode(), "`license` is not text", ""),
        (line("x", problem=None).encode(), "not a problem", "problem: expected the fields"),
        (line("x", problem={**PROBLEM, "tests": []}).encode(), "not a problem", "with `check`"),
        (line("x", teacher="\ud800").encode(), "half of a surrogate pair", ""),
        (line("'\udc00'").encode(), "half of a surrogate pair", ""),
    ],
)
def test_other_lines_are_skipped_and_named(
    tmp_path: Path, content: bytes, reason: str, detail: str
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(line("x").encode() + b"\n" + content + b"\n" + line("y").encode())
    first, skipped, last = read(path)
    assert isinstance(skipped, Skipped)
    assert skipped.reason == reason
    assert skipped.origin.startswith(f"{path} byte {len(line('x')) + 1}")
    assert detail in skipped.origin
    assert isinstance(first, Candidate)
    assert isinstance(last, Candidate)


def test_a_line_that_is_too_long_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "_MAX_LINE_BYTES", 300)
    monkeypatch.setattr(candidates, "_RANGE_BYTES", 100)
    texts = ["short", "long" * 500, "short"]
    (tmp_path / "a.jsonl").write_text("\n".join(map(line, texts)))
    found = read(tmp_path / "a.jsonl")
    reasons = [item.reason for item in found if isinstance(item, Skipped)]
    assert reasons == ["line longer than 16 MiB"]
    assert len(found) == 3
