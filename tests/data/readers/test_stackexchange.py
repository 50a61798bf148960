import gzip
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest

from codepretrain.data.readers import lines, stackexchange
from codepretrain.data.readers.lines import DAMAGED, TOO_LONG
from tests.data.readers.reading import read, reader


def row(number: int | str, kind: int, body: str, **more: object) -> str:
    attributes = {"Id": number, "PostTypeId": kind, "Body": body, **more}
    text = " ".join(f"{name}={quoteattr(str(value))}" for name, value in attributes.items())
    return f"  <row {text} />"


ROWS = [
    row(1, 1, "<p>What is 1 + 1?</p>", Title="Sums &c?", Score=3, ContentLicense="CC BY-SA 4.0"),
    row(2, 2, "<p>two</p>", ParentId=1, Score=-1),
    row(3, 1, "<p>Why?</p>", Title="Later", Score=0),
    row(4, 2, "<pre><code>print(1 +  1)\n</code></pre>", ParentId=1, Score=12),
    row(5, 2, "<p>So.</p>", ParentId=3, Score=1),
    row(6, 2, "<p>2</p>", ParentId=1, Score=-1),
]


def write(path: Path, rows: list[str], end: str = "</posts>") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(['\ufeff<?xml version="1.0" encoding="utf-8"?>', "<posts>", *rows, end])
    path.write_text(text)


def threads(folder: Path, **options):
    (folder / "scratch").mkdir(exist_ok=True)
    scratch = str(folder / "scratch")
    return reader("stackexchange", path=f"{folder}/*/Posts.xml*", scratch_path=scratch, **options)


def test_questions_with_their_answers_by_score(tmp_path: Path) -> None:
    write(tmp_path / "stackoverflow.com/Posts.xml", ROWS)
    documents, skipped = read(threads(tmp_path))
    assert not skipped
    first, second = documents
    assert first.text == ("Q: Sums &c?\n\nWhat is 1 + 1?\n\nA: print(1 +  1)\n\nA: two\n\nA: 2")
    assert second.text == "Q: Later\n\nWhy?\n\nA: So."
    assert first.group == "thread:stackoverflow.com/1"
    assert first.id == "stackoverflow.com/Posts.xml:1"
    assert first.origin == "stackoverflow.com/Posts.xml:3"
    assert first.metadata == {"url": "https://stackoverflow.com/questions/1", "score": "3"}
    assert second.metadata["score"] == "0"
    assert (first.license, first.language) == ("CC BY-SA 4.0", "en")
    assert not list((tmp_path / "scratch").iterdir())
    assert read(threads(tmp_path, site="A.org"))[0][0].group == "thread:a.org/1"


def test_answers_may_precede_their_questions(tmp_path: Path) -> None:
    write(tmp_path / "a/Posts.xml", ROWS)
    write(tmp_path / "b/Posts.xml", ROWS[::-1])
    documents, _ = read(threads(tmp_path))
    assert [d.text for d in documents[:2]] == [d.text for d in documents[2:]]


def test_posts_that_give_no_thread_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a/Posts.xml"
    rows = [
        row(1, 1, "alone"),
        row(2, 2, "orphan", ParentId=99),
        row(3, 5, "a wiki"),
        row(4, 2, "no parent"),
        row("five", 1, "x"),
        row(1, 1, "again"),
        row(2**64, 1, "x"),
        "  <row Id='7' PostTypeId='1' Body='cut",
        "  <row Id='8' PostTypeId='1' Body='&lol;' />",
        "  <row Id='9' PostTypeId='1'><row /></row>",
        "<other />",
    ]
    write(path, rows)
    documents, skipped = read(threads(tmp_path))
    assert not documents
    assert sorted((int(s.origin.rpartition(":")[2]), s.reason) for s in skipped) == [
        (3, "question without answers"),
        (4, "answer without its question"),
        (5, "neither question nor answer"),
        (6, "post without its id or its question's"),
        (7, "post with an id or a score that is no number"),
        (8, "post with an id seen before"),
        (9, "post with an id or a score that is no number"),
        (10, "not a row of XML"),
        (11, "not a row of XML"),
        (12, "not a row of XML"),
        (13, "not a row of XML"),
    ]
    documents, _ = read(threads(tmp_path, requires_answers=False))
    assert [d.text for d in documents] == ["Q: alone"]


