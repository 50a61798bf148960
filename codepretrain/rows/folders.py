"""Which folders of rows a study uses: `<data_dir>/rows.json`, sealed.

    {"format_version": 1,
     "rows": {source: {split: {"folder": …, "identity": …, "settings_hash": …}}}}

Folders of rows are shared by all studies of a working directory, so adding a source to a study
makes no other source's rows again. `prepare` writes this file when all of them are whole.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from etils import epath

from codepretrain.files.sealed import read_sealed, write_sealed
from codepretrain.files.storage import StrPath, is_file
from codepretrain.rows.verify import parse_manifest

_FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class RowsFolder:
    """The rows of one source and split.

    folder: its name in the pool. identity: see `RowsManifest`. settings_hash: of all settings of
    the study that determine the source's rows.
    """

    folder: str
    identity: str
    settings_hash: str


@dataclass(frozen=True, kw_only=True)
class _Folders:
    format_version: int
    rows: Mapping[str, Mapping[str, RowsFolder]]


def rows_pool(data_dir: StrPath) -> epath.Path:
    """Returns the folder of all rows of a working directory."""
    return epath.Path(data_dir).parent / "rows"


def folders_path(data_dir: StrPath) -> epath.Path:
    """Returns the path of a study's `rows.json`."""
    return epath.Path(data_dir) / "rows.json"


def save_folders(data_dir: StrPath, folders: Mapping[tuple[str, str], RowsFolder]) -> None:
    """Replaces the study's `rows.json`. folders: by source and split."""
    rows: dict[str, dict[str, Any]] = {}
    for (source, split), entry in sorted(folders.items()):
        rows.setdefault(source, {})[split] = dataclasses.asdict(entry)
    write_sealed(folders_path(data_dir), {"format_version": _FORMAT_VERSION, "rows": rows})


def load_folders(data_dir: StrPath) -> dict[tuple[str, str], RowsFolder]:
    """Returns the study's folders by source and split: none before its rows are prepared.

    Raises:
      UserError: the file is damaged, or of another version.
    """
    path = folders_path(data_dir)
    if not is_file(path):
        return {}
    remedy = f"delete {path} and run `codepretrain prepare` again"
    value, _ = read_sealed(path, remedy=remedy)
    found = parse_manifest(_Folders, value, version=_FORMAT_VERSION, path=path, remedy=remedy)
    return {
        (source, split): entry
        for source, splits in found.rows.items()
        for split, entry in splits.items()
    }
