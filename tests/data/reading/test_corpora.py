"""Raw files that `plan` finds or misses: from their names, without a package that reads them."""

import dataclasses
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from codepretrain.config.schema import DecontaminationConfig, SourceConfig, StudyConfig
from codepretrain.data.readers import git
from codepretrain.data.readers import parquet as parquet_module
from codepretrain.data.reading.corpora import Corpus, find_corpora, missing_benchmarks
from codepretrain.errors import UserError
from tests.configs import small_study
from tests.data.readers.repositories import Repository
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


def made(**sources: SourceConfig) -> StudyConfig:
    config = small_study()
    return dataclasses.replace(config, data=dataclasses.replace(config.data, sources=sources))


def source(reader: str, **options: str) -> SourceConfig:
    return SourceConfig(reader=reader, kind="text", options=options)


@pytest.mark.parametrize("reader", ["the_stack", "records", "notebooks", "commits", "slimpajama"])
def test_parquet_is_found_without_pyarrow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str
) -> None:
    for name in ("a.parquet", "b.parquet"):
        (tmp_path / name).write_bytes(b"not Parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    [found] = find_corpora(made(code=source(reader, path=f"{tmp_path}/*.parquet")))
    assert found == Corpus(source="code", num_files=2, problem=None)


def test_no_raw_file_is_opened(tmp_path: Path) -> None:
    """A damaged or misnamed field is found by `prepare`; `plan` lists names."""
    (tmp_path / "a.jsonl.gz").write_bytes(b"not gzip")
    (tmp_path / "b.jsonl.gz").write_bytes(b"not gzip")
    [found] = find_corpora(made(text=source("jsonl", path=f"{tmp_path}/*.gz", text_field="x")))
    assert (found.num_files, found.problem) == (2, None)


def test_the_history_of_a_repository_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Repository(tmp_path / "code").commit("One", {"a.py": "x = 1\n"})
    monkeypatch.setattr(git, "Objects", None)
    [found] = find_corpora(made(commits=source("git", path=f"{tmp_path}/*", contents="commits")))
    assert (found.num_files, found.problem) == (1, None)


def test_options_are_checked(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").touch()
    path = f"{tmp_path}/*"
    sources = {
        "code": source("the_stack", path=path, languages="pyhton"),
        "commits": source("commits", path=path, languages="pyhton"),
        "text": source("slimpajama", path=path, drop_sets="RedPajamaGit"),
        "math": source("instruct", path=path, prompt_fields=" "),
    }
    problems = {found.source: found.problem or "" for found in find_corpora(made(**sources))}
    assert "there is no 'pyhton'" in problems["code"]
    assert "there is no 'pyhton'" in problems["commits"]
    assert "there is no 'RedPajamaGit'" in problems["text"]
    assert "prompt_fields: expected at least one field" in problems["math"]


def test_a_missing_corpus_and_its_missing_list_are_both_named(tmp_path: Path) -> None:
    options = {"path": f"{tmp_path}/dolly.jsonl", "excluded_prompts": f"{tmp_path}/prompts.jsonl"}
    [found] = find_corpora(made(text=source("instruct", **options)))
    assert found.problem == (
        f"reader 'instruct': no file matches path '{tmp_path}/dolly.jsonl'; "
        f"excluded_prompts: there is no file {tmp_path}/prompts.jsonl"
    )
