"""Imported checkpoints that phases start from: found, identified, and checked against the data."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.interop.import_record import ImportRecord, import_folder
from codepretrain.interop.tokenizer_files import ids_digest
from codepretrain.study.imports import (
    check_imports,
    check_tokenizer,
    import_identities,
    study_imports,
)
from tests.configs import small_study


def study(tokenizer: Path | None = None) -> StudyConfig:
    config = small_study()
    trunk = dataclasses.replace(config.phases["trunk"], initial_checkpoint="base")
    path = str(tokenizer) if tokenizer else None
    data = dataclasses.replace(
        config.data, tokenizer=dataclasses.replace(config.data.tokenizer, path=path)
    )
    return dataclasses.replace(config, data=data, phases={**config.phases, "trunk": trunk})


def write_tokenizer(folder: Path, pieces: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = {"model": {"type": "BPE", "vocab": vocabulary, "merges": []}, "added_tokens": []}
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(tokenizer))
    return path


def write_import(workdir: Path, ids_sha256: str | None, folder: Path) -> None:
    target = import_folder(workdir, "base")
    target.mkdir(parents=True)
    ImportRecord(
        weights_sha256="w" * 64,
        ids_sha256=ids_sha256,
        num_parameters=1,
        origin={"folder": str(folder)},
    ).save(target)


def test_a_missing_import_is_identified_by_name_and_refused(tmp_path: Path) -> None:
    imports = study_imports(study(), tmp_path)
    assert imports == {"base": None}
    assert import_identities(imports) == {"base": "name:base"}
    message = r"config.phases.trunk.initial_checkpoint: there is no 'base' in .*imported; import it"
    with pytest.raises(UserError, match=message):
        check_imports(study(), imports, tmp_path, tmp_path / "data")


def test_an_import_is_identified_by_its_weights(tmp_path: Path) -> None:
    tokenizer = write_tokenizer(tmp_path / "model", "abc")
    write_import(tmp_path, ids_digest(tokenizer), tokenizer.parent)
    imports = study_imports(study(), tmp_path)
    assert import_identities(imports) == {"base": f"weights:{'w' * 64}"}
    check_imports(study(tokenizer), imports, tmp_path, tmp_path / "data")


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    theirs = write_tokenizer(tmp_path / "model", "abc")
    ours = write_tokenizer(tmp_path / "ours", "acb")
    arguments: dict[str, Any] = {"ids_sha256": ids_digest(theirs), "source": theirs.parent}
    with pytest.raises(UserError, match=r"was trained with another tokenizer than the study's"):
        check_tokenizer(study(ours), tmp_path / "data", **arguments)
    with pytest.raises(UserError, match=r"use it: --config.data.tokenizer.path=.*tokenizer.json"):
        check_tokenizer(study(), tmp_path / "data", **arguments)
    check_tokenizer(study(ours), tmp_path / "data", ids_sha256=None, source=theirs.parent)
