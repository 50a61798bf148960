import jax
import jax.numpy as jnp
import numpy as np
import pytest

from codepretrain.config.schema import MeshConfig
from codepretrain.errors import UserError
from codepretrain.model.attention_kernels import AttentionKernel, as_kernel, choose_kernel
from codepretrain.model.gpu_attention import _MAX_DOCUMENTS, documents
from codepretrain.podplan.hlo import parse
from codepretrain.podplan.hlo_cost import compiled_flops
from codepretrain.train.sharding import Constrain, make_mesh


def test_the_mask_of_the_docstring():
    """Equal scores weigh all that a query sees alike, and one-hot values show what that is."""
    segment_ids = jnp.array([[1, 1, 2, 2, 2, 0, 0]])
    query = key = jnp.ones((1, 7, 1, 7))
    values = jnp.eye(7)[None, :, None, :]
    weights = as_kernel("reference")(query, key, values, segment_ids)
    # fmt: off
    sees = np.array([[1, 0, 0, 0, 0, 0, 0],
                     [1, 1, 0, 0, 0, 0, 0],
                     [0, 0, 1, 0, 0, 0, 0],
                     [0, 0, 1, 1, 0, 0, 0],
                     [0, 0, 1, 1, 1, 0, 0],
                     [0, 0, 0, 0, 0, 1, 0],
                     [0, 0, 0, 0, 0, 1, 1]])
    # fmt: on
    np.testing.assert_allclose(weights[0, :, 0], sees / sees.sum(1, keepdims=True), rtol=1e-6)


def test_two_keys_by_hand():
    """Scores 0 and ln 3 after the division by sqrt(4): weights 1/4 and 3/4."""
    query = jnp.ones((1, 2, 1, 4))
    key = jnp.stack([jnp.zeros(4), jnp.full(4, np.log(3) / 2)])[None, :, None, :]
    value = jnp.array([[0.0, 0, 1, 2], [8, 4, 1, 2]])[None, :, None, :]
    out = as_kernel("reference")(query, key, value, jnp.ones((1, 2), int))
    np.testing.assert_allclose(out[0, :, 0], [[0, 0, 1, 2], [6, 3, 1, 2]], rtol=1e-6)


def test_query_heads_share_key_value_heads_in_groups():
    """4 query heads over 2 key-value heads equal 4 over 4 with each key-value head repeated."""
    rng = np.random.default_rng(0)
    query = rng.normal(size=(2, 5, 4, 8)).astype(np.float32)
    key, value = rng.normal(size=(2, 2, 5, 2, 8)).astype(np.float32)
    segment_ids = np.ones((2, 5), np.int32)
    kernel = jax.jit(as_kernel("reference"))
    grouped = kernel(query, key, value, segment_ids)
    repeated = kernel(query, key.repeat(2, axis=2), value.repeat(2, axis=2), segment_ids)
    np.testing.assert_allclose(grouped, repeated, rtol=1e-5, atol=1e-6)


LENGTHS = [[37, 1, 90, 50, 22], [200], [1, 1, 127, 1, 30]]  # the rest of 200 is padding


def example(dtype, *, N=4, K=2, H=16, B=3):
    rng = np.random.default_rng(0)
    shapes = [(B, 200, heads, H) for heads in (N, K, K, N)]
    rows = [np.repeat(np.arange(1, len(n) + 1), n) for n in LENGTHS]
    segment_ids = np.stack([np.pad(row, (0, 200 - len(row))) for row in rows])[np.arange(B) % 3]
    arrays = [jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes]
    return *arrays, jnp.asarray(segment_ids, jnp.int32)


def with_gradients(kernel, query, key, value, cotangent, segment_ids):
    out, pull = jax.vjp(lambda *x: kernel(*x, segment_ids), query, key, value)
    return out, *pull(cotangent)


def assert_close(found, expected, rtol):
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        ours, theirs = np.float32(ours), np.float32(theirs)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=rtol * np.abs(theirs).max())


