import numpy as np
import pytest
from jax.sharding import Mesh

from codepretrain.evals.placement import place_rows, rows_per_batch


@pytest.mark.parametrize(("wanted", "rows"), [(1, 4), (4, 4), (5, 8)])
def test_batches_are_rounded_up_to_what_the_mesh_divides(
    mesh: Mesh, wanted: int, rows: int
) -> None:
    """Rows are split over data × fsdp = 4."""
    assert rows_per_batch(wanted, mesh) == rows


def test_rows_are_split_over_the_mesh_in_order(mesh: Mesh) -> None:
    rows = np.arange(24).reshape(8, 3)
    placed = place_rows(rows, mesh)
    np.testing.assert_array_equal(np.asarray(placed), rows)
    assert {shard.data.shape for shard in placed.addressable_shards} == {(2, 3)}
