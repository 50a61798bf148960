import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from codepretrain.config.schema import DecontaminationConfig, SourceConfig
from codepretrain.data.prepare import prepare
from codepretrain.data.readers import parquet as parquet_module
from codepretrain.data.reading.documents import open_documents
from codepretrain.data.reading.raw_files import check_all_raw_files
from codepretrain.data.selection.selected import selection_directory
from codepretrain.errors import UserError
from codepretrain.files.storage import remove_tree
from tests.data.readers.repositories import Repository
from tests.fixtures.corpus import study


def test_every_source_that_changed_is_named(corpus, tmp_path: Path) -> None:
    raw, data_dir = Path(shutil.copytree(corpus, tmp_path / "raw")), tmp_path / "data" / "study"
    config = study(raw)
    prepare(config, data_dir, num_workers=1, console=Console(file=io.StringIO()))
    notes: list[str] = []
    check_all_raw_files(config, data_dir, notes.append)
    (raw / "code" / "m07.py").write_text("x = 1")
    (raw / "prose.jsonl").write_text('{"text": "x"}')
    message = r"^config.data.sources.code: .*m07.py was .*; config.data.sources.text: .*prose.jsonl"
    with pytest.raises(UserError, match=message):
        check_all_raw_files(config, data_dir, notes.append)
    remove_tree(open_documents(data_dir, "code").folder)
    with pytest.raises(UserError, match=r"^config.data.sources.text"):
        check_all_raw_files(config, data_dir, notes.append)
    assert notes == []
    shutil.rmtree(raw)
    check_all_raw_files(config, data_dir, notes.append)
    assert [note.split(":")[0] for note in notes] == ["config.data.sources.text"]


def test_own_repositories_need_not_be_where_a_model_is_trained(tmp_path: Path) -> None:
    raw, data_dir = tmp_path / "raw", tmp_path / "data" / "study"
    for name in ("one", "two"):
        repository = Repository(raw / name)
        repository.commit(
            "Begin", {f"{number}.py": f"{name} = {number}\n" * 40 for number in range(20)}
        )
    options = {"path": f"{raw}/*", "languages": "python"}
    config = study(raw, sources={"code": SourceConfig(reader="git", kind="code", options=options)})
    prepare(config, data_dir, num_workers=1, console=Console(file=io.StringIO()))
    shutil.rmtree(raw)
    notes: list[str] = []
    check_all_raw_files(config, data_dir, notes.append)
    assert len(notes) == 1
    assert "no git repository matches" in notes[0]


@pytest.mark.parametrize("name", ["folder", "records", "notebooks", "git"])
def test_names_of_files_need_not_be_utf8(name: str, tmp_path: Path) -> None:
    raw, data_dir = tmp_path / "raw", tmp_path / "data" / "study"
    raw.mkdir()
    for number in range(30):
        odd = os.fsdecode(b"\xfe%d" % number) if number else "a"
        words = " ".join(f"word{number * word}" for word in range(9))
        if name == "git":
            Repository(raw / odd).commit("Begin", {"a.py": words})
            continue
        cells = [{"cell_type": "markdown", "source": [words]}]
        text = {"notebooks": json.dumps({"cells": cells}), "folder": words}
        suffix = {"notebooks": ".ipynb", "folder": ".txt", "records": ".jsonl"}[name]
        (raw / f"{odd}{suffix}").write_text(text.get(name, json.dumps({"text": words})))
    options = {"path": str(raw) if name == "folder" else f"{raw}/*"}
    config = study(raw, sources={"s": SourceConfig(reader=name, kind="text", options=options)})
    prepare(config, data_dir, num_workers=1, console=Console(file=io.StringIO()))
    found = open_documents(data_dir, "s")
    assert not found.manifest.skipped
    ids = {document.id for document in found.read()}
    assert len(ids) == 30
    assert any("\\xfe7" in text for text in ids)
    check_all_raw_files(config, data_dir, lambda note: None)


def test_evaluation_sets_that_changed_are_named(corpus, tmp_path: Path) -> None:
    path, data_dir = tmp_path / "qa.jsonl", tmp_path / "data" / "study"
    path.write_text('{"text": "a b c d e f g h i j k l m n"}')
    config = study(corpus, decontamination=DecontaminationConfig(benchmarks={"qa": str(path)}))
    prepare(config, data_dir, num_workers=1, console=Console(file=io.StringIO()))
    notes: list[str] = []
    check_all_raw_files(config, data_dir, notes.append)
    path.write_text('{"text": "n m l k j i h g f e d c b a"}')
    with pytest.raises(UserError, match=r"decontamination.benchmarks.qa: its files changed since"):
        check_all_raw_files(config, data_dir, notes.append)
    remove_tree(selection_directory(data_dir))
    path.unlink()
    check_all_raw_files(config, data_dir, notes.append)


def test_it_imports_nothing_heavy() -> None:
    program = (
        "import sys, codepretrain.data.reading.raw_files\n"
        "heavy = {'tensorflow', 'seqio', 'tokenizers', 'jax'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_files_are_compared_without_opening_those_whose_checksums_are_known(
    tmp_path: Path, monkeypatch
) -> None:
    """`run` compares thousands of Parquet files, perhaps in an object store, before it trains."""
    for number in range(2):
        texts = [f"{number} {line} " + "some text " * 9 for line in range(30)]
        pq.write_table(pa.table({"text": texts}), tmp_path / f"{number}.parquet")
    source = SourceConfig(
        reader="records", kind="text", options={"path": str(tmp_path / "*.parquet")}
    )
    config = study(tmp_path, sources={"text": source})
    data_dir = tmp_path / "data" / "study"
    prepare(config, data_dir, num_workers=1, console=Console(file=io.StringIO()))

    def refuse(path: object) -> None:
        raise AssertionError(f"{path} was opened")

    monkeypatch.setattr(parquet_module, "RangeFile", refuse)
    notes: list[str] = []
    check_all_raw_files(config, data_dir, notes.append)
    pq.write_table(pa.table({"text": ["one"]}), tmp_path / "2.parquet")
    with pytest.raises(UserError, match=r"2.parquet is new"):
        check_all_raw_files(config, data_dir, notes.append)
    assert notes == []
