"""Attention kernels alone: equal to the reference on this device, and how long they take.

    python benchmarks/attention.py [--kernel pallas_gpu cudnn] [--seq-len 8192]

Correctness at 1024 tokens: three rows of random documents and padding, the fullest of 5, 30, 100
and 300 documents; bfloat16 against the reference in float32; the largest |difference| / |reference|
of output and gradients, with as many key-value heads as query heads and with a fourth of them. Time
is the median of forward with backward at `--seq-len`, as one document, as documents of 1000 tokens
and as documents of 100; TFLOP/s count 3.5 × forward (the backward computes the scores again) and
half of [T, T]. Ends with status 1 if a kernel is wrong.
"""

import argparse
import functools
import itertools
import statistics
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from codepretrain.model.attention_kernels import KERNELS, AttentionKernel, Target, choose_kernel

NUM_DOCUMENTS = (5, 30, 100, 300)
TOLERANCE = 1e-2  # of bfloat16; NaN never passes


def random_segments(num_documents: int, seq_len: int, batch: int) -> jax.Array:
    """Returns segment ids [B, T]: row b holds fewer documents than row b - 1, then padding."""
    rng, rows = np.random.default_rng(), []
    for row in range(batch):
        cuts = rng.choice(np.arange(1, seq_len), size=num_documents // (row + 1), replace=False)
        ends = np.sort(cuts)
        rows.append(np.repeat(np.arange(1, len(ends) + 1), np.diff(ends, prepend=0)))
    padded = [np.pad(row, (0, seq_len - len(row))) for row in rows]
    return jnp.asarray(np.stack(padded), jnp.int32)


def segments(lengths: tuple[int, ...], seq_len: int, batch: int) -> jax.Array:
    """Returns segment ids [B, T] of documents of these lengths; the rest is padding."""
    ids = np.repeat(np.arange(1, len(lengths) + 1), lengths)[:seq_len]
    row = np.pad(ids, (0, seq_len - len(ids))).astype(np.int32)
    return jnp.asarray(np.tile(row, (batch, 1)))


def inputs(
    *, batch: int, seq_len: int, heads: int, kv_heads: int, head_dim: int
) -> list[jax.Array]:
    """Returns query, key, value and the output's cotangent, float32."""
    keys = jax.random.split(jax.random.key(time.time_ns() % 2**31), 4)
    num = (heads, kv_heads, kv_heads, heads)
    shapes = [(batch, seq_len, n, head_dim) for n in num]
    return [jax.random.normal(k, s, jnp.float32) for k, s in zip(keys, shapes, strict=True)]


@functools.cache
def with_gradients(kernel: AttentionKernel) -> Callable[..., tuple[jax.Array, ...]]:
    """Returns the jitted function to output and gradients of query, key and value."""

    def both(
        query: jax.Array,
        key: jax.Array,
        value: jax.Array,
        cotangent: jax.Array,
        segment_ids: jax.Array,
    ) -> tuple[jax.Array, ...]:
        out, pull = jax.vjp(lambda q, k, v: kernel(q, k, v, segment_ids), query, key, value)
        return out, *pull(cotangent)

    return jax.jit(both)


def largest_error(kernel: AttentionKernel, *, num_documents: int, kv_heads: int) -> float:
    """Returns the largest relative error of output, d query, d key and d value; NaN if any is."""
    arrays = inputs(batch=3, seq_len=1024, heads=8, kv_heads=kv_heads, head_dim=128)
    arrays = [x.astype(jnp.bfloat16) for x in arrays]
    ids = random_segments(num_documents, 1024, 3)
    with jax.default_matmul_precision("highest"):
        exact = with_gradients(AttentionKernel("reference"))(
            *(x.astype(jnp.float32) for x in arrays), ids
        )
    found = with_gradients(kernel)(*arrays, ids)
    pairs = ((f.astype(jnp.float32), e) for f, e in zip(found, exact, strict=True))
    return float(np.max([jnp.linalg.norm(f - e) / jnp.linalg.norm(e) for f, e in pairs]))


def median_s(kernel: AttentionKernel, arrays: list[jax.Array], ids: jax.Array) -> float:
    function, seconds = with_gradients(kernel), []
    for _ in range(13):
        started = time.perf_counter()
        jax.block_until_ready(function(*arrays, ids))
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[3:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", nargs="+", help="default: all of this platform")
    parser.add_argument("--seq-len", type=int, default=8192)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--block-q", type=int)
    parser.add_argument("--block-kv", type=int)
    flags = parser.parse_args()
    platform = jax.devices()[0].platform
    target = Target.of(jax.devices()[0], "bfloat16")
    # Kernels for any device are the plain formula: on an accelerator it is not worth measuring.
    where = (None, "cpu") if platform == "cpu" else (platform,)
    own = [name for name, spec in KERNELS.items() if spec.platform in where]
    T = flags.seq_len
    arrays = inputs(batch=flags.batch, seq_len=T, heads=16, kv_heads=16, head_dim=128)
    arrays = [x.astype(jnp.bfloat16) for x in arrays]
    flops = 3.5 * 4 * flags.batch * 16 * 128 * T * T / 2
    cases = list(itertools.product((8, 2), NUM_DOCUMENTS))
    titles = " ".join(f"{f'{n}/{kv}':>7}" for kv, n in cases)
    print(f"{'kernel':>11} error, documents/kv heads {titles}  one document, of 1000, of 100")
    wrong = []
    for name in flags.kernel or own:
        kernel = choose_kernel(name, target, block_q=flags.block_q, block_kv=flags.block_kv)
        try:
            found = [largest_error(kernel, num_documents=n, kv_heads=kv) for kv, n in cases]
            print(f"{name:>11} {' ' * 25} {' '.join(f'{e:7.1e}' for e in found)}", flush=True)
            rows = (segments((n,) * (T // n + 1), T, flags.batch) for n in (T, 1000, 100))
            whole, *packed = (median_s(kernel, arrays, row) for row in rows)
        except Exception as error:  # go on with the other kernels
            print(f"{name:>11}  failed: {str(error).splitlines()[0][:150]}")
            wrong.append(name)
            continue
        wrong += [name] if not max(found) < TOLERANCE else []
        rate = f"{1e3 * whole:.2f} ms {flops / whole / 1e12:.0f} TFLOP/s"
        print(f"{name:>11}  {rate}, {', '.join(f'{1e3 * s:.2f} ms' for s in packed)}", flush=True)
    if wrong:
        sys.exit(f"wrong: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
