"""Readers by name (`codepretrain/data/readers/__init__.py`)."""

import json
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from codepretrain.data.readers import READERS
from codepretrain.data.readers.reader import MissingCorpusError
from codepretrain.errors import UserError
from tests.data.readers.reading import read_shards, reader
from tests.data.readers.repositories import Repository


def test_unknown_readers_and_options_are_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"sources.s.reader: no reader named 'jsonlines'; did you"):
        reader("jsonlines")
    with pytest.raises(UserError, match=r"options.max_byte: no such field; did you mean max_bytes"):
        reader("python_code", max_byte=1)
    with pytest.raises(UserError, match=r"options.max_bytes: expected a whole number.*'much'"):
        reader("python_code", max_bytes="much")
    for share in (-0.1, 1.5):
        with pytest.raises(
            UserError, match=rf"max_damaged_share: expected .* 0 to 1, found {share}"
        ):
            reader("python_code", max_damaged_share=share)
    with pytest.raises(UserError, match=r"options.path is missing: expected text"):
        reader("folder")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_bytes": 0}, "max_bytes: expected a whole number, at least 1, found 0"),
        ({"max_bytes": -5}, "max_bytes: expected a whole number, at least 1, found -5"),
        ({"max_document_bytes": 0}, "max_document_bytes: expected .* at least 1, found 0"),
        ({"min_document_bytes": -1}, "min_document_bytes: expected .* at least 0, found -1"),
        (
            {"min_document_bytes": 9, "max_document_bytes": 8},
            "min_document_bytes: expected at most max_document_bytes, 8, found 9",
        ),
        ({"max_files_per_commit": 0}, "max_files_per_commit: expected .* at least 1, found 0"),
    ],
)
def test_limits_that_leave_nothing_are_refused_before_anything_is_read(options, message) -> None:
    name = "git" if "max_files_per_commit" in options else "folder"
    with pytest.raises(UserError, match=rf"^config.data.sources.s.options.{message}$"):
        reader(name, path="/corpus", **options)


@pytest.mark.parametrize("name", sorted({*READERS} - {"controlled", "python_code", "python_prose"}))
def test_an_absent_corpus_is_told_from_a_wrong_option(name: str, tmp_path: Path) -> None:
    """Data that is prepared may be used on machines without the corpora."""
    option = "candidates" if name == "synthetic_code" else "path"
    absent = reader(name, **{option: str(tmp_path / "absent" / "*")})
    for listed in (absent.shards, absent.list_files, lambda: list(absent.all_files())):
        with pytest.raises(MissingCorpusError):
            listed()


@pytest.mark.parametrize("name", ["python_code", "python_prose"])
def test_shards_are_stable_and_can_be_sent_to_processes(name) -> None:
    made = reader(name)
    shards = made.shards()
    assert pickle.loads(pickle.dumps((made, shards[0]))) == (made, shards[0])
    assert shards == reader(name).shards()
    assert name in READERS


def test_shards_of_every_kind_are_read_alike_by_other_processes(tmp_path: Path) -> None:
    """The counts add up: each record is a document or is skipped, whoever reads its shard."""
    repository = Repository(tmp_path / "code")
    repository.commit("Begin", {"a.py": "x = 1\n", "b.bin": b"\0"})
    record = {"text": "x", "content": "x", "title": "t", "body": "b"}
    records = [record | {"instruction": "i", "response": "r"}, {"other": 1}]
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "a.parquet")
    (tmp_path / "a.jsonl.zst").write_bytes(
        zstandard.compress("\n".join(map(json.dumps, records)).encode())
    )
    (tmp_path / "n.ipynb").write_text("{}")
    (tmp_path / "Posts.xml").write_text("<row Id='1' PostTypeId='1' Body='b' />\n<row />")
    without_path = ("controlled", "python_code", "python_prose", "synthetic_code")
    patterns = {name: "a.*" for name in READERS if name not in without_path}
    patterns |= {"git": "code", "folder": "code", "stackexchange": "Posts.xml", "jsonl": "a.jsonl*"}
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        for name, pattern in patterns.items():
            made = reader(name, path=f"{tmp_path}/{pattern}")
            shards = made.shards()
            here = read_shards(made, shards)
            assert sum(map(len, here)) == 2 * len(shards), name
            assert all(made.files(shard) for shard in shards), name
            assert read_shards(made, shards, executor) == here, name
