import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from codepretrain.errors import UserError
from codepretrain.rows.store import RowStore
from codepretrain.stream.batch import Batch, batch_from_rows
from codepretrain.stream.loader import BatchLoader, HostBatches
from codepretrain.stream.mixture import MixtureStage
from codepretrain.stream.order import RowOrder

Make = Callable[..., RowStore]


class Phase:
    """10 steps of 8 rows from two sources, and every batch of it read without the loader."""

    def __init__(self, make_source: Make) -> None:
        self.stores = {"code": make_source("code", 7), "text": make_source("text", 30)}
        self.order = RowOrder.build(
            [MixtureStage(80, {"code": 0.25, "text": 0.75})],
            batch_size=8,
            seed=0,
            start_ordinals={},
            rows_available={source: len(store) for source, store in self.stores.items()},
        )
        self.batches = [self.read(step) for step in range(10)]

    def read(self, step: int) -> Batch:
        rows = self.order.batch(step)
        return batch_from_rows(
            [
                self.stores[self.order.sources[source]][int(record)]
                for source, record in zip(rows.source_index, rows.record, strict=True)
            ],
            mask_documents=True,
        )

    def load(self, **changes: object) -> BatchLoader:
        arguments: dict = {"process_index": 0, "process_count": 1, "mask_documents": True}
        return BatchLoader(self.order, self.stores, **(arguments | changes))


@pytest.fixture
def phase(make_source: Make) -> Phase:
    return Phase(make_source)


def assert_same(batch: Batch, expected: Batch) -> None:
    for name, array in batch._asdict().items():
        np.testing.assert_array_equal(array, getattr(expected, name), err_msg=name)
        assert array.dtype == getattr(expected, name).dtype


@pytest.mark.parametrize(("prefetch", "threads"), [(0, 0), (1, 1), (3, 2), (8, 4), (2, 16)])
def test_batches_do_not_depend_on_prefetch_or_start(
    phase: Phase, prefetch: int, threads: int
) -> None:
    for start_step in (0, 6, 10):
        with phase.load(start_step=start_step, prefetch=prefetch, threads=threads) as loader:
            loaded = list(loader)
        assert [step for step, _ in loaded] == list(range(start_step, 10))
        for step, batch in loaded:
            assert_same(batch, phase.batches[step])


@pytest.mark.parametrize("num_hosts", [2, 4, 8])
def test_hosts_share_the_global_batch(phase: Phase, num_hosts: int) -> None:
    loaders = [
        phase.load(process_index=index, process_count=num_hosts, start_step=3)
        for index in range(num_hosts)
    ]
    for step in range(3, 10):
        parts = [next(loader) for loader in loaders]
        assert {number for number, _ in parts} == {step}
        whole = Batch(
            *(np.concatenate(arrays) for arrays in zip(*(b for _, b in parts), strict=True))
        )
        assert_same(whole, phase.batches[step])
    for loader in loaders:
        loader.close()


def test_refuses_a_batch_that_does_not_divide(phase: Phase) -> None:
    with pytest.raises(UserError, match=r"batch_size = 8 is not divisible by the 3 processes"):
        phase.load(process_count=3)


def test_counts_only_the_time_that_the_consumer_waits(
    phase: Phase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is ours: each `next` finds it 2 s later."""
    ticks = iter(range(0, 1000, 2))
    monkeypatch.setattr("codepretrain.stream.loader.time.perf_counter", lambda: next(ticks))
    loader = phase.load(prefetch=0, threads=0)
    assert loader.wait_s == 0
    next(loader)
    next(loader)
    assert loader.wait_s == 4
    loader.close()


@pytest.mark.parametrize(("prefetch", "threads"), [(0, 0), (4, 2)])
def test_a_damaged_record_surfaces_at_its_batch(
    phase: Phase, prefetch: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = phase.order.batch(4)
    text = phase.order.sources.index("text")
    record = int(rows.record[rows.source_index == text][0])
    step = next(
        step
        for step in range(10)
        if record in phase.order.batch(step).record[phase.order.batch(step).source_index == text]
    )
    store = phase.stores["text"]
    path = store.directory / store.manifest.row_shards[record // 4].name
    contents = bytearray(path.read_bytes())
    contents[contents.index(np.array([1000 + record, 7, 2], "<u2").tobytes())] ^= 1
    path.write_bytes(contents)
    store.close()
    with phase.load(prefetch=prefetch, threads=threads) as loader:
        for expected in range(step):
            assert next(loader)[0] == expected
        message = rf"source 'text' \(train\): record {record % 4} of .*{path.name} is damaged"
        with pytest.raises(UserError, match=message):
            next(loader)
        with pytest.raises(ValueError, match="closed"):  # never on with the batch after it
            next(loader)


def test_close_drops_what_was_read_ahead(phase: Phase, monkeypatch: pytest.MonkeyPatch) -> None:
    """All batches but the first block: close returns at once, and no further batch is begun."""
    release, begun = threading.Event(), []
    make = HostBatches.__getitem__

    def blocked(batches: HostBatches, index: int) -> tuple[int, Batch]:
        begun.append(index)
        assert index == 0 or release.wait(timeout=30)
        return make(batches, index)

    monkeypatch.setattr(HostBatches, "__getitem__", blocked)
    loader = phase.load(prefetch=8, threads=2)
    assert next(loader)[0] == 0
    while len(begun) < 3:
        time.sleep(0.001)
    loader.close()
    release.set()
    for worker in threading.enumerate():
        if worker.name.startswith("grain-prefetch"):
            worker.join(timeout=30)
            assert not worker.is_alive()
    assert sorted(begun) == [0, 1, 2]  # the two batches at work, no other


SCRIPT = """
import signal, sys, threading
from pathlib import Path
from codepretrain.stream.loader import BatchLoader
from codepretrain.stream.order import RowOrder, MixtureStage
from codepretrain.rows.store import RowStore, open_sources

stores = open_sources(Path(sys.argv[1]), ["code", "text"], "train")
order = RowOrder.build(
    [MixtureStage(80, {"code": 1, "text": 1})], batch_size=8, seed=0, start_ordinals={},
    rows_available={source: len(store) for source, store in stores.items()},
)
loader = BatchLoader(
    order, stores, process_index=1, process_count=2, mask_documents=True, prefetch=4, threads=2
)
assert [step for step, _ in loader] == list(range(10))
for name in ("tensorflow", "seqio", "tokenizers"):
    assert name not in sys.modules, name
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized()

if sys.argv[2] == "interrupt":  # while the consumer waits for threads that never deliver
    RowStore.__getitem__ = lambda store, record: threading.Event().wait(1)
    threading.Timer(0.2, lambda: signal.raise_signal(signal.SIGINT)).start()
    try:
        next(BatchLoader(
            order, stores, process_index=0, process_count=8, mask_documents=True, threads=2
        ))
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.parametrize("mode", ["plain", "interrupt"])
def test_in_a_process_of_its_own(phase: Phase, tmp_path: Path, mode: str) -> None:
    """Imports no TensorFlow, leaves JAX's devices alone; Ctrl-C reaches a waiting consumer."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), mode],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("interrupted\n" if mode == "interrupt" else "")
