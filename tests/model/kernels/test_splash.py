import jax
import pytest

from codepretrain.config.schema import MeshConfig
from codepretrain.model.attention_kernels import AttentionKernel
from codepretrain.train.sharding import Constrain, make_mesh
from tests.model.kernels.comparison import (
    assert_close,
    assert_equals_the_reference,
    example,
    with_gradients,
)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_equals_the_reference(dtype):
    assert_equals_the_reference(AttentionKernel("splash", interpret=True), dtype)


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
