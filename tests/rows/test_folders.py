from pathlib import Path

import pytest

from codepretrain.errors import UserError
from codepretrain.files.sealed import write_sealed
from codepretrain.rows.folders import (
    RowsFolder,
    folders_path,
    load_folders,
    rows_pool,
    save_folders,
)
from codepretrain.rows.manifest import rows_directory


def entry(folder: str) -> RowsFolder:
    return RowsFolder(folder=folder, identity="i" * 64, settings_hash="s" * 64)


def test_folders_are_found_in_the_pool_beside_the_study(tmp_path: Path) -> None:
    data_dir = tmp_path / "data" / "study"
    assert load_folders(data_dir) == {}
    folders = {("text", "train"): entry("text-train-0123"), ("text", "validation"): entry("x")}
    save_folders(data_dir, folders)
    assert load_folders(data_dir) == folders
    assert rows_pool(data_dir) == tmp_path / "data" / "rows"
    directory = rows_directory(data_dir, "text", "train")
    assert directory == tmp_path / "data" / "rows" / "text-train-0123"
    # not listed: a place where nothing is
    assert rows_directory(data_dir, "code", "train") == data_dir / "rows" / "code" / "train"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"format_version": 9, "rows": {}}, "has format 9, this version reads 1"),
        ({"format_version": 1}, "rows is missing"),
        ({"format_version": 1, "rows": {"text": {"train": {"folder": 3}}}}, "identity is missing"),
    ],
)
def test_a_damaged_list_is_named(tmp_path: Path, value: dict, message: str) -> None:
    write_sealed(folders_path(tmp_path), value)
    with pytest.raises(UserError, match=rf"{tmp_path}/rows.json.*{message}.*; delete .*rows.json"):
        load_folders(tmp_path)
