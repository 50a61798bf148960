import gzip
import json
import pickle
import zlib

import pytest

from codepretrain.config.schema import SourceConfig
from codepretrain.data.document import Document, Skipped
from codepretrain.data.readers import READERS, make_reader
from codepretrain.data.readers.python_files import distributions, license, python_files
from codepretrain.errors import UserError


def reader(name: str, **options: str | int | bool):
    return make_reader("s", SourceConfig(reader=name, kind="text", options=options))


def read(made, num_shards: int | None = None) -> tuple[list[Document], list[Skipped]]:
    items = [item for shard in made.shards()[:num_shards] for item in made.read(shard, "s")]
    documents = [item for item in items if isinstance(item, Document)]
    return documents, [item for item in items if isinstance(item, Skipped)]


def test_unknown_readers_and_options_are_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"sources.s.reader: no reader named 'jsonlines'; did you"):
        reader("jsonlines")
    with pytest.raises(UserError, match=r"options.max_byte: no such field; did you mean max_bytes"):
        reader("python_code", max_byte=1)
    with pytest.raises(UserError, match=r"options.max_bytes: expected a whole number.*'much'"):
        reader("python_code", max_bytes="much")
    with pytest.raises(UserError, match=r"options.path is missing: expected text"):
        reader("folder")


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
        ("gone.py", "unreadable: No such file or directory"),
        ("latin.py", "not UTF-8"),
    ]
    with pytest.raises(UserError, match=r"no file below .* matches '\*.rs'"):
        reader("folder", path=str(tmp_path), pattern="*.rs").shards()
    with pytest.raises(UserError, match="is not a folder"):
        reader("folder", path=str(tmp_path / "absent")).shards()


def test_json_lines(tmp_path) -> None:
    lines = [
        {"body": "first", "name": 7, "lang": "en"},
        {"text": "in another field"},
        {"body": "né\n", "name": None},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines) + "\n{broken\n[1]\n"
    (tmp_path / "b.jsonl").write_text(text)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"body": "zipped"}'))
    made = reader(
        "jsonl",
        path=str(tmp_path / "*.jsonl*"),
        text_field="body",
        id_field="name",
        language_field="lang",
    )
    documents, skipped = read(made)
    assert [(d.id, d.text, d.language) for d in documents] == [
        ("a.jsonl.gz:1", "zipped", None),
        ("7", "first", "en"),
        ("b.jsonl:3", "né\n", None),
    ]
    assert [(s.origin, s.reason) for s in skipped] == [
        ("b.jsonl:2", "no text in field 'body'"),
        ("b.jsonl:5", "not JSON"),
        ("b.jsonl:6", "no text in field 'body'"),
    ]


def test_damaged_and_missing_files_are_errors(tmp_path) -> None:
    with pytest.raises(UserError, match=r"no file matches path '.*absent'"):
        reader("jsonl", path=str(tmp_path / "absent")).shards()
    path = tmp_path / "a.jsonl.gz"
    whole = gzip.compress(json.dumps({"text": "x" * 9999}).encode())
    for data in (whole[:-9], b"not gzip", whole[:15] + b"\xff" * 9 + whole[24:]):
        path.write_bytes(data)
        with pytest.raises(UserError, match=r"a.jsonl.gz is damaged"):
            read(reader("jsonl", path=str(path)))
    assert issubclass(zlib.error, Exception)


def test_python_code_of_this_interpreter() -> None:
    made = reader("python_code")
    documents, skipped = read(made, 2)
    assert len(documents) + len(skipped) == 2 * 64
    assert {document.language for document in documents} == {"python"}
    assert {item.reason for item in skipped} <= {
        "generated",
        "not Python of this version",
        "not UTF-8",
    }
    roots = {document.id.split("/")[0] for document in documents}
    assert roots == {"stdlib", "site-packages"}
    whole = {d.id: d.text for d in read(reader("python_code", strips_docstrings=False), 2)[0]}
    assert whole.keys() == {document.id for document in documents}
    assert sum(map(len, whole.values())) > sum(len(document.text) for document in documents)


def test_python_prose_of_this_interpreter() -> None:
    documents, skipped = read(reader("python_prose"), 3)
    kinds = {document.id.split("/")[0] for document in documents}
    assert kinds == {"topics", "descriptions", "docstrings"}
    assert {item.reason for item in skipped} <= {"no description", "no docstrings"}
    topic = next(document for document in documents if document.id == "topics/lambda")
    assert "Lambda expressions" in topic.text
    assert topic.license == "PSF-2.0"
    only = reader("python_prose", includes_docstrings=False, includes_descriptions=False)
    assert {d.id.split("/")[0] for d in read(only)[0]} == {"topics"}


def test_files_carry_their_distribution_and_no_local_path() -> None:
    files = python_files()
    assert len({file.name for file in files}) == len(files)
    numpy = [file for file in files if file.name == "site-packages/numpy/__init__.py"]
    assert len(numpy) == 1
    assert numpy[0].origin.startswith("numpy==")
    assert "BSD" in (numpy[0].license or "")
    assert not any("/test/" in file.name for file in files if file.name.startswith("stdlib"))
    assert not any(file.path in file.origin for file in files)


def test_distributions_are_in_order_and_named_once() -> None:
    names = [distribution.metadata["Name"] for distribution in distributions()]
    assert names == sorted(set(names))
    assert sum(license(distribution) is not None for distribution in distributions()) > 10


@pytest.mark.parametrize("name", ["python_code", "python_prose"])
def test_shards_are_stable_and_can_be_sent_to_processes(name) -> None:
    made = reader(name)
    shards = made.shards()
    assert pickle.loads(pickle.dumps((made, shards[0]))) == (made, shards[0])
    assert shards == reader(name).shards()
    assert name in READERS