@pytest.mark.parametrize("name", ["splash", "pallas_gpu"])
@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-5), ("bfloat16", 2e-2)])
def test_interpreted_kernels_equal_the_reference(name, dtype, rtol):
    """Output and gradients, grouped heads, documents of odd lengths, padding, T no multiple."""
    arguments = example(dtype)
    run = jax.jit(with_gradients, static_argnums=0)
    expected = run(AttentionKernel("reference"), *arguments)
    assert_close(run(AttentionKernel(name, interpret=True), *arguments), expected, rtol)


@pytest.mark.parametrize("block_q", [None, 37, 200, 300])
@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-5), ("bfloat16", 2e-2)])
def test_blocks_of_queries_equal_the_reference(block_q, dtype, rtol):
    """T 200 in blocks of 64, 37 and whole: output and gradients."""
    arguments = example(dtype)
    run = jax.jit(with_gradients, static_argnums=0)
    expected = run(AttentionKernel("reference"), *arguments)
    assert_close(run(AttentionKernel("blocked", block_q=block_q), *arguments), expected, rtol)


@pytest.mark.parametrize(("T", "share"), [(256, 5 / 8), (1024, 9 / 16), (40, 1)])
def test_blocks_compute_no_scores_of_later_keys(T, share):
    query = jax.ShapeDtypeStruct((1, T, 2, 16), jnp.float32)
    ids = jax.ShapeDtypeStruct((1, T), jnp.int32)
    lowered = jax.jit(AttentionKernel("blocked")).lower(query, query, query, ids)
    products = compiled_flops(parse(lowered.compile().as_text()))
    assert products == share * 2 * 2 * 2 * 16 * T * T


def test_each_device_runs_the_kernel_on_its_rows_and_heads():
    """Rows over data and fsdp, heads over tensor: as on one device."""
    arguments = example("float32", B=4)
    query = ("batch", "tokens", "heads", None)
    key = ("batch", "tokens", "kv_heads", None)
    constrain = Constrain(make_mesh(MeshConfig(data=2, fsdp=2, tensor=2)))
    kernel = constrain.on_each_device(
        AttentionKernel("splash", interpret=True),
        inputs=(query, key, key, query[:2]),
        output=query,
    )
    run = jax.jit(with_gradients, static_argnums=0)
    expected = run(AttentionKernel("reference"), *arguments)
    assert_close(run(kernel, *arguments), expected, 1e-5)


def test_documents_for_cudnn():
    segment_ids = jnp.array([[1, 1, 2, 2, 2, 0, 0], [1] * 7, [1, 2, 3, 3, 4, 5, 6]], jnp.int32)
    lengths, offsets, num_documents = documents(segment_ids, 4)
    np.testing.assert_array_equal(lengths[:2], [[2, 3, 2, -1], [7, -1, -1, -1]])
    np.testing.assert_array_equal(offsets[:2], [[0, 2, 5, 7, -1], [0, 7, -1, -1, -1]])
    np.testing.assert_array_equal(num_documents, [3, 1, 6])  # the last has too many


def test_auto_and_named_kernels_by_platform():
    assert choose_kernel("auto", platform="tpu").name == "splash"
    assert choose_kernel("auto", platform="cpu").name == "blocked"
    assert choose_kernel("cudnn", platform="gpu", block_q=64) == AttentionKernel("cudnn", 64)
    with pytest.raises(UserError, match="'splash' runs on tpu, but the devices are cpu"):
        choose_kernel("splash", platform="cpu")


def test_what_cudnn_leaves_to_another_kernel_is_told():
    told = AttentionKernel("cudnn").limits
    assert f"at most {_MAX_DOCUMENTS} documents of a row" in told
    assert "pallas_gpu" in told
    assert AttentionKernel("blocked").limits is None


def test_an_unknown_kernel_is_named_with_those_there_are():
    with pytest.raises(UserError, match=r"attention_kernel.*'flash'.*expected one of.*reference"):
        as_kernel("flash")