def test_an_entity_bomb_is_not_expanded(tmp_path: Path) -> None:
    path = tmp_path / "a/Posts.xml"
    entities = ['<!ENTITY e0 "ha">']
    entities += [f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(30)]
    bomb = "<!DOCTYPE posts [" + "".join(entities) + "]>"
    one_line = f"{bomb}<posts><row Id='1' PostTypeId='1' Body='&e30;' /></posts>"
    path.parent.mkdir()
    path.write_text("\n".join([bomb, "<posts>", "<row Id='1' Body='&e30;' />", one_line, ROWS[0]]))
    documents, skipped = read(threads(tmp_path, requires_answers=False))
    assert [d.id for d in documents] == ["a/Posts.xml:1"]
    assert [s.origin for s in skipped] == [f"{path}:{number}" for number in (1, 3, 4)]
    assert {s.reason for s in skipped} == {"not a row of XML"}


def test_damaged_and_overlong_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a/Posts.xml", ROWS)
    whole = (tmp_path / "a/Posts.xml").read_bytes()
    (tmp_path / "a/Posts.xml").unlink()
    (tmp_path / "a/Posts.xml.gz").write_bytes(gzip.compress(whole)[:-12])
    (tmp_path / "b").mkdir()
    (tmp_path / "b/Posts.xml").write_bytes(whole.replace(b"two", b"\xff"))
    (tmp_path / "c").mkdir()
    (tmp_path / "c/Posts.xml").touch()
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 2000)
    monkeypatch.setattr(stackexchange, "MAX_BODY_CHARS", 500)
    write(tmp_path / "d/Posts.xml", [*ROWS, row(7, 1, "x" * 501), row(8, 1, "x" * 2000)])
    documents, skipped = read(threads(tmp_path))
    assert {d.id.partition("/")[0] for d in documents} == {"a", "b", "d"}
    assert [(Path(s.origin).parent.name, s.reason) for s in skipped] == [
        ("a", DAMAGED),
        ("b", "not a row of XML"),
        ("d", "post longer than 1 MiB"),
        ("d", TOO_LONG),
    ]


def test_the_site_is_the_folder_wherever_the_dump_is_named_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dumps of large sites are unpacked from archives such as `stackoverflow.com-Posts.7z`."""
    for folder in ("a.org", "b.com-Posts"):
        write(tmp_path / folder / "Posts.xml", ROWS)
    monkeypatch.chdir(tmp_path / "a.org")
    [document, _] = read(reader("stackexchange", path="Posts.xml"))[0]
    assert document.group == "thread:a.org/1"
    documents, _ = read(threads(tmp_path))
    assert [d.group for d in documents[::2]] == ["thread:a.org/1", "thread:b.com/1"]


def test_a_row_that_is_too_long_for_a_post_is_not_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line of 64 MiB could state millions of attributes."""
    many = " ".join(f'a{number}=""' for number in range(1000))
    write(tmp_path / "a" / "Posts.xml", [*ROWS, f"<row {many} />"])
    monkeypatch.setattr(stackexchange, "MAX_ROW_BYTES", 5000)
    monkeypatch.setattr(stackexchange, "_attributes", _short_only(stackexchange._attributes))
    _, skipped = read(threads(tmp_path))
    assert [s.reason for s in skipped] == ["post longer than 1 MiB"]


def _short_only(parse):
    def parse_short(line: bytes):
        assert len(line) <= 5000
        return parse(line)

    return parse_short
