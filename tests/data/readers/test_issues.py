import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from codepretrain.data.readers.json_array import NOT_JSON
from codepretrain.data.rendering import HAS_MARKER
from tests.data.readers.reading import read, reader

STACK = {
    "repo": "Owner/Name",
    "issue_id": "1234",
    "issue_number": 7,
    "pull_request": {"number": None, "repo": None},
    "events": [
        {
            "type": "issue",
            "action": "opened",
            "author": "ann",
            "title": "Crash",
            "description": "It fails.\r\nAlways.",
            "comment": None,
        },
        {"action": "created", "author": "ci[bot]", "title": "Crash", "comment": "Thanks!"},
        {"action": "created", "author": "bob", "title": "Crash", "comment": "@ann which version?"},
        {"action": "closed", "author": "bob", "title": "Crash", "comment": None},
    ],
}
TEXT = (
    "<issue_start>Title: Crash\nusername_0: It fails.\nAlways."
    "<issue_comment>username_1: @username_0 which version?<issue_closed>"
)
EXPORT = {
    "number": 7,
    "title": "Crash",
    "body": "It fails.\r\nAlways.",
    "author": {"login": "ann"},
    "state": "CLOSED",
    "url": "https://github.com/Owner/Name/issues/7",
    "comments": [{"author": {"login": "bob"}, "body": "@ann which version?"}],
}
INTERFACE = {
    "number": 7,
    "title": "Crash",
    "body": "It fails.",
    "user": {"login": "ann"},
    "state": "open",
    "repository_url": "https://api.github.com/repos/Owner/Name",
    "comments": 3,
}


def test_the_stack_and_exports_give_one_thread(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([STACK]), tmp_path / "a.parquet")
    (tmp_path / "b.json").write_text(json.dumps([EXPORT, INTERFACE], indent=1))
    (tmp_path / "c.jsonl").write_text(json.dumps(EXPORT))
    documents, skipped = read(reader("issues", path=f"{tmp_path}/*"))
    assert not skipped
    assert [(d.id, d.text) for d in documents] == [
        ("a.parquet:1", TEXT),
        ("b.json:1", TEXT),
        ("b.json:2", "<issue_start>Title: Crash\nusername_0: It fails."),
        ("c.jsonl:1", TEXT),
    ]
    assert {d.group for d in documents} == {"repository:github.com/owner/name"}
    assert documents[0].origin == "a.parquet:1"
    assert documents[0].metadata == {"format": "issue", "repository": "Owner/Name", "issue": "7"}


def test_authors_that_are_programs_are_left_out(tmp_path: Path) -> None:
    """GitHub's interface states a type; its command line a flag, or a login such as `app/x`."""
    programs = [
        {"user": {"login": "deploy", "type": "Bot"}, "body": "deployed"},
        {"author": {"login": "app/renovate", "is_bot": True}, "body": "renovated"},
        {"author": {"login": "app/renovate"}, "body": "again"},
        {"author": {"login": "bob", "is_bot": False}, "body": "@ann which version?"},
    ]
    (tmp_path / "a.jsonl").write_text(json.dumps({**EXPORT, "comments": programs}))
    assert [d.text for d in read(reader("issues", path=f"{tmp_path}/*"))[0]] == [TEXT]


def test_authors_of_the_stack_may_be_masked(tmp_path: Path) -> None:
    events = [
        {"masked_author": "username_1", "author": None, "title": "t", "text": "a"},
        {"masked_author": "username_0", "author": None, "title": "t", "text": "b, @username_1"},
    ]
    (tmp_path / "a.jsonl").write_text(json.dumps({"repo": "o/n", "events": events}))
    [document] = read(reader("issues", path=f"{tmp_path}/*"))[0]
    assert document.text == (
        "<issue_start>Title: t\nusername_0: a<issue_comment>username_1: b, @username_0"
    )


def test_pull_requests_are_an_option(tmp_path: Path) -> None:
    pull = {**EXPORT, "pull_request": {"url": "x"}, "url": "https://github.com/o/n/pull/7"}
    (tmp_path / "a.jsonl").write_text(json.dumps(pull))
    _, skipped = read(reader("issues", path=f"{tmp_path}/*"))
    assert [s.reason for s in skipped] == ["pull request"]
    [document] = read(reader("issues", path=f"{tmp_path}/*", includes_pull_requests=True))[0]
    assert document.group == "repository:github.com/o/n"


def test_the_repository_may_be_an_option(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"title": "t", "body": "b", "author": None}))
    [document] = read(reader("issues", path=f"{tmp_path}/*", repository="o/n", license="MIT"))[0]
    assert (document.group, document.license) == ("repository:github.com/o/n", "MIT")
    assert document.text == "<issue_start>Title: t\nusername_0: b"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({}, "not an issue"),
        ({"title": None, "body": "x"}, "not an issue"),
        ({"title": "t", "body": 7}, "not an issue"),
        ({"title": "t", "body": "x", "comments": ["y"]}, "not an issue"),
        ({"events": 7}, "not an issue"),
        ({"events": [None]}, "not an issue"),
        ({"events": []}, "issue without text"),
        ({"title": "t", "body": None}, "issue without text"),
        ({"title": "t", "body": "x", "author": {"login": "a[bot]"}}, "issue without text"),
        ({"title": "<issue_start>", "body": "x"}, HAS_MARKER),
    ],
)
@pytest.mark.parametrize("suffix", ["jsonl", "json"])
def test_what_is_no_issue_is_counted(tmp_path: Path, value: dict, reason: str, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_text(json.dumps(value))
    documents, skipped = read(reader("issues", path=str(path)))
    assert not documents
    assert [(s.origin, s.reason) for s in skipped] == [(f"{path}:1", reason)]


def test_a_cut_export(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([EXPORT, EXPORT])[:-9])
    documents, skipped = read(reader("issues", path=str(path)))
    assert [d.text for d in documents] == [TEXT]
    assert [(s.origin, s.reason) for s in skipped] == [(f"{path}:2", NOT_JSON)]
