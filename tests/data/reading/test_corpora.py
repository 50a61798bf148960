"""Raw files that `plan` finds or misses: from their names, without a package that reads them."""

import sys
from pathlib import Path

import pytest

from codepretrain.config.schema import SourceConfig, StudyConfig
from codepretrain.data.readers import git
from codepretrain.data.reading.corpora import Corpus, find_corpora
from tests.configs import small_study
from tests.data.readers.repositories import Repository


def study(**sources: SourceConfig) -> StudyConfig:
    config = small_study()
    object.__setattr__(config.data, "sources", sources)
    return config


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
    [found] = find_corpora(study(code=source(reader, path=f"{tmp_path}/*.parquet")))
    assert found == Corpus(source="code", reader=reader, num_files=2, problem=None)


def test_no_raw_file_is_opened(tmp_path: Path) -> None:
    """A damaged or misnamed field is found by `prepare`; `plan` lists names."""
    (tmp_path / "a.jsonl.gz").write_bytes(b"not gzip")
    (tmp_path / "b.jsonl.gz").write_bytes(b"not gzip")
    [found] = find_corpora(study(text=source("jsonl", path=f"{tmp_path}/*.gz", text_field="x")))
    assert (found.num_files, found.problem) == (2, None)


def test_the_history_of_a_repository_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Repository(tmp_path / "code").commit("One", {"a.py": "x = 1\n"})
    monkeypatch.setattr(git, "Objects", None)
    [found] = find_corpora(study(commits=source("git", path=f"{tmp_path}/*", contents="commits")))
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
    problems = {found.source: found.problem or "" for found in find_corpora(study(**sources))}
    assert "there is no 'pyhton'" in problems["code"]
    assert "there is no 'pyhton'" in problems["commits"]
    assert "there is no 'RedPajamaGit'" in problems["text"]
    assert "prompt_fields: expected at least one field" in problems["math"]


def test_a_missing_corpus_and_its_missing_list_are_both_named(tmp_path: Path) -> None:
    options = {"path": f"{tmp_path}/dolly.jsonl", "excluded_prompts": f"{tmp_path}/prompts.jsonl"}
    [found] = find_corpora(study(text=source("instruct", **options)))
    assert found.problem == (
        f"reader 'instruct': no file matches path '{tmp_path}/dolly.jsonl'; "
        f"excluded_prompts: there is no file {tmp_path}/prompts.jsonl"
    )
