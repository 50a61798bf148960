"""What is missing of real prepared data, when parts of a copy are removed."""

import shutil
from pathlib import Path

from codepretrain.data.missing import missing_documents, missing_parts
from tests.fixtures.described import Described


def test_nothing_and_everything(described: Described, tmp_path: Path) -> None:
    assert missing_parts(described.config, described.data_dir) == []
    assert missing_documents(described.config, described.data_dir) == []
    documents = ["documents of code, notes, prose", "selection"]
    assert missing_documents(described.config, tmp_path / "data" / "none") == documents
    assert missing_parts(described.config, tmp_path / "data" / "none") == [
        *documents,
        "tokenizer",
        "rows of code, notes, prose",
        "list of held-out documents",
        "evaluation items",
    ]


def test_each_part_by_itself(described: Described, tmp_path: Path) -> None:
    data = Path(shutil.copytree(described.workdir / "data", tmp_path / "data"))
    study = data / described.data_dir.name
    for name, missing in {
        "evals": ["evaluation items"],
        "held_out": ["list of held-out documents", "evaluation items"],
        "tokenizer": ["tokenizer", "list of held-out documents", "evaluation items"],
        "selection": ["selection", "tokenizer", "list of held-out documents", "evaluation items"],
    }.items():
        shutil.rmtree(study / name)
        assert missing_parts(described.config, study) == missing
    [notes] = (data / "rows").glob("notes-train-*")
    shutil.rmtree(notes)
    assert "rows of notes" in missing_parts(described.config, study)
    [prose] = (data / "documents").glob("prose-*")
    shutil.rmtree(prose)
    assert missing_documents(described.config, study) == ["documents of prose", "selection"]
