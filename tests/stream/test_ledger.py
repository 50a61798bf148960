import hashlib
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from codepretrain.errors import UserError
from codepretrain.rows.store import RowStore
from codepretrain.stream.ledger import Ledger, LedgerKeeper, check_resume
from codepretrain.stream.mixture import MixtureStage
from codepretrain.stream.order import RowOrder

Make = Callable[..., RowStore]
Fixture = tuple[RowOrder, dict[str, RowStore]]


@pytest.fixture
def phase(make_source: Make) -> Fixture:
    """12 steps of 4 rows: 24 of each, then 20 of text and 4 of code. Code holds 5 rows."""
    stores = {"code": make_source("code", 5), "text": make_source("text", 40)}
    order = RowOrder.build(
        [
            MixtureStage(24, {"code": 0.5, "text": 0.5}),
            MixtureStage(24, {"code": 1 / 6, "text": 5 / 6}),
        ],
        batch_size=4,
        seed=0,
        start_ordinals={"code": 3},
        rows_available={source: len(store) for source, store in stores.items()},
    )
    return order, stores


def chain(order: RowOrder, step: int, parent_digest: str = "") -> str:
    """The digest chain, written out row by row."""
    digest = bytes.fromhex(parent_digest)
    for number in range(step):
        ids = b""
        rows = order.batch(number)
        for source, epoch, record in zip(rows.source_index, rows.epoch, rows.record, strict=True):
            ids += hashlib.sha256(order.sources[source].encode()).digest()[:8]
            ids += int(epoch).to_bytes(4, "little") + int(record).to_bytes(8, "little")
        digest = hashlib.sha256(digest + ids).digest()
    return digest.hex()


def test_counts_by_reading_the_rows(phase: Fixture) -> None:
    order, stores = phase
    keeper = LedgerKeeper(order, stores)
    read: dict[str, list] = {source: [] for source in order.sources}
    for step in range(order.num_steps):
        ledger = keeper.advance(step)
        rows = order.batch(step)
        for source, record in zip(rows.source_index, rows.record, strict=True):
            read[order.sources[source]].append(stores[order.sources[source]][int(record)])
        assert ledger.step == step + 1
        assert ledger.digest == chain(order, step + 1)
        for source, drawn in read.items():
            entry = ledger.sources[source]
            assert entry.rows == len(drawn)
            assert entry.tokens == 8 * len(drawn)
            assert entry.target_tokens == sum(row.num_targets for row in drawn)
            assert entry.documents == sum(row.num_documents_begun for row in drawn)
            assert entry.bytes == sum(row.segment_bytes.sum() for row in drawn)


def test_by_hand_at_the_end(phase: Fixture) -> None:
    order, stores = phase
    ledger = LedgerKeeper(order, stores).advance_to(12)
    code = ledger.sources["code"]
    assert code.requested_rows == pytest.approx(12 + 4, rel=1e-12)
    assert (code.rows, code.tokens, code.start_ordinal, code.ordinal) == (16, 128, 3, 19)
    assert (code.path_rows, code.epochs) == (19, 19 / 5)
    # ordinals 3 … 18 of 5 rows: three whole epochs of 5 rows and one row of the first epoch's end
    assert ledger.sources["text"].ordinal == 32
    assert ledger.manifests == {name: store.manifest.hash for name, store in stores.items()}


