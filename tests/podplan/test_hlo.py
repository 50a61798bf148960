"""A program written by hand: a loop of three layers around a fusion, and every kind of line."""

import pytest

from codepretrain.podplan.hlo import Shape, parse

TEXT = """\
HloModule jit_step, is_scheduled=true, entry_computation_layout={(f32[4,8]{1,0})->f32[4,8]}

%fused (param_0: bf16[3,8,2], param_1: s32[]) -> bf16[8,2] {
  %param_0 = bf16[3,8,2]{2,1,0:T(8,128)(2,1)} parameter(0)
  %param_1 = s32[]{:T(128)} parameter(1)
  %zero = s32[]{:T(128)} constant(0)
  %slice = bf16[1,8,2]{2,1,0} dynamic-slice(%param_0, %param_1, %zero, %zero)
  ROOT %view = bf16[8,2]{1,0} bitcast(%slice)
}

%condition (c: (s32[], f32[4,8], bf16[3,8,2])) -> pred[] {
  %c = (s32[]{:T(128)}, f32[4,8]{1,0}, bf16[3,8,2]{2,1,0}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%c), index=0
  %three = s32[]{:T(128)} constant(3)
  ROOT %less = pred[] compare(%i, %three), direction=LT
}

%body (b: (s32[], f32[4,8], bf16[3,8,2])) -> (s32[], f32[4,8], bf16[3,8,2]) {
  %b = (s32[]{:T(128)}, f32[4,8]{1,0}, /*index=2*/bf16[3,8,2]{2,1,0}) parameter(0)
  %i.1 = s32[]{:T(128)} get-tuple-element(%b), index=0
  %x = f32[4,8]{1,0} get-tuple-element(%b), index=1
  %w = bf16[3,8,2]{2,1,0} get-tuple-element(%b), index=2
  %part = bf16[8,2]{1,0} fusion(%w, %i.1), kind=kLoop, calls=%fused
  %whole = bf16[8,8]{1,0:T(8,128)(2,1)S(1)} all-gather(%part), dimensions={1}
  %y = f32[4,8]{1,0} dot(%x, %whole), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  %kernel = f32[4,8]{1,0} custom-call(%y), frontend_attributes={kernel_metadata={
"block": "{\\"size\\": 1}"
}}, metadata={op_name="jit(step)/kernel"}
  %one = s32[]{:T(128)} constant(1)
  %next = s32[]{:T(128)} add(%i.1, %one)
  ROOT %t = (s32[], f32[4,8]{1,0}, bf16[3,8,2]{2,1,0}) tuple(%next, %kernel, %w)
}

ENTRY %main.1 (x.1: f32[4,8], w.1: bf16[3,8,2]) -> f32[4,8] {
  %x.1 = f32[4,8]{1,0} parameter(0)
  %w.1 = bf16[3,8,2]{2,1,0} parameter(1)
  %start = s32[]{:T(128)} constant(0)
  %tuple.1 = (s32[], f32[4,8], bf16[3,8,2]) tuple(%start, %x.1, %w.1)
  %while.1 = (s32[], f32[4,8], bf16[3,8,2]) while(%tuple.1), condition=%condition, body=%body
  %out = f32[4,8]{1,0} get-tuple-element(%while.1), index=1
  ROOT %sum = f32[4,8] all-reduce(%out), replica_groups={{0,4},{1,5},{2,6},{3,7}}, to_apply=%add
}
"""


def test_computations():
    program = parse(TEXT)
    assert program.entry == "main.1"
    assert list(program.computations) == ["fused", "condition", "body", "main.1"]
    assert program.executions == {"fused": 3, "condition": 3, "body": 3, "main.1": 1}


def test_instructions():
    body = parse(TEXT).computations["body"]
    whole = body.instructions["whole"]
    assert whole.opcode == "all-gather"
    assert whole.operands == ("part",)
    assert whole.shapes == (Shape("bf16", (8, 8), in_main_memory=False),)
    assert whole.attribute("dimensions") == "{1}"
    assert whole.bytes == 128
    assert [shape.dims for shape in body.instructions["b"].shapes] == [(), (4, 8), (3, 8, 2)]
    assert body.root.name == "t"
    # the kernel's metadata goes over three lines, one of which begins with a bracket
    assert 'op_name="jit(step)/kernel"' in body.instructions["kernel"].attributes


def test_a_noted_trip_count_goes_first():
    noted = ', backend_config={"known_trip_count":{"n":"5"}}'
    program = parse(TEXT.replace("body=%body", "body=%body" + noted))
    assert program.executions["fused"] == 5


@pytest.mark.parametrize(("step", "times"), [(1, 3), (2, 2), (3, 1)])
def test_an_unrolled_loop_counts_in_steps(step, times):
    """As the TPU compiler unrolls a product that overlaps with a gather: 0, 2 of 3 is two runs."""
    program = parse(TEXT.replace("constant(1)", f"constant({step})"))
    assert program.executions["fused"] == times


def test_a_loop_whose_first_pass_was_taken_out():
    """As the TPU compiler does around transfers between slices."""
    program = parse(
        TEXT.replace("%start = s32[]{:T(128)} constant(0)", "%start = s32[] constant(1)")
    )
    assert program.executions["fused"] == 2


def test_a_counter_that_is_copied():
    copied = TEXT.replace("add(%i.1, %one)", "add(%i.2, %one)").replace(
        "  %next =", "  %i.2 = s32[]{:T(128)S(6)} copy(%i.1)\n  %next ="
    )
    assert parse(copied).executions["fused"] == 3


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("constant(3)", "parameter(1)"),  # compared with no constant
        ("direction=LT", "direction=GE"),
        ("add(%i.1, %one)", "multiply(%i.1, %one)"),
        ("tuple(%next, %kernel", "tuple(%i.1, %kernel"),  # the counter does not change
        ("%start = s32[]{:T(128)} constant(0)", "%start = s32[] parameter(2)"),
    ],
)
def test_an_unknown_trip_count(ours, theirs):
    program = parse(TEXT.replace(ours, theirs))
    with pytest.raises(ValueError, match=r"loop while.1: unknown trip count"):
        _ = program.executions


def test_no_hlo():
    with pytest.raises(ValueError, match="not an HLO text"):
        parse("module @jit_step {\n}")
