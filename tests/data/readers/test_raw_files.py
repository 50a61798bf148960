from pathlib import Path

import fsspec
import pytest

from codepretrain.data.readers.lines import read_lines
from codepretrain.data.readers.raw_files import raw_files
from codepretrain.data.readers.reader import RawFile
from codepretrain.errors import UserError

NAMES = [
    *("a/x.jsonl", "a/y.txt", "a/deep/er/z.jsonl", "b/x.jsonl"),
    *("a/.hidden.jsonl", "a/.cache/x.jsonl", ".cache/x.jsonl"),
]


@pytest.fixture
def bucket():
    store = fsspec.filesystem("memory")
    for name in NAMES:
        store.pipe_file(f"/bucket/raw/{name}", b"one\ntwo\n")
    yield "memory://bucket/raw"
    store.rm("/bucket", recursive=True)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*/x.jsonl", ["a/x.jsonl", "b/x.jsonl"]),
        ("a/*.jsonl", ["x.jsonl"]),
        ("**/*.jsonl", ["a/deep/er/z.jsonl", "a/x.jsonl", "b/x.jsonl"]),
        ("[!a]/?.jsonl", ["b/x.jsonl"]),
        ("[ab]/x.jsonl", ["a/x.jsonl", "b/x.jsonl"]),
        ("a/y.txt", ["y.txt"]),
        ("a/**", ["deep/er/z.jsonl", "x.jsonl", "y.txt"]),
        ("**", ["a/deep/er/z.jsonl", "a/x.jsonl", "a/y.txt", "b/x.jsonl"]),
        ("a/.cache/*.jsonl", ["x.jsonl"]),
        (".cache/**/*.jsonl", ["x.jsonl"]),
        ("**/.cache/*", [".cache/x.jsonl", "a/.cache/x.jsonl"]),
        ("a/.*.jsonl", [".hidden.jsonl"]),
    ],
)
def test_a_glob_matches_alike_in_a_folder_and_in_a_store(
    tmp_path, bucket: str, pattern: str, names: list[str]
) -> None:
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    stored = raw_files(f"{bucket}/{pattern}", reader="r")
    assert [file.name for file in stored] == names
    assert [file.name for file in raw_files(f"{tmp_path}/{pattern}", reader="r")] == names
    assert [line for _, line in read_lines(stored[0].path)] == [b"one", b"two"]


def test_nothing_matches(tmp_path, bucket: str) -> None:
    for pattern in (f"{bucket}/c/*", f"{tmp_path}/*"):
        with pytest.raises(UserError, match=r"reader 'r': no file matches path '.*\*'"):
            raw_files(pattern, reader="r")
    assert raw_files(f"{bucket}/a/y.txt", reader="r") == [RawFile(f"{bucket}/a/y.txt", "y.txt")]
    with pytest.raises(UserError, match="reader 'r': path ftp://x"):
        raw_files("ftp://x/y", reader="r")


def test_files_are_named_alike_from_every_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "python").mkdir()
    path = tmp_path / "python" / "x[1].jsonl"
    path.touch()
    expected = [RawFile(str(path), "x[1].jsonl")]
    monkeypatch.chdir(path.parent)
    for pattern in (str(path), "*.jsonl", "x[1].jsonl", "../python/x[1].jsonl"):
        assert raw_files(pattern, reader="r") == expected
