"""A short training run whose losses can be compared between machines, bit for bit or within bounds.

    python benchmarks/loss_curve.py --json cpu.json --compute-dtype float32
    python benchmarks/loss_curve.py --json gpu.json --compare cpu.json gpu2.json

Rows are drawn from a Markov chain: after a token comes one fixed token with probability 0.8, else
any; so the loss falls from log V towards the chain's entropy. Data, initialization and schedule
depend on nothing but this file. Steps are compiled with `execution.deterministic`, unless
`--no-deterministic`. Prints the loss and a digest of the final parameters; `--compare` prints the
largest and the mean difference of loss to other runs, and whether losses and parameters have the
same bits.
"""

import argparse
import hashlib
import json
import time
from pathlib import Path

import jax
import numpy as np

from codepretrain.config.schema import (
    DataConfig,
    ExecutionConfig,
    ModelConfig,
    StudyConfig,
    TrainingConfig,
)
from codepretrain.rows.format import Row
from codepretrain.stream.batch import Batch, batch_from_rows
from codepretrain.train.program import Program
from codepretrain.train.sharding import global_batch

VOCABULARY, SEQ_LEN, BATCH = 2048, 512, 4
FOLLOWS = np.random.default_rng(1).permutation(VOCABULARY)


def config(flags: argparse.Namespace) -> StudyConfig:
    return StudyConfig(
        name="loss_curve",
        model=ModelConfig(
            vocab_size=VOCABULARY,
            d_model=256,
            num_layers=4,
            num_heads=2,
            num_kv_heads=2,
            head_dim=128,
            d_ff=704,
            compute_dtype=flags.compute_dtype,
        ),
        data=DataConfig(sources={}, max_seq_len=SEQ_LEN),
        training=TrainingConfig(batch_size=BATCH),
        execution=ExecutionConfig(
            remat_policy="save_products",
            attention_kernel=flags.kernel,
            deterministic=flags.deterministic,
        ),
        phases={},
        variants={},
    )


def batch(step: int) -> Batch:
    """Returns the rows of a step, three documents each."""
    rng, rows = np.random.default_rng(step), []
    for _ in range(BATCH):
        tokens = rng.integers(0, VOCABULARY, SEQ_LEN + 1)
        follows = rng.random(SEQ_LEN + 1) < 0.8
        for i in range(1, SEQ_LEN + 1):
            tokens[i] = FOLLOWS[tokens[i - 1]] if follows[i] else tokens[i]
        cuts = np.sort(rng.choice(np.arange(16, SEQ_LEN), size=2, replace=False))
        starts = np.array([0, *cuts], np.int32)
        zeros = np.zeros(len(starts), np.int64)
        rows.append(
            Row(
                tokens=tokens.astype(np.int32),
                segment_starts=starts,
                segment_lengths=np.diff([*starts, SEQ_LEN + 1]).astype(np.int32),
                documents=np.arange(len(starts)),
                document_offsets=zeros,
                segment_bytes=zeros,
            )
        )
    return batch_from_rows(rows, mask_documents=True)


def train(flags: argparse.Namespace) -> dict:
    """Returns losses, digest of the parameters and what they were computed with."""
    program = Program(config(flags), jax.devices()[:1])
    state, losses = program.initial_state(seed=0), []
    started = time.perf_counter()
    for step in range(flags.steps):
        rate = 1e-3 * min(1.0, (step + 1) / 20)
        state, metrics = program.train_step(
            state, global_batch(batch(step), program.mesh), rate, 0.1
        )
        losses.append(metrics.loss)
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(state.params):
        digest.update(np.asarray(leaf).tobytes())
    return {
        "device": jax.devices()[0].device_kind,
        "kernel": program.attention_kernel.name,
        "compute_dtype": flags.compute_dtype,
        "deterministic": flags.deterministic,
        "losses": [float(loss) for loss in losses],
        "parameters": digest.hexdigest(),
        "seconds": time.perf_counter() - started,
    }


def compared(found: dict, other: dict) -> str:
    difference = np.abs(np.array(found["losses"]) - np.array(other["losses"]))
    same = [found[key] == other[key] for key in ("losses", "parameters")]
    words = ["same" if one else "other" for one in same]
    return (
        f"against {other['device']} {other['kernel']} {other['compute_dtype']}: largest difference "
        f"{difference.max():.5f} at step {difference.argmax()}, mean {difference.mean():.5f}, last "
        f"20 steps {difference[-20:].mean():.5f}; {words[0]} losses, {words[1]} parameters"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--compute-dtype", default="bfloat16")
    parser.add_argument("--kernel", default="auto")
    parser.add_argument("--deterministic", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--json", type=Path, help="write the run to this file")
    parser.add_argument("--compare", type=Path, nargs="*", default=[], help="runs written before")
    flags = parser.parse_args()
    found = train(flags)
    losses, names = found["losses"], ("device", "kernel", "compute_dtype", "deterministic")
    print(
        *(found[name] for name in names),
        f"loss {losses[0]:.5f} → {np.mean(losses[-20:]):.5f} in {found['seconds']:.1f} s,",
        f"parameters {found['parameters'][:12]}",
    )
    for path in flags.compare:
        print("  " + compared(found, json.loads(path.read_text())))
    if flags.json:
        flags.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
