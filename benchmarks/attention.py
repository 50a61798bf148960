"""Attention kernels alone: equal to the reference on this device, and how long they take.

    python benchmarks/attention.py [--kernel pallas_gpu cudnn] [--seq-len 8192]

Correctness at 1024 tokens in documents of odd lengths with padding, bfloat16 against the reference
in float32, output and gradients, as |difference| / |reference|; grouped key-value heads. Time is
the median of forward with backward at `--seq-len`, as one document and as documents of 1000 tokens;
TFLOP/s count 3.5 × forward (the backward computes the scores again) and half of [T, T].
"""

import argparse
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from codepretrain.model.attention_kernels import KERNELS, AttentionKernel, choose_kernel

LENGTHS = (1, 37, 90, 128, 256, 3, 300, 64)  # 879 tokens of documents, then padding


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


def errors(kernel: AttentionKernel) -> list[float]:
    """Returns the relative errors of output, d query, d key and d value."""
    arrays = inputs(batch=2, seq_len=1024, heads=8, kv_heads=2, head_dim=128)
    arrays = [x.astype(jnp.bfloat16) for x in arrays]
    ids = segments(LENGTHS, 1024, 2)
    with jax.default_matmul_precision("highest"):
        exact = with_gradients(AttentionKernel("reference"))(
            *(x.astype(jnp.float32) for x in arrays), ids
        )
    found = with_gradients(kernel)(*arrays, ids)
    pairs = ((f.astype(jnp.float32), e) for f, e in zip(found, exact, strict=True))
    return [float(jnp.linalg.norm(f - e) / jnp.linalg.norm(e)) for f, e in pairs]


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
    # Kernels for any device are the plain formula: on an accelerator it is not worth measuring.
    where = (None, "cpu") if platform == "cpu" else (platform,)
    own = [name for name, spec in KERNELS.items() if spec.platform in where]
    T = flags.seq_len
    arrays = inputs(batch=flags.batch, seq_len=T, heads=16, kv_heads=16, head_dim=128)
    arrays = [x.astype(jnp.bfloat16) for x in arrays]
    flops = 3.5 * 4 * flags.batch * 16 * 128 * T * T / 2
    print(f"{'kernel':>11}  relative error of out, dq, dk, dv      one document      packed")
    for name in flags.kernel or own:
        kernel = choose_kernel(
            name, platform=platform, block_q=flags.block_q, block_kv=flags.block_kv
        )
        try:
            found = " ".join(f"{error:.1e}" for error in errors(kernel))
            whole = median_s(kernel, arrays, segments((T,), T, flags.batch))
            packed = median_s(kernel, arrays, segments((1000,) * (T // 1000 + 1), T, flags.batch))
        except Exception as error:  # go on with the other kernels
            print(f"{name:>11}  failed: {str(error).splitlines()[0][:150]}")
            continue
        rate = f"{1e3 * whole:.2f} ms {flops / whole / 1e12:.0f} TFLOP/s"
        print(f"{name:>11}  {found}  {rate}  {1e3 * packed:.2f} ms")


if __name__ == "__main__":
    main()
