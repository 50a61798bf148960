"""Step time of a model, with median and spread, on whatever devices there are.

    python benchmarks/train_step.py                          the demo's model
    python benchmarks/train_step.py --config.model.num_layers=8
    python benchmarks/train_step.py --config experiments/initialization.py

Needs this package's model, loss, optim, step and no data: random tokens in packed documents of
random length. Numbers are for this machine as loaded as it was; compare within one run.
"""

import argparse
import statistics
import time

import jax
import numpy as np

from codepretrain.batch import Batch, batch_from_rows
from codepretrain.config_file import load_study
from codepretrain.model.size import flops_per_token, num_parameters
from codepretrain.program import Program
from codepretrain.row import Row
from codepretrain.sharding import global_batch


def random_batch(batch_size: int, max_seq_len: int, vocab_size: int) -> Batch:
    """Returns rows of random tokens in documents of 16 tokens up to a whole row."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(batch_size):
        cuts = np.sort(rng.choice(np.arange(16, max_seq_len), size=3, replace=False))
        starts = np.array([0, *cuts], np.int32)
        lengths = np.diff([*starts, max_seq_len + 1]).astype(np.int32)
        zeros = np.zeros(len(starts), np.int64)
        rows.append(
            Row(
                tokens=rng.integers(3, vocab_size, max_seq_len + 1).astype(np.int32),
                piece_starts=starts,
                piece_lengths=lengths,
                documents=np.arange(len(starts)),
                document_offsets=zeros,
                piece_bytes=zeros,
            )
        )
    return batch_from_rows(rows, masks_documents=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="experiments/demo.py")
    parser.add_argument("--steps", type=int, default=20)
    flags, overrides = parser.parse_known_args()
    config = load_study(flags.config, overrides)
    program = Program(config)
    started = time.perf_counter()
    program.compile()
    compile_s = time.perf_counter() - started
    state = program.initial_state()
    shape = (config.training.batch_size, config.data.max_seq_len)
    batch = global_batch(random_batch(*shape, config.model.vocab_size), program.mesh)
    seconds = []
    for _ in range(flags.steps + 3):
        started = time.perf_counter()
        state, metrics = program.train_step(state, batch, 1e-3, 0.1)
        jax.block_until_ready((state, metrics))
        seconds.append(time.perf_counter() - started)
    seconds = sorted(seconds[3:])  # the first ones warm caches up
    median = statistics.median(seconds)
    tokens = shape[0] * shape[1]
    flops = flops_per_token(config.model, config.data.max_seq_len)
    print(f"devices         {jax.device_count()} × {jax.devices()[0].device_kind}")
    print(f"model           {num_parameters(config.model):,} parameters, {flops:,} FLOPs a token")
    print(f"batch           {shape[0]} rows × {shape[1]} tokens")
    print(f"compile         {compile_s:.1f} s")
    print(f"step            {median:.4f} s median of {len(seconds)}, ", end="")
    print(f"{seconds[0]:.4f} … {seconds[-1]:.4f}")
    print(f"tokens          {tokens / median:,.0f} per second")
    print(f"model FLOPs     {tokens * flops / median / 1e9:,.1f} GFLOP/s")


if __name__ == "__main__":
    main()
