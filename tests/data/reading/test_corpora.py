"""What `plan` says of raw files: real corpora on disk, and none."""

import dataclasses
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from codepretrain.config.schema import DecontaminationConfig, SourceConfig
from codepretrain.data.readers import parquet as parquet_module
from codepretrain.data.reading.corpora import Corpus, find_corpora, missing_benchmarks
from codepretrain.errors import UserError
from tests.fixtures.corpus import study


def study_of(path: Path, **readers: str):
    """Returns a study of sources, each with a reader of files that the glob `path` matches."""
    sources = {
        source: SourceConfig(reader=reader, kind="code", options={"path": str(path)})
        for source, reader in readers.items()
    }
    config = study(path.parent)
    return dataclasses.replace(config, data=dataclasses.replace(config.data, sources=sources))


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    for number in range(3):
        pq.write_table(pa.table({"content": ["x = 1"] * 4}), tmp_path / f"{number}.parquet")
    return tmp_path


def test_files_are_counted_without_opening_them(stack: Path, monkeypatch) -> None:
    """A corpus may have thousands of Parquet files in an object store."""

    def refuse(path: object) -> None:
        raise AssertionError(f"{path} was opened")

    monkeypatch.setattr(parquet_module, "RangeFile", refuse)
    assert find_corpora(study_of(stack / "*.parquet", code="the_stack")) == [
        Corpus(source="code", num_files=3, problem=None)
    ]


def test_a_source_without_files_has_a_problem(stack: Path) -> None:
    missing = stack / "absent" / "*.parquet"
    [found] = find_corpora(study_of(missing, code="the_stack"))
    assert found.num_files == 0
    assert found.problem == f"reader 'the_stack': no file matches path '{missing}'"
    with pytest.raises(UserError, match=r"sources.code.reader: no reader named 'the_stak'"):
        find_corpora(study_of(stack / "*", code="the_stak"))


def test_evaluation_sets_without_files_are_named(stack: Path) -> None:
    benchmarks = {
        "absent": str(stack / "a.jsonl"),
        "elsewhere": "ftp://host/a.jsonl",
        "there": str(stack / "0.parquet"),
    }
    config = study(stack, decontamination=DecontaminationConfig(benchmarks=benchmarks))
    absent, elsewhere = missing_benchmarks(config)
    path = "config.data.decontamination.benchmarks"
    assert absent == f"{path}.absent: no file matches '{stack}/a.jsonl'"
    assert elsewhere.startswith(
        f"{path}.elsewhere: reader 'jsonl': path ftp://host/a.jsonl: expect"
    )
