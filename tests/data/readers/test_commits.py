import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from codepretrain.data.readers.commits import NO_CHANGE, NO_MESSAGE
from codepretrain.data.rendering import HAS_MARKER
from codepretrain.errors import UserError
from tests.data.readers.reading import read, reader

COMMIT = {
    "commit": "0f" * 20,
    "old_file": "a.py",
    "new_file": "a.py",
    "old_contents": "x = 1\n",
    "new_contents": "x = 2\n",
    "subject": "Raise x",
    "message": "Raise x\n\nOne was too low.\n",
    "lang": "Python",
    "license": "mit",
    "repos": "Owner/Name,fork/name",
}


def test_commits(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(COMMIT) + "\n")
    new_file = {**COMMIT, "old_contents": "", "lang": "C++"}
    pq.write_table(pa.Table.from_pylist([new_file]), tmp_path / "b.parquet")
    (first, second), skipped = read(reader("commits", path=f"{tmp_path}/*"))
    assert not skipped
    assert first.text == (
        "<commit_before>x = 1\n<commit_msg>Raise x\n\nOne was too low.<commit_after>x = 2\n"
    )
    assert (first.id, first.language, first.license) == ("a.jsonl:1", "python", "mit")
    assert first.origin == "a.jsonl:1"
    assert first.metadata == {
        "format": "commit",
        "repository": "Owner/Name",
        "commit": "0f" * 20,
        "path": "a.py",
    }
    assert first.group == second.group == "repository:github.com/owner/name"
    assert first.other_groups == ("repository:github.com/fork/name",)
    assert second.text.startswith("<commit_before><commit_msg>Raise x")
    assert (second.id, second.language) == ("b.parquet:1", "cpp")
    documents, skipped = read(reader("commits", path=f"{tmp_path}/*", languages="cpp"))
    assert documents == [second]
    assert [s.reason for s in skipped] == ["language is not chosen"]


def test_every_repository_that_has_the_commit_is_a_group_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for repos, groups in {
        "b/n, a/n ,B/N,,a/n": ("b/n", ["a/n"]),
        "a/n": ("a/n", []),
        " ": (None, []),
    }.items():
        path.write_text(json.dumps({**COMMIT, "repos": repos}))
        [document] = read(reader("commits", path=str(path)))[0]
        group, others = groups
        assert document.group == (group and f"repository:github.com/{group}")
        assert document.other_groups == tuple(f"repository:github.com/{name}" for name in others)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"old_contents": None}, "field 'old_contents' is not text"),
        ({"message": " \n"}, NO_MESSAGE),
        ({"new_contents": "x = 1\n"}, NO_CHANGE),
        ({"message": "a<commit_after>b"}, HAS_MARKER),
    ],
)
def test_commits_that_give_no_document(tmp_path: Path, change: dict, reason: str) -> None:
    path = tmp_path / "a.jsonl"
    missing = {name: value for name, value in COMMIT.items() if name != "message"}
    path.write_text("\n".join(map(json.dumps, ({**COMMIT, **change}, missing))))
    documents, skipped = read(reader("commits", path=str(path)))
    assert not documents
    assert [(s.origin, s.reason) for s in skipped] == [
        (f"{path}:1", reason),
        (f"{path}:2", "no field 'message'"),
    ]


def test_a_misspelled_language_is_told_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    with pytest.raises(UserError, match="reader 'commits': languages: there is no 'pyton'"):
        reader("commits", path=f"{tmp_path}/*", languages="pyton").shards()
