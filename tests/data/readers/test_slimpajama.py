import json
from pathlib import Path

import pytest
import zstandard

from codepretrain.data.readers.lines import DAMAGED
from codepretrain.errors import UserError
from tests.data.readers.reading import read, reader

LINES = [
    {"text": "a page", "meta": {"redpajama_set_name": "RedPajamaC4"}},
    {"text": "code", "meta": {"redpajama_set_name": "RedPajamaGithub"}},
    {"text": "Q: why?\n\nA: so", "meta": {"redpajama_set_name": "RedPajamaStackExchange"}},
    {"text": "an article", "meta": {"redpajama_set_name": "RedPajamaWikipedia"}},
]


def write(path: Path, lines: list, cut: int | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    path.write_bytes(zstandard.compress(text.encode())[:cut])


def slimpajama(folder: Path, **options: str):
    return reader("slimpajama", path=f"{folder}/train/*/*.jsonl.zst", **options)


def test_the_text_of_the_study(tmp_path: Path) -> None:
    write(tmp_path / "train/chunk1/example_0.jsonl.zst", LINES[:2])
    write(tmp_path / "train/chunk2/example_0.jsonl.zst", LINES[2:])
    dropped = "RedPajamaGithub, RedPajamaStackExchange"
    documents, skipped = read(slimpajama(tmp_path, drop_sets=dropped))
    assert [(d.id, d.text, d.group, d.metadata) for d in documents] == [
        ("chunk1/example_0.jsonl.zst:1", "a page", None, {"set": "RedPajamaC4"}),
        ("chunk2/example_0.jsonl.zst:2", "an article", None, {"set": "RedPajamaWikipedia"}),
    ]
    assert [(s.origin, s.reason) for s in skipped] == [
        (f"{tmp_path}/train/chunk1/example_0.jsonl.zst:2", "set RedPajamaGithub is left out"),
        (
            f"{tmp_path}/train/chunk2/example_0.jsonl.zst:1",
            "set RedPajamaStackExchange is left out",
        ),
    ]


def test_the_threads_of_the_study(tmp_path: Path) -> None:
    unknown = {"text": "x", "meta": {"redpajama_set_name": "Other7"}}
    write(tmp_path / "train/chunk1/a.jsonl.zst", [*LINES, unknown])
    documents, skipped = read(slimpajama(tmp_path, keep_sets="RedPajamaStackExchange"))
    assert [d.text for d in documents] == ["Q: why?\n\nA: so"]
    assert {s.reason for s in skipped} == {
        "set RedPajamaC4 is left out",
        "set RedPajamaGithub is left out",
        "set RedPajamaWikipedia is left out",
        "set of another name is left out",
    }


def test_damaged_lines_and_files_are_counted(tmp_path: Path) -> None:
    folder = tmp_path / "train/chunk1"
    write(folder / "a.jsonl.zst", [{"text": "x"}, {"meta": LINES[0]["meta"]}, {"meta": 1}, *LINES])
    write(folder / "b.jsonl.zst", LINES, cut=-1)
    (folder / "c.jsonl.zst").write_bytes(zstandard.compress(b'{"text": "\xff"}\n{"te'))
    (folder / "d.jsonl.zst").touch()
    documents, skipped = read(slimpajama(tmp_path))
    assert {d.id for d in documents} >= {f"chunk1/a.jsonl.zst:{n}" for n in (4, 5, 6, 7)}
    found = [(s.origin.rpartition("/")[2], s.reason) for s in skipped]
    assert found[:3] == [
        ("a.jsonl.zst:1", "no field 'meta.redpajama_set_name'"),
        ("a.jsonl.zst:2", "no field 'text'"),
        ("a.jsonl.zst:3", "no field 'meta.redpajama_set_name'"),
    ]
    assert found[3][1] == DAMAGED
    assert found[4:] == [("c.jsonl.zst:1", "not UTF-8"), ("c.jsonl.zst:2", "not JSON")]


def test_misspelled_and_contradictory_sets(tmp_path: Path) -> None:
    write(tmp_path / "train/chunk1/a.jsonl.zst", LINES)
    with pytest.raises(UserError, match=r"drop_sets: there is no 'RedPajamaGitHub'; did you mean"):
        slimpajama(tmp_path, drop_sets="RedPajamaGitHub").shards()
    with pytest.raises(UserError, match="expected drop_sets or keep_sets, found both"):
        slimpajama(tmp_path, drop_sets="RedPajamaC4", keep_sets="RedPajamaC4").shards()
