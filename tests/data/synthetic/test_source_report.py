"""The report of a source, against counts worked out by hand."""

import json
from pathlib import Path

import pytest

from codepretrain.data.readers.synthetic_code import SyntheticCode
from codepretrain.data.synthetic.generate import generate
from codepretrain.data.synthetic.source_report import source_report
from codepretrain.errors import UserError


def test_only_verified_candidates_count_for_distinctness(tmp_path: Path) -> None:
    problem = generate(0, 1)
    right = problem.solution or ""
    solutions = [right, f"# Again.\n{right}", f"def {problem.name}(*x): return None", "def"]
    lines = [
        json.dumps({"problem": problem.to_json(), "solution": s, "teacher": "m"}) for s in solutions
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join([*lines, "broken"]))
    report = source_report(SyntheticCode(candidates=str(path)), num_candidates=10)
    assert report["num_candidates"] == 5
    assert report["verified_share"] == 0.4
    assert report["outcomes"] == {
        "verified": 2,
        "not verified: wrong": 1,
        "not verified: not Python": 1,
        "not a JSON object": 1,
    }
    assert report["families"] == {problem.family: 2}
    assert report["distinctness"]["distinct_programs"] == 0.5
    assert report["distinctness"]["near_duplicates"] == 0.5


def test_a_source_without_verified_candidates_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("broken\n")
    reader = SyntheticCode(candidates=str(tmp_path / "a.jsonl"))
    with pytest.raises(UserError, match=r"no candidate is verified: {'not a JSON object': 1}"):
        source_report(reader, num_candidates=1)
