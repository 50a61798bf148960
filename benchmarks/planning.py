"""Planning at full scale: 200B tokens in six sources, then the ledger of the whole phase.

    python benchmarks/planning.py [--steps 47684]

A 200B-token phase is 47,684 steps of 512 rows of 8,192 tokens: 24.4M rows. The sources hold as
many rows as those of the paper, so the small ones are read several times. The ledger's statistics
are memory-mapped files of that size, filled with random counts, in a temporary directory.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from codepretrain.stream.ledger import LedgerKeeper, check_resume
from codepretrain.stream.mixture import MixtureStage
from codepretrain.stream.order import RowOrder

BATCH_SIZE = 512
MAX_SEQ_LEN = 8192
# weight in the mixture, tokens held
SOURCES = {
    "text": (0.50, 503_000_000_000),
    "web_code": (0.20, 139_000_000_000),
    "markup": (0.15, 180_000_000_000),
    "synthetic_code": (0.05, 3_200_000_000),
    "stackexchange": (0.06, 13_000_000_000),
    "notebooks": (0.04, 8_400_000_000),
}


def peak_bytes() -> int:
    """The most memory this process has held so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = function()
    return time.perf_counter() - started, result


def build(num_steps: int) -> RowOrder:
    return RowOrder.build(
        [MixtureStage(num_steps * BATCH_SIZE, {s: weight for s, (weight, _) in SOURCES.items()})],
        batch_size=BATCH_SIZE,
        seed=0,
        start_ordinals={},
        rows_available={s: tokens // MAX_SEQ_LEN for s, (_, tokens) in SOURCES.items()},
    )


def stand_ins(order: RowOrder, directory: Path) -> dict[str, Any]:
    """Returns what the ledger reads of a row store: its statistics and fields of its manifest."""
    rng = np.random.default_rng(0)
    stores = {}
    for source, num_rows in order.rows_available.items():
        path = directory / f"{source}.npy"
        np.save(path, rng.integers(0, MAX_SEQ_LEN, (num_rows, 3), np.uint32))
        manifest = SimpleNamespace(hash="0" * 64, max_seq_len=MAX_SEQ_LEN)
        stores[source] = SimpleNamespace(stats=np.load(path, mmap_mode="r"), manifest=manifest)
    return stores


def measure(num_steps: int) -> Iterator[tuple[str, str]]:
    yield "rows × sources", f"{num_steps * BATCH_SIZE:,} × {len(SOURCES)}"
    before = peak_bytes()
    seconds, order = timed(lambda: build(num_steps))
    yield "order: time", f"{seconds:.2f} s"
    yield "order: peak memory of the process", f"{peak_bytes() / 2**20:,.0f} MiB"
    yield "order: of that before it (Python, NumPy)", f"{before / 2**20:,.0f} MiB"
    steps = np.random.default_rng(0).integers(num_steps, size=1000).tolist()
    seconds, _ = timed(lambda: [order.batch(step) for step in steps])
    yield "one batch of 512 rows, any step", f"{seconds / len(steps) * 1e3:.2f} ms"
    with tempfile.TemporaryDirectory() as directory:
        stores = stand_ins(order, Path(directory))
        keeper, first = LedgerKeeper(order, stores), min(1000, num_steps)
        seconds, _ = timed(lambda: [keeper.advance(step) for step in range(first)])
        yield "ledger: one step", f"{seconds / first * 1e3:.2f} ms"
        seconds, ledger = timed(lambda: LedgerKeeper(order, stores).advance_to(num_steps))
        yield "ledger and digest of the whole phase", f"{seconds:.2f} s"
        check_resume(ledger, keeper.advance_to(num_steps))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=47_684)
    for name, value in measure(parser.parse_args().steps):
        print(f"{name:<42}{value:>20}", flush=True)


if __name__ == "__main__":
    main()
