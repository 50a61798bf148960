"""Attention kernels are compared on one example, output and gradients."""

import jax
import jax.numpy as jnp
import numpy as np

from codepretrain.model.attention_kernels import AttentionKernel

LENGTHS = [[37, 1, 90, 50, 22], [200], [1, 1, 127, 1, 30]]  # the rest of 200 is padding


def example(dtype, *, N=4, K=2, H=16, B=3):
    """Returns query, key, value, an output cotangent and segment ids; T is 200."""
    rng = np.random.default_rng(0)
    shapes = [(B, 200, heads, H) for heads in (N, K, K, N)]
    rows = [np.repeat(np.arange(1, len(n) + 1), n) for n in LENGTHS]
    segment_ids = np.stack([np.pad(row, (0, 200 - len(row))) for row in rows])[np.arange(B) % 3]
    arrays = [jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes]
    return *arrays, jnp.asarray(segment_ids, jnp.int32)


def with_gradients(kernel, query, key, value, cotangent, segment_ids):
    """Returns the output and the gradients of query, key and value."""
    out, pull = jax.vjp(lambda *x: kernel(*x, segment_ids), query, key, value)
    return out, *pull(cotangent)


def assert_close(found, expected, rtol):
    """Compares arrays relative to the largest value of each."""
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        ours, theirs = np.float32(ours), np.float32(theirs)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=rtol * np.abs(theirs).max())


def assert_equals_the_reference(kernel, dtype):
    """Grouped heads, documents of odd lengths, padding, a T that no block divides."""
    rtol = {"float32": 1e-5, "bfloat16": 2e-2}[dtype]
    arguments = example(dtype)
    run = jax.jit(with_gradients, static_argnums=0)
    expected = run(AttentionKernel("reference"), *arguments)
    assert_close(run(kernel, *arguments), expected, rtol)


def lower_gradients_for_gpu(kernel, *, N=4, K=2, H=64):
    """Returns StableHLO for CUDA of a kernel and its gradient; neither GPU nor CUDA is needed."""
    query = jax.ShapeDtypeStruct((2, 512, N, H), jnp.bfloat16)
    key = jax.ShapeDtypeStruct((2, 512, K, H), jnp.bfloat16)
    ids = jax.ShapeDtypeStruct((2, 512), jnp.int32)

    def loss(query, key, value, ids):
        return jnp.sum(kernel(query, key, value, ids).astype(jnp.float32))

    traced = jax.jit(jax.grad(loss, argnums=(0, 1, 2))).trace(query, key, key, ids)
    return traced.lower(lowering_platforms=("cuda",)).as_text()
