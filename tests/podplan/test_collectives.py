"""Bytes and axes by hand: every kind of collective, every way to spell who takes part."""

import numpy as np
import pytest

from codepretrain.podplan.collectives import collectives, parse_groups
from codepretrain.podplan.hlo import parse

MESH = {"data": 2, "fsdp": 4, "tensor": 1}
FSDP = [[0, 1, 2, 3], [4, 5, 6, 7]]
DATA = [[0, 4], [1, 5], [2, 6], [3, 7]]


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("{{0,1,2,3},{4,5,6,7}}", FSDP),
        ("[2,4]<=[8]", FSDP),
        ("[4,2]<=[2,4]T(1,0)", DATA),
        ("mesh['data'=2,'fsdp'=4] {'fsdp'}", FSDP),
        ("mesh['data'=2,'fsdp'=4] {'data'}", DATA),
        ("mesh['a'=4,'b'=2], device_ids=([2,4]T(1,0)) {'b'}", DATA),
        ("mesh['a'=8] {'a':(2)4}", FSDP),  # the minor part, of size 4
        ("mesh['a'=8] {'a':(1)2}", DATA),  # the major part, of size 2
        ("mesh['data'=2,'fsdp'=4] {'data','fsdp'}", [list(range(8))]),
        ("{}", [list(range(8))]),
    ],
)
def test_groups(text, groups):
    np.testing.assert_array_equal(parse_groups(text, 8), groups)


def test_unknown_groups():
    with pytest.raises(ValueError, match="unknown notation for replica groups: <<x>>"):
        parse_groups("<<x>>", 8)


def program(*lines: str, extra: str = ""):
    body = "\n".join(f"  {line}" for line in ["%x = f32[4,8]{1,0} parameter(0)", *lines])
    return parse(f"{extra}ENTRY %main (x: f32[4,8]) -> f32[4,8] {{\n{body}\n}}\n")


GROUPS = "replica_groups={{0,1,2,3},{4,5,6,7}}"


@pytest.mark.parametrize(
    ("line", "kind", "sent"),
    [  # the operand is f32[4,8], 128 bytes, among 4 chips
        (f"all-gather(%x), {GROUPS}, dimensions={{0}}", "all-gather", 128 * 3),
        (f"reduce-scatter(%x), {GROUPS}, to_apply=%add", "reduce-scatter", 128 * 3 / 4),
        (f"all-reduce(%x), {GROUPS}, to_apply=%add", "all-reduce", 2 * 128 * 3 / 4),
        (f"all-reduce-start(%x), {GROUPS}, to_apply=%add", "all-reduce", 2 * 128 * 3 / 4),
        (f"all-to-all(%x), {GROUPS}, dimensions={{0}}", "all-to-all", 128 * 3 / 4),
        ("collective-permute(%x), source_target_pairs={{0,1},{1,0}}", "collective-permute", 128),
    ],
)
def test_sent_bytes(line, kind, sent):
    [found] = collectives(program(f"ROOT %y = f32[4,8]{{1,0}} {line}"), MESH)
    assert (found.kind, found.axes, found.sent_bytes) == (kind, ("fsdp",), sent)


def test_a_done_is_not_counted_again():
    lines = [
        f"%s = (f32[4,8]{{1,0}}, f32[16,8]{{1,0}}) all-gather-start(%x), {GROUPS}",
        "ROOT %d = f32[16,8]{1,0} all-gather-done(%s)",
    ]
    [found] = collectives(program(*lines), MESH)
    assert (found.kind, found.operand_bytes, found.dims) == ("all-gather", 128, (16, 8))


def test_an_asynchronous_call():
    wrapped = (
        "%wrapped (p: f32[4,8]) -> f32[1,8] {\n  %p = f32[4,8]{1,0} parameter(0)\n"
        f"  ROOT %r = f32[1,8]{{1,0}} reduce-scatter(%p), {GROUPS}, to_apply=%add\n}}\n\n"
    )
    lines = [
        "%s = ((f32[4,8]{1,0}), f32[1,8]{1,0}, u32[]) async-start(%x), calls=%wrapped",
        "%u = ((f32[4,8]{1,0}), f32[1,8]{1,0}, u32[]) async-update(%s), calls=%wrapped",
        "ROOT %d = f32[1,8]{1,0} async-done(%u), calls=%wrapped",
    ]
    [found] = collectives(program(*lines, extra=wrapped), MESH)
    assert (found.kind, found.executions) == ("reduce-scatter", 1)


def test_an_all_reduce_of_which_a_slice_is_kept():
    fused = (
        "%scatter (p: f32[4,8]) -> f32[1,8] {\n  %p = f32[4,8]{1,0} parameter(0)\n"
        f"  %r = f32[4,8]{{1,0}} all-reduce(%p), {GROUPS}, to_apply=%add\n"
        "  %id = u32[] partition-id()\n"
        "  ROOT %s = f32[1,8]{1,0} dynamic-slice(%r, %id, %id), dynamic_slice_sizes={1,8}\n}\n\n"
    )
    line = "ROOT %y = f32[1,8]{1,0} fusion(%x), kind=kCustom, calls=%scatter"
    [found] = collectives(program(line, extra=fused), MESH)
    assert (found.kind, found.sent_bytes) == ("reduce-scatter", 128 * 3 / 4)


def test_a_gather_that_is_spread_over_fusions_counts_once():
    def part(name: str) -> str:
        return (
            f"%{name} (p: f32[4,8]) -> f32[16,8] {{\n  %p = f32[4,8]{{1,0}} parameter(0)\n"
            f"  ROOT %g = f32[16,8]{{1,0}} all-gather(%p), channel_id=7, {GROUPS}, "
            'dimensions={0}, frontend_attributes={chain_id="3"}\n}\n\n'
        )

    lines = [
        "%a = f32[16,8]{1,0} fusion(%x), kind=kCustom, calls=%first",
        "ROOT %b = f32[16,8]{1,0} fusion(%x), kind=kCustom, calls=%second",
    ]
    found = collectives(program(*lines, extra=part("first") + part("second")), MESH)
    assert [one.executions for one in found] == [1]


def test_across_slices():
    """Over all 8 chips of two slices: 4 within each, and a quarter of the sum goes across."""
    line = "ROOT %y = f32[4,8]{1,0} all-reduce(%x), replica_groups={}, to_apply=%add"
    [found] = collectives(program(line), MESH, num_slices=2)
    assert found.axes == ("data", "fsdp")
    assert found.sent_bytes == 2 * 128 * 3 / 4
    assert found.dcn_bytes == 2 * (128 / 4) * 1 / 2


def test_along_data_all_goes_across():
    groups = "replica_groups={{0,4},{1,5},{2,6},{3,7}}"
    line = f"ROOT %y = f32[4,8]{{1,0}} all-reduce(%x), {groups}, to_apply=%add"
    [found] = collectives(program(line), MESH, num_slices=2)
    assert (found.sent_bytes, found.dcn_bytes) == (0.0, 2 * 128 / 2)


def test_what_the_megascale_runtime_sends():
    line = (
        "%s = (f32[4,8]{1,0}, u32[], token[]) send(%x, %t), channel_id=1, is_host_transfer=true, "
        'frontend_attributes={_xla_megascale_transfer_type="ALL_REDUCE"}'
    )
    [found] = collectives(program("%t = token[] after-all()", line), MESH, num_slices=2)
    assert (found.kind, found.axes) == ("all-reduce", ("data",))
    assert (found.sent_bytes, found.dcn_bytes) == (0.0, 2 * 128 / 2)
