"""Places rows, of which every process has a full copy, on the mesh of the parameters."""

import jax
import numpy as np
from jax.sharding import Mesh

from codepretrain.train.sharding import batch_sharding, num_row_shards


def rows_per_batch(wanted: int, mesh: Mesh) -> int:
    """Returns `wanted` rounded up to a multiple of the mesh's data-parallel devices."""
    return -(-wanted // num_row_shards(mesh)) * num_row_shards(mesh)


def place_rows(rows: np.ndarray, mesh: Mesh) -> jax.Array:
    """Returns [B, T] on the devices; each process has the same whole array and places its parts."""
    return jax.make_array_from_callback(rows.shape, batch_sharding(mesh), lambda part: rows[part])
