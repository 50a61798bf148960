import pytest

from codepretrain.errors import UserError
from codepretrain.model.attention_kernels import (
    KERNELS,
    AttentionKernel,
    as_kernel,
    choose_kernel,
)


def test_auto_and_named_kernels_by_platform():
    assert choose_kernel("auto", platform="tpu").name == "splash"
    assert choose_kernel("auto", platform="gpu").name == "pallas_gpu"
    assert choose_kernel("auto", platform="cpu").name == "blocked"
    assert choose_kernel("cudnn", platform="gpu", block_q=64) == AttentionKernel("cudnn", 64)
    with pytest.raises(UserError, match="'splash' runs on tpu, but the devices are cpu"):
        choose_kernel("splash", platform="cpu")


def test_each_platform_has_one_default():
    defaults = [spec.default_on for spec in KERNELS.values() if spec.default_on]
    assert sorted(defaults) == ["cpu", "gpu", "tpu"]


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
        choose_kernel(name, platform=platform, **blocks)


def test_a_compute_dtype_that_a_kernel_cannot_use_is_refused():
    AttentionKernel("blocked").check_compute_dtype("float32")
    AttentionKernel("cudnn").check_compute_dtype("bfloat16")
    with pytest.raises(UserError, match=r"'cudnn' computes in bfloat16, but .*dtype is 'float32'"):
        AttentionKernel("cudnn").check_compute_dtype("float32")
