import itertools
import json
from collections.abc import Callable

import pytest

from codepretrain.errors import UserError
from codepretrain.rows.store import RowStore
from codepretrain.stream.ledger import LedgerKeeper
from codepretrain.stream.mixture import MixtureStage
from codepretrain.stream.order import RowOrder
from codepretrain.stream.show_batch import list_batch, render_batch

Make = Callable[..., RowStore]


@pytest.fixture
def phase(make_source: Make) -> tuple[RowOrder, dict[str, RowStore]]:
    stores = {"code": make_source("code", 3), "text": make_source("text", 9)}
    order = RowOrder.build(
        [MixtureStage(16, {"code": 0.25, "text": 0.75})],
        batch_size=4,
        seed=0,
        start_ordinals={"code": 2},
        rows_available={"code": 3, "text": 9},
    )
    return order, stores


def test_lists_a_batch(phase: tuple[RowOrder, dict[str, RowStore]]) -> None:
    order, stores = phase
    listing = list_batch(order, stores, step=2, parent_digest="ab")
    keeper = LedgerKeeper(order, stores, parent_digest="ab")
    assert listing["digest_before"] == keeper.advance_to(2).digest
    assert listing["digest_after"] == keeper.advance(2).digest
    ordered = order.batch(2)
    rows = listing["rows"]
    assert [row["position"] for row in rows] == [8, 9, 10, 11]
    assert [row["source"] for row in rows] == [order.sources[i] for i in ordered.source_index]
    for name in ("ordinal", "epoch", "record"):
        assert [row[name] for row in rows] == getattr(ordered, name).tolist()
    code = next(row for row in rows if row["source"] == "code")
    assert (code["ordinal"], code["epoch"]) == (4, 1)
    assert code["documents"] == [
        {
            "document": code["record"],
            "id": f"code/{code['record']}",
            "origin": f"file {code['record']}",
            "language": "en",
            "license": "MIT",
            "metadata": {},
            "offset": 0,
            "num_tokens": 5,
        },
        {
            "document": 0,
            "id": "code/0",
            "origin": "file 0",
            "language": "en",
            "license": "MIT",
            "metadata": {},
            "offset": 4,
            "num_tokens": 3,
        },
    ]
    assert json.loads(json.dumps(listing)) == listing


def test_batches_chain(phase: tuple[RowOrder, dict[str, RowStore]]) -> None:
    listings = [list_batch(*phase, step=step) for step in range(4)]
    assert listings[0]["digest_before"] == ""
    for before, after in itertools.pairwise(listings):
        assert before["digest_after"] == after["digest_before"]


def test_refuses_a_step_outside_the_phase(phase: tuple[RowOrder, dict[str, RowStore]]) -> None:
    for step in (-1, 4):
        with pytest.raises(UserError, match=f"--step: the phase has steps 0 to 3, got {step}"):
            list_batch(*phase, step=step)


def test_table(phase: tuple[RowOrder, dict[str, RowStore]]) -> None:
    table = render_batch(list_batch(*phase, step=0)).splitlines()
    assert table[0] == "step 0"
    assert table[1] == "digest before  (none)"
    header = table[4].split()
    assert header[:5] == ["position", "source", "ordinal", "epoch", "record"]
    assert len(table) == 5 + 2 * 4  # two segments a row
    assert table[5].startswith("0 ")
    assert table[6].strip().startswith("[4, 7)")
    assert table[5].endswith("· en · MIT")


def test_the_table_shows_metadata_on_one_line(phase: tuple[RowOrder, dict[str, RowStore]]) -> None:
    listing = list_batch(*phase, step=0)
    listing["rows"][0]["documents"][0]["metadata"] = {"path": "a.py", "teacher": "one\ntwo"}
    table = render_batch(listing).splitlines()
    assert table[5].endswith("· en · MIT · path=a.py · teacher=one two")
