import os
from pathlib import Path

import fsspec
import pytest

from codepretrain.data.readers import folder as folder_module
from codepretrain.errors import UserError
from tests.data.readers.reading import read, reader


def test_folder(tmp_path) -> None:
    for name, data in {
        "b.py": b"b = 1\n",
        "a.py": b"\xef\xbb\xbfa = 1\r\n",
        "sub/c.py": b"c",
        "latin.py": b"\xe9",
        ".hidden/d.py": b"d",
        "note.md": b"#",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "gone.py").symlink_to(tmp_path / "absent")
    documents, skipped = read(reader("folder", path=str(tmp_path), pattern="*.py", license="MIT"))
    assert [(d.id, d.text, d.license) for d in documents] == [
        ("a.py", "a = 1\r\n", "MIT"),
        ("b.py", "b = 1\n", "MIT"),
        ("sub/c.py", "c", "MIT"),
    ]
    assert [(s.origin, s.reason) for s in skipped] == [
        (f"{tmp_path}/gone.py", "unreadable: No such file or directory"),
        (f"{tmp_path}/latin.py", "not UTF-8"),
    ]
    with pytest.raises(UserError, match=r"no file below .* matches '\*.rs'"):
        reader("folder", path=str(tmp_path), pattern="*.rs").shards()
    with pytest.raises(UserError, match="is not a folder"):
        reader("folder", path=str(tmp_path / "absent")).shards()


def test_loops_pipes_and_broken_links_are_skipped_and_named(tmp_path: Path) -> None:
    """Reading a pipe would wait for its writer, and a loop of links has no end."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "text.txt").write_text("a text")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "one.txt").symlink_to("two.txt")
    (tmp_path / "two.txt").symlink_to("one.txt")
    os.mkfifo(tmp_path / "pipe.txt")
    with (tmp_path / "huge.txt").open("wb") as file:
        file.truncate(2**26 + 1)
    documents, skipped = read(reader("folder", path=str(tmp_path), pattern="*.txt"))
    assert [document.id for document in documents] == ["a/text.txt"]
    assert [(Path(s.origin).name, s.reason) for s in skipped] == [
        ("huge.txt", "larger than 64 MiB"),
        ("one.txt", "unreadable: Too many levels of symbolic links"),
        ("pipe.txt", "not a regular file"),
        ("two.txt", "unreadable: Too many levels of symbolic links"),
    ]


@pytest.mark.parametrize("path", ["/proc", "/proc/self", "/sys", "a link to /proc"])
def test_the_kernels_file_systems_are_no_corpora(path: str, tmp_path: Path) -> None:
    made = reader("folder", path=path)
    if path == "a link to /proc":
        path = str(tmp_path / "link")
        Path(path).symlink_to("/proc")
        made = reader("folder", path=path)
    with pytest.raises(UserError, match=rf"path '{path}' is in a file system of the kernel"):
        made.shards()


def test_the_kernels_file_systems_below_the_corpus_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_module, "_NOT_CORPORA", (str(tmp_path / "proc"),))
    for name in ("proc", "process"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("a text")
    documents, skipped = read(reader("folder", path=str(tmp_path)))
    assert [document.id for document in documents] == ["process/a.txt"]
    assert skipped == []


def test_a_folder_in_an_object_store_is_read_as_a_local_one(tmp_path: Path) -> None:
    contents = {"a.py": b"a", "b/c.py": b"\xff", "b/.d.py": b"d", ".e/f.py": b"f", "g.txt": b"g"}
    store = fsspec.filesystem("memory")
    for name, content in contents.items():
        (tmp_path / "code" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "code" / name).write_bytes(content)
        store.pipe_file(f"/bucket/code/{name}", content)
    local = read(reader("folder", path=f"{tmp_path}/code", pattern="*.py"))
    stored = read(reader("folder", path="memory://bucket/code/", pattern="*.py"))
    store.rm("/bucket", recursive=True)
    for documents, skipped in (local, stored):
        assert [(d.id, d.text, d.group) for d in documents] == [("a.py", "a", "file:code/a.py")]
        assert [d.origin for d in documents] == ["code/a.py"]
        assert [s.reason for s in skipped] == ["not UTF-8"]
    with pytest.raises(UserError, match="no file below 'memory://bucket/absent' matches"):
        reader("folder", path="memory://bucket/absent").shards()


def test_a_source_tree_has_the_languages_of_its_file_names(tmp_path: Path) -> None:
    names = ("a.py", "sub/b.CPP", "Makefile", "README.md", "LICENSE", "n.txt")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    documents, _ = read(reader("folder", path=str(tmp_path)))
    assert {d.id: d.language for d in documents} == {
        "LICENSE": None,
        "Makefile": "makefile",
        "README.md": "markdown",
        "a.py": "python",
        "n.txt": "text",
        "sub/b.CPP": "cpp",
    }
    documents, skipped = read(reader("folder", path=str(tmp_path), languages="web_code"))
    assert [d.id for d in documents] == ["Makefile", "a.py", "sub/b.CPP"]
    assert [s.reason for s in skipped] == ["language is not chosen"] * 3
    documents, _ = read(reader("folder", path=str(tmp_path), language="en", pattern="*.md"))
    assert [d.language for d in documents] == ["en"]
    with pytest.raises(UserError, match="reader 'folder': languages: there is no 'pyton'"):
        reader("folder", path=str(tmp_path), languages="pyton").shards()


def test_binary_files_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\x7fELF\0\1\2")
    (tmp_path / "b.dat").write_bytes(b"\0\xff")
    documents, skipped = read(reader("folder", path=str(tmp_path)))
    assert not documents
    assert [s.reason for s in skipped] == ["binary", "binary"]


def test_an_empty_file_is_a_document_without_text(tmp_path: Path) -> None:
    """The limit `min_document_bytes` counts it."""
    (tmp_path / "a.txt").touch()
    documents, skipped = read(reader("folder", path=str(tmp_path)))
    assert ([d.text for d in documents], skipped) == ([""], [])


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("**/*.txt", ["a.txt", "s/b.txt", "s/t/c.txt"]),
        ("s/**/*.txt", ["s/b.txt", "s/t/c.txt"]),
        ("**/t/**/*.txt", ["s/t/c.txt"]),
        ("*.txt", ["a.txt", "s/b.txt", "s/t/c.txt"]),
    ],
)
def test_two_stars_match_folders_at_any_depth(
    tmp_path: Path, pattern: str, names: list[str]
) -> None:
    for name in ("a.txt", "s/b.txt", "s/t/c.txt", "s/t/c.rst"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    documents, _ = read(reader("folder", path=str(tmp_path), pattern=pattern))
    assert [document.id for document in documents] == names
