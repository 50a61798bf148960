from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from jax.sharding import Mesh

from codepretrain.config.schema import StudyConfig
from codepretrain.evals.progress import no_progress
from codepretrain.evals.row_loss import RowLoss
from codepretrain.evals.scored_rows import ScoredRow
from codepretrain.model.transformer import Params
from codepretrain.rows.format import Row
from codepretrain.rows.store import RowStore, open_sources
from codepretrain.rows.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def store(data_dir: Path) -> RowStore:
    return open_sources(data_dir, ["web_code"], "validation")["web_code"]


def row_loss(config: StudyConfig, mesh: Mesh, vocabulary: Vocabulary) -> RowLoss:
    """In batches of 3, rounded up to 4."""
    return RowLoss(config, mesh, batch_size=3, bytes_of_token=vocabulary.num_bytes)


def scored(row: Row) -> ScoredRow:
    """All targets of all segments, by document."""
    spans = [
        (document, start, start + length - 1)
        for document, start, length in zip(
            row.documents, row.segment_starts, row.segment_lengths, strict=True
        )
    ]
    return ScoredRow(row, np.array(spans, np.int64))


def test_sums_of_a_document_do_not_depend_on_its_batch(
    config: StudyConfig,
    mesh: Mesh,
    vocabulary: Vocabulary,
    store: RowStore,
    sharded_params: Params,
) -> None:
    assert len(store) % 4
    num_documents = store.manifest.num_documents
    rows = [scored(store[number]) for number in range(len(store))]
    loss = row_loss(config, mesh, vocabulary)
    sums = loss(sharded_params, rows, num_documents, no_progress)
    described = [store.document(number) for number in range(num_documents)]
    assert sums.num_targets.tolist() == [one["num_tokens"] - 1 for one in described]
    assert sums.num_bytes.tolist() == [one["num_bytes"] for one in described]
    back = loss(sharded_params, rows[::-1], num_documents, no_progress)
    np.testing.assert_allclose(back.nats, sums.nats, rtol=1e-6)


def test_spans_of_a_document_add_up(
    config: StudyConfig,
    mesh: Mesh,
    vocabulary: Vocabulary,
    store: RowStore,
    sharded_params: Params,
) -> None:
    """The targets of a segment, cut in two, in two rows of one batch; the rest counts nothing."""
    row = max((store[number] for number in range(len(store))), key=lambda row: row.num_targets)
    start, length = int(row.segment_starts[0]), int(row.segment_lengths[0])
    loss = row_loss(config, mesh, vocabulary)
    whole = ScoredRow(row, np.array([[0, start, start + length - 1]]))
    first = ScoredRow(row, np.array([[0, start, start + 1]]))
    rest = ScoredRow(row, np.array([[0, start + 1, start + length - 1]]))
    expected = loss(sharded_params, [whole], 2, no_progress)
    found = loss(sharded_params, [first, rest], 2, no_progress)
    np.testing.assert_allclose(found.nats, expected.nats, rtol=1e-6)
    assert found.num_targets.tolist() == expected.num_targets.tolist() == [length - 1, 0]


def test_progress_counts_rows(
    config: StudyConfig,
    mesh: Mesh,
    vocabulary: Vocabulary,
    store: RowStore,
    sharded_params: Params,
) -> None:
    seen = []

    def progress(done: int, total: int, what: str, /) -> None:
        seen.append((done, total, what))

    rows = [scored(store[i % 2]) for i in range(6)]
    num_documents = store.manifest.num_documents
    row_loss(config, mesh, vocabulary)(sharded_params, rows, num_documents, progress)
    assert seen == [(4, 6, "rows"), (6, 6, "rows")]


def test_a_row_that_cannot_be_read_is_an_error_of_its_own(
    config: StudyConfig, mesh: Mesh, vocabulary: Vocabulary, sharded_params: Params
) -> None:
    class Unreadable:
        def __len__(self) -> int:
            return 6

        def __getitem__(self, number: int, /) -> ScoredRow:
            raise OSError(f"row {number}")

        def __iter__(self) -> Iterator[ScoredRow]:
            raise NotImplementedError

    with pytest.raises(OSError, match="row 0"):
        row_loss(config, mesh, vocabulary)(sharded_params, Unreadable(), 1, no_progress)