def test_kept_along_the_way_or_worked_out_afterwards(
    phase: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, stores = phase
    along = LedgerKeeper(order, stores)
    kept = [along.ledger(), *(along.advance(step) for step in range(order.num_steps))]
    for chunk_rows in (1, 8, 12, 1000):
        monkeypatch.setattr("codepretrain.stream.ledger._CHUNK_ROWS", chunk_rows)
        for step, ledger in enumerate(kept):
            assert LedgerKeeper(order, stores).advance_to(step) == ledger
    resumed = LedgerKeeper(order, stores)
    resumed.advance_to(7)
    assert resumed.advance(7) == kept[8]
    with pytest.raises(AssertionError, match="batch 7 after 8 batches"):
        resumed.advance(7)


def test_the_chain_goes_on_from_the_parent(phase: Fixture) -> None:
    order, stores = phase
    parent = LedgerKeeper(order, stores).advance_to(5)
    child = LedgerKeeper(order, stores, parent_digest=parent.digest)
    assert child.ledger().digest == parent.digest
    assert child.advance_to(2).digest == chain(order, 2, parent.digest)
    assert LedgerKeeper(order, stores).ledger().digest == ""


def test_epochs_count_what_restarted_cursors_have_read(phase: Fixture) -> None:
    """The path drew 7 rows of code with a cursor that this phase restarts; code holds 5 rows."""
    order, stores = phase
    restarted = RowOrder.build(
        order.stages,
        batch_size=4,
        seed=0,
        start_ordinals={},
        path_rows_before={"code": 7},
        rows_available=order.rows_available,
    )
    code = LedgerKeeper(restarted, stores).advance_to(12).sources["code"]
    assert (code.rows, code.start_ordinal, code.ordinal) == (16, 0, 16)
    assert (code.path_rows, code.epochs) == (23, 23 / 5)


def test_resume_does_not_compare_what_was_asked_for(phase: Fixture) -> None:
    """Weights written in another way may give the same rows."""
    order, stores = phase
    ledger = LedgerKeeper(order, stores).advance_to(6)
    code = replace(ledger.sources["code"], requested_rows=11.5)
    check_resume(ledger, replace(ledger, sources={**ledger.sources, "code": code}))


def test_json_is_exact(phase: Fixture) -> None:
    order, stores = phase
    ledger = LedgerKeeper(order, stores).advance_to(3)
    assert Ledger.from_json(json.loads(json.dumps(ledger.to_json()))) == ledger
    with pytest.raises(UserError, match="expected a ledger of this version"):
        Ledger.from_json({"step": 3})
    with pytest.raises(UserError, match="expected a ledger of this version"):
        Ledger.from_json({**ledger.to_json(), "sources": {"text": {"rows": 1}}})


def test_resume_with_what_was_there(phase: Fixture) -> None:
    order, stores = phase
    stored = LedgerKeeper(order, stores).advance_to(6)
    check_resume(stored, LedgerKeeper(order, stores).advance_to(6))


def test_resume_names_what_differs(phase: Fixture) -> None:
    order, stores = phase
    ledger = LedgerKeeper(order, stores).advance_to(6)
    intro = "the checkpoint at step 6 does not belong to this config and data: "

    other_rows = replace(ledger, manifests={**ledger.manifests, "text": "f" * 64})
    with pytest.raises(UserError, match=intro + r"the rows of 'text' changed \(manifest .* → fff"):
        check_resume(ledger, other_rows)

    fewer = replace(ledger, manifests={"text": ledger.manifests["text"]})
    with pytest.raises(UserError, match="source 'code' is missing now; restore"):
        check_resume(ledger, fewer)
    with pytest.raises(UserError, match="source 'code' was not read then; restore"):
        check_resume(fewer, ledger)

    code = replace(ledger.sources["code"], rows=11)
    with pytest.raises(UserError, match="rows of 'code': 12 then, 11 now; restore"):
        check_resume(ledger, replace(ledger, sources={**ledger.sources, "code": code}))

    other_seed = LedgerKeeper(
        RowOrder.build(
            order.stages,
            batch_size=4,
            seed=1,
            start_ordinals={"code": 3},
            rows_available=order.rows_available,
        ),
        stores,
    ).advance_to(6)
    with pytest.raises(UserError, match="the checkpoint at step 6 does not belong"):
        check_resume(ledger, other_seed)
    with pytest.raises(UserError, match=r"the counts agree, but the rows or their order do not"):
        check_resume(ledger, replace(ledger, digest="00"))
