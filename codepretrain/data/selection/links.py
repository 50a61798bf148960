"""What a selection was told to keep on one side of the split, in files of its folder.

    similar.texts.npy    [m, 2] uint64: clusters of similar texts (`data/selection/duplicates.py`)
    joined.groups.npy    [n, 2] uint64: pairs of groups that documents join, or one record

They prove that the split keeps them together, without another search. Group and text keys are those
of `data/keys.py`. No source has a name with a dot.
"""

import io
from pathlib import Path

import numpy as np

from codepretrain.files.explain import explained
from codepretrain.files.storage import StrPath, read_bytes
from codepretrain.rows.verify import check_contents, check_folder, folder_remedy

SIMILAR_TEXTS, JOINED_GROUPS = "similar.texts.npy", "joined.groups.npy"


def save_links(folder: Path, *, clusters: np.ndarray, joins: np.ndarray) -> None:
    """Writes both files."""
    for name, pairs in {SIMILAR_TEXTS: clusters, JOINED_GROUPS: joins}.items():
        with explained("write", folder / name):
            np.save(folder / name, pairs)


def load_clusters(directory: StrPath) -> np.ndarray:
    """Returns the clusters of similar texts: [m, 2] uint64, none if they were not searched.

    Args:
      directory: of the selection.

    Raises:
      UserError: the file is missing or damaged.
    """
    return _load(directory, SIMILAR_TEXTS)


def load_joins(directory: StrPath) -> np.ndarray:
    """Returns the pairs of groups that documents join: [n, 2] uint64; see `load_clusters`."""
    return _load(directory, JOINED_GROUPS)


def _load(directory: StrPath, name: str) -> np.ndarray:
    hashes = check_folder(directory, "selection", reads_contents=False)
    check_contents(directory, hashes, [name], remedy=folder_remedy(directory))
    return np.load(io.BytesIO(read_bytes(f"{directory}/{name}")))
