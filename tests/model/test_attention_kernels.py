import pytest

from codepretrain.config import values
from codepretrain.errors import UserError
from codepretrain.model.attention_kernels import (
    KERNELS,
    AttentionKernel,
    Target,
    as_kernel,
    choose_kernel,
    default_kernel,
)


def target(platform="gpu", compute_capability=9.0, compute_dtype="bfloat16"):
    return Target(
        platform=platform, compute_dtype=compute_dtype, compute_capability=compute_capability
    )


def test_auto_and_named_kernels_by_platform():
    assert choose_kernel("auto", target("tpu", None)).name == "splash"
    assert choose_kernel("auto", target("cpu", None)).name == "blocked"
    assert choose_kernel("cudnn", target(), block_q=64) == AttentionKernel("cudnn", 64)
    with pytest.raises(UserError, match="'splash' runs on tpu, but the devices are cpu"):
        choose_kernel("splash", target("cpu", None))


def test_auto_on_gpus_is_cudnn_where_it_runs():
    assert choose_kernel("auto", target()).name == "cudnn"
    assert choose_kernel("auto", target(compute_dtype="float32")).name == "pallas_gpu"
    assert choose_kernel("auto", target(compute_capability=8.0)).name == "pallas_gpu"
    assert choose_kernel("auto", target(compute_capability=None)).name == "pallas_gpu"
    with pytest.raises(UserError, match=r"'cudnn' expects a GPU of compute capability 9\.0 or"):
        choose_kernel("cudnn", target(compute_capability=8.0))


@pytest.mark.parametrize("platform", ["cpu", "gpu", "tpu"])
def test_each_platform_has_a_default_for_every_dtype(platform):
    for dtype in ("float32", "bfloat16"):
        name = default_kernel(target(platform, None, dtype))
        AttentionKernel(name).check_compute_dtype(dtype)


def test_the_config_knows_every_kernel():
    assert tuple(sorted(KERNELS)) == values.ATTENTION_KERNELS


def test_limits_and_partitionability_are_those_of_the_row():
    assert AttentionKernel("blocked").limits is None
    assert AttentionKernel("cudnn").limits == KERNELS["cudnn"].limits
    assert AttentionKernel("blocked").is_partitionable
    assert not AttentionKernel("splash").is_partitionable


def test_an_unknown_kernel_is_named_with_those_there_are():
    with pytest.raises(UserError, match=r"attention_kernel.*'flash'.*expected one of.*reference"):
        as_kernel("flash")


@pytest.mark.parametrize(
    ("name", "platform", "blocks", "message"),
    [
        ("pallas_gpu", "gpu", {"block_q": 48}, r"attention_block_q: .* a power of two.*got 48"),
        ("cudnn", "gpu", {"block_kv": 16}, r"attention_block_kv: .* 32 or larger, got 16"),
        ("auto", "tpu", {"block_kv": 200}, r"attention_block_kv: 'splash' .* of 128, got 200"),
    ],
)
def test_block_sizes_that_a_kernel_cannot_use_are_refused(name, platform, blocks, message):
    with pytest.raises(UserError, match=r"config\.execution\." + message):
        choose_kernel(name, target(platform), **blocks)


def test_a_compute_dtype_that_a_kernel_cannot_use_is_refused():
    AttentionKernel("blocked").check_compute_dtype("float32")
    AttentionKernel("cudnn").check_compute_dtype("bfloat16")
    with pytest.raises(UserError, match=r"'cudnn' computes in bfloat16, but .*dtype is 'float32'"):
        AttentionKernel("cudnn").check_compute_dtype("float32")
