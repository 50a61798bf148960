"""The clusters of similar texts that a selection was made with, in a file of its folder.

They prove that no two similar texts are on different sides of the split, without another search.
"""

import io
from pathlib import Path

import numpy as np

from codepretrain.errors import UserError
from codepretrain.files.explain import explained
from codepretrain.files.storage import StrPath, read_bytes
from codepretrain.rows.verify import check_contents, check_folder, folder_remedy

CLUSTERS = "similar.texts.npy"  # no source has a name with a dot


def save_clusters(folder: Path, clusters: np.ndarray) -> None:
    """Writes the clusters: [m, 2] uint64, see `data/duplicates.py`."""
    with explained("write", folder / CLUSTERS):
        np.save(folder / CLUSTERS, clusters)


def load_clusters(directory: StrPath) -> np.ndarray:
    """Returns the clusters of a selection: [m, 2] uint64; none if similar texts were not searched.

    Args:
      directory: of the selection.

    Raises:
      UserError: the file is missing or damaged.
    """
    hashes, remedy = (
        check_folder(directory, "selection", reads_contents=False),
        folder_remedy(directory),
    )
    if CLUSTERS not in hashes:
        raise UserError(f"damaged {directory}: {CLUSTERS} is missing from files.json; {remedy}")
    check_contents(directory, hashes, [CLUSTERS], remedy=remedy)
    return np.load(io.BytesIO(read_bytes(f"{directory}/{CLUSTERS}")))
