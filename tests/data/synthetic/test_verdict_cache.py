"""Kept verdicts: what is run again, and what is not."""

import json
from pathlib import Path

import pytest

from codepretrain.data.synthetic import verdict_cache
from codepretrain.data.synthetic.problem import Problem, Step
from codepretrain.data.synthetic.verdict_cache import verify_cached
from codepretrain.data.synthetic.verify import Verdict

ADD = Problem(statement="Add.", name="add", tests=((Step("add(1, 2)", check="result == 3"),),))
SUM = Problem(statement="Add.", name="add", tests=((Step("add(2, 2)", check="result == 4"),),))


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Problem, str]]:
    """What is given to `verify`, which answers by the candidate's text."""
    seen: list[tuple[Problem, str]] = []

    def verify(items, **_):
        seen.extend(items)
        return [Verdict(text, ("limits",)) for _, text in items]

    monkeypatch.setattr(verdict_cache, "verify", verify)
    return seen


def run(folder: Path | None, *items: tuple[Problem, str], layers=("limits",)) -> list[str]:
    found = verify_cached(items, folder=folder, name="a", required_layers=layers)
    return [verdict.status for verdict in found]


def test_only_what_is_new_is_verified(tmp_path: Path, verified) -> None:
    assert run(tmp_path, (ADD, "verified"), (ADD, "wrong")) == ["verified", "wrong"]
    assert run(tmp_path, (ADD, "wrong"), (ADD, "verified")) == ["wrong", "verified"]
    assert verified == [(ADD, "verified"), (ADD, "wrong")]
    assert run(tmp_path, (SUM, "verified"), (ADD, "verified")) == ["verified"] * 2
    assert verified[2:] == [(SUM, "verified")]


def test_a_verdict_that_may_change_is_not_kept(tmp_path: Path, verified) -> None:
    for _ in range(2):
        assert run(tmp_path, (ADD, "timeout"), (ADD, "memory")) == ["timeout", "memory"]
    assert len(verified) == 4


def test_without_a_folder_nothing_is_kept(verified) -> None:
    assert run(None, (ADD, "verified")) == run(None, (ADD, "verified")) == ["verified"]
    assert len(verified) == 2


def test_a_verdict_of_a_weaker_sandbox_is_not_taken(tmp_path: Path, verified) -> None:
    run(tmp_path, (ADD, "verified"))
    run(tmp_path, (ADD, "verified"), layers=("limits", "seccomp"))
    assert len(verified) == 2


@pytest.mark.parametrize("text", ["", "[]", "{", '{"x": 3}', '{"x": ["forged"]}', '{"x": []}'])
def test_a_damaged_file_is_made_again(tmp_path: Path, verified, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    assert run(tmp_path, (ADD, "verified")) == ["verified"]
    assert len(verified) == 1
    assert list(json.loads((tmp_path / "a.json").read_text()).values()) == [["verified", "limits"]]
