from pathlib import Path

import numpy as np
import pytest
from jax.sharding import Mesh

from codepretrain.config.schema import StudyConfig
from codepretrain.evals.progress import no_progress
from codepretrain.evals.row_loss import RowLoss
from codepretrain.model.transformer import Params
from codepretrain.rows.format import Row
from codepretrain.rows.store import RowStore, open_sources


def test_sums_of_a_row_do_not_depend_on_its_batch(
    config: StudyConfig, data_dir: Path, mesh: Mesh, sharded_params: Params
) -> None:
    store: RowStore = open_sources(data_dir, ["web_code"], "validation")["web_code"]
    count = len(store)
    assert count % 4
    loss = RowLoss(config, mesh, batch_size=3)
    nats, tokens = loss(sharded_params, count, store.__getitem__, no_progress)
    np.testing.assert_array_equal(tokens, store.stats[:, 2])
    back = [store[count - 1 - i] for i in range(count)]
    reversed_nats, _ = loss(sharded_params, count, back.__getitem__, no_progress)
    np.testing.assert_allclose(reversed_nats[::-1], nats, rtol=1e-6)


def test_progress_counts_rows(
    config: StudyConfig, data_dir: Path, mesh: Mesh, sharded_params: Params
) -> None:
    store = open_sources(data_dir, ["web_code"], "validation")["web_code"]
    seen = []

    def progress(done: int, total: int, what: str, /) -> None:
        seen.append((done, total, what))

    RowLoss(config, mesh, batch_size=4)(sharded_params, 6, lambda i: store[i % 2], progress)
    assert seen == [(4, 6, "rows"), (6, 6, "rows")]


def test_a_row_that_cannot_be_read_is_an_error_of_its_own(
    config: StudyConfig, mesh: Mesh, sharded_params: Params
) -> None:
    def read(number: int) -> Row:
        raise OSError(f"row {number}")

    with pytest.raises(OSError, match="row 0"):
        RowLoss(config, mesh, batch_size=4)(sharded_params, 6, read, no_progress)
