"""FLOPs and bytes by hand, and FLOPs as XLA counts them where nothing loops."""

import jax
import jax.numpy as jnp
import pytest

from codepretrain.podplan.hlo import parse
from codepretrain.podplan.hlo_cost import compiled_flops, hbm_bytes, silent_attention_products


def program(*lines: str, extra: str = ""):
    body = "\n".join(f"  {line}" for line in lines)
    return parse(f"{extra}ENTRY %main (x: f32[4,8]) -> f32[4,8] {{\n{body}\n}}\n")


@pytest.mark.parametrize(
    ("line", "flops"),
    [
        # [4, 8] · [8, 16]
        ("f32[4,16]{1,0} dot(%a, %b), lhs_contracting_dims={1}, rhs_contracting_dims={0}", 1024),
        # the same as a TPU writes it
        ("f32[4,16]{1,0} convolution(%a, %b), dim_labels=bf_io->bf", 1024),
    ],
)
def test_products(line, flops):
    lines = ["%a = f32[4,8]{1,0} parameter(0)", "%b = f32[8,16]{1,0} parameter(1)"]
    assert compiled_flops(program(*lines, f"ROOT %y = {line}")) == flops


@pytest.mark.parametrize(
    ("shapes", "line", "flops"),
    [
        # heads as a window with padding: [2, 64, 32] · [32, 8, 16] → [2, 64, 8, 16]
        (
            ("bf16[2,64,32,1]", "bf16[32,8,16,1]"),
            "bf16[2,64,8,16]{3,2,1,0} convolution(%a, %b), "
            "window={size=1x8 pad=0_0x7_7 rhs_reversal=0x1}, dim_labels=0bf1_i1o0->0b1f",
            2 * 2 * 64 * 32 * 8 * 16,
        ),
        # batches as dilated windows: [2, 8] of [64, 16] · [16, 64]
        (
            ("bf16[2,8,64,16]", "bf16[2,8,64,16]"),
            "f32[2,8,64,64]{3,2,1,0} convolution(%a, %b), "
            "window={size=2x8 stride=1x7 lhs_dilate=2x8}, dim_labels=01bf_01oi->01bf",
            2 * 2 * 8 * 64 * 64 * 16,
        ),
    ],
)
def test_products_that_a_tpu_writes_as_windows(shapes, line, flops):
    lines = [f"%{'ab'[i]} = {s}{{3,2,1,0}} parameter({i})" for i, s in enumerate(shapes)]
    assert compiled_flops(program(*lines, f"ROOT %y = {line}")) == flops


def test_agrees_with_xla_where_nothing_loops():
    def f(x, w, kernel):
        y = jnp.einsum("bti,bsi->bts", x, x) @ x @ w
        dims = ("NWC", "WIO", "NWC")
        return jax.lax.conv_general_dilated(y, kernel, (2,), "SAME", dimension_numbers=dims)

    shapes = [(2, 12, 8), (8, 16), (3, 16, 4)]
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    compiled = jax.jit(f).lower(*arguments).compile()
    assert compiled_flops(parse(compiled.as_text() or "")) == compiled.cost_analysis()["flops"]


def test_loops_count_as_often_as_they_run():
    def f(x, ws):
        return jax.lax.scan(lambda x, w: (x @ w, None), x, ws)[0]

    arguments = [jax.ShapeDtypeStruct(s, jnp.float32) for s in ((4, 8), (7, 8, 8))]
    compiled = jax.jit(f).lower(*arguments).compile()
    assert compiled_flops(parse(compiled.as_text() or "")) == 7 * 2 * 4 * 8 * 8


def test_kernels():
    call = 'custom-call(%x), custom_call_target="tpu_custom_call"'
    lines = [
        "%x = f32[4,8]{1,0} parameter(0)",
        f"%splash_mha_fwd.1 = f32[4,8]{{1,0}} {call}",
        f"%splash_mha_dkv.1 = f32[4,8]{{1,0}} {call}",
        f'ROOT %told = f32[4,8]{{1,0}} {call}, backend_config={{"cost_estimate":{{"flops":"99"}}}}',
    ]
    assert silent_attention_products(program(*lines)) == 2 + 5
    assert compiled_flops(program(*lines)) == 99
    split = f"%splash_mha_dq.1 = f32[4,8]{{1,0}} {call}"
    assert silent_attention_products(program(*lines, split)) == 2 + 4 + 3


def test_bytes_of_hbm():
    fused = (
        "%fused (p: f32[3,4,8], i: s32[]) -> f32[4,8] {\n"
        "  %p = f32[3,4,8]{2,1,0} parameter(0)\n  %i = s32[] parameter(1)\n"
        "  %s = f32[1,4,8]{2,1,0} dynamic-slice(%p, %i, %i, %i)\n"
        "  ROOT %v = f32[4,8]{1,0} bitcast(%s)\n}\n\n"
    )
    lines = [
        "%w = f32[3,4,8]{2,1,0} parameter(0)",
        "%i = s32[] parameter(1)",
        "%part = f32[4,8]{1,0} fusion(%w, %i), kind=kLoop, calls=%fused",  # 128 + 4 + 128
        "%fast = f32[4,8]{1,0:S(1)} copy(%part)",  # 128 read, nothing written
        "ROOT %twice = f32[4,8]{1,0} add(%fast, %fast)",  # 128 written
    ]
    assert hbm_bytes(program(*lines, extra=fused)) == 260 + 128 + 128


def test_bytes_of_asynchronous_copies():
    """Into scratch memory: read once. The start's tuple names source and result, and is no copy."""
    start = "(f32[4,8]{1,0:S(1)}, f32[4,8]{1,0}, u32[]{:S(2)})"
    lines = [
        "%x = f32[4,8]{1,0} parameter(0)",
        f"%s = {start} copy-start(%x)",
        "%fast = f32[4,8]{1,0:S(1)} copy-done(%s)",
        "%part = (f32[8,8]{1,0}, f32[1,8]{1,0:S(1)}, u32[]) slice-start(%x), slice={[0:1], [0:8]}",
        "ROOT %row = f32[1,8]{1,0:S(1)} slice-done(%part)",
    ]
    assert hbm_bytes(program(*lines)) == 128 + 32
