"""Counts a compiled program's FLOPs and HBM traffic.

`compiled.cost_analysis()` counts a loop's body once; here every instruction counts as often as it
runs (`hlo.Program.executions`).
"""

import math
import re

from codepretrain.podplan.hlo import Computation, Instruction, Program

# Instructions that move no bytes: names, views, and calls of other computations.
_FREE = {
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "while", "call",
    "conditional", "after-all", "iota", "partition-id", "replica-id", "optimization-barrier",
}  # fmt: skip
_SLICES = ("dynamic-slice", "slice", "gather")
_COST = re.compile(r'"cost_estimate":\{[^}]*?"flops":"?(\d+)"?')


def compiled_flops(program: Program) -> int:
    """Returns the FLOPs of one chip's products in one step; a multiply-add is two.

    Products are `dot`, `convolution` (the TPU compiler's form of every product) and kernels with a
    cost estimate. Elementwise operations and reductions are not counted.
    """
    counters = {"dot": _dot_flops, "convolution": _convolution_flops, "custom-call": _kernel_flops}
    return sum(
        times * counters[instruction.opcode](instruction, computation)
        for instruction, computation, times in program.walk()
        if instruction.opcode in counters
    )


def silent_attention_products(program: Program) -> int:
    """Returns the number of products in attention kernels that have no cost estimate.

    Splash kernels have none. By their names, a forward pass has 2 products of [T, T] and H (scores
    and values), and a backward pass 5 in one kernel (scores again, and the gradients of values,
    weights, keys and queries), or 4 and 3 in two kernels.
    """
    names = [
        (instruction.name, times)
        for instruction, computation, times in program.walk()
        if _is_kernel(instruction) and not _kernel_flops(instruction, computation)
    ]
    splits = any("_dq" in name for name, _ in names)
    products = {"_fwd": 2, "_dq": 3, "_dkv": 4 if splits else 5}
    return sum(
        times * number for name, times in names for part, number in products.items() if part in name
    )


def hbm_bytes(program: Program) -> int:
    """Returns the bytes that one chip reads from and writes to its main memory in one step.

    Each instruction outside fusions reads its operands and writes its results. Arrays in the chip's
    scratch memory are free, and of an operand that is only sliced, only the slices count.
    """
    fused = _fused(program)
    total = 0
    for instruction, computation, times in program.walk():
        if computation.name in fused or instruction.opcode in _FREE:
            continue
        if instruction.opcode.endswith(("-start", "-update")):
            continue  # counted at its end
        total += times * _traffic(program, instruction, computation)
    return total


def _fused(program: Program) -> set[str]:
    return {
        called
        for computation in program.computations.values()
        for instruction in computation.instructions.values()
        if instruction.opcode == "fusion"
        for called in instruction.called
    }


def _traffic(program: Program, instruction: Instruction, computation: Computation) -> int:
    operands = computation.operands(instruction)
    written = _bytes(instruction)
    if instruction.opcode.endswith("-done"):
        return written + min(
            instruction.bytes, sum(map(_bytes, _sources(instruction, computation)))
        )
    if instruction.opcode == "dynamic-update-slice":  # in place
        return 2 * _bytes(operands[1])
    if instruction.opcode in _SLICES:
        return 2 * written
    if instruction.opcode != "fusion":
        return written + sum(map(_bytes, operands))
    inner = program.computations[instruction.called[0]]
    read = sum(
        _read_by_fusion(inner, position, operand) for position, operand in enumerate(operands)
    )
    updates = [i for i in inner.instructions.values() if i.opcode == "dynamic-update-slice"]
    if updates and inner.root.opcode in ("dynamic-update-slice", "bitcast", "tuple"):
        in_place = sum(_bytes(update) for update in updates)
        added = sum(_bytes(inner.operands(update)[1]) for update in updates)
        written = max(written - in_place, 0) + added
    return read + written


def _sources(done: Instruction, computation: Computation) -> list[Instruction]:
    """Returns what an asynchronous copy, slice or collective reads."""
    start = computation.operands(done)[0]
    while start.opcode.endswith("-update"):
        start = computation.operands(start)[0]
    return computation.operands(start)


def _read_by_fusion(inner: Computation, position: int, operand: Instruction) -> int:
    """Returns the bytes that a fusion reads of its operand: all, or the slices it takes."""
    whole = _bytes(operand)
    parameter = next(
        (
            i
            for i in inner.instructions.values()
            if i.opcode == "parameter" and i.arguments == str(position)
        ),
        None,
    )
    if parameter is None or not whole:
        return whole
    users = [i for i in inner.instructions.values() if parameter.name in i.operands]
    if users and all(u.opcode in _SLICES and u.operands[0] == parameter.name for u in users):
        return min(whole, sum(u.bytes for u in users))
    if users and all(
        u.opcode == "dynamic-update-slice" and u.operands[0] == parameter.name for u in users
    ):
        return 0  # written in place
    return whole


def _bytes(instruction: Instruction) -> int:
    return sum(shape.bytes for shape in instruction.shapes if shape.in_main_memory)


def _dot_flops(instruction: Instruction, computation: Computation) -> int:
    left = computation.operands(instruction)[0].shapes[0]
    contracted = instruction.attribute("lhs_contracting_dims") or "{}"
    dims = [int(d) for d in re.findall(r"\d+", contracted)]
    return 2 * instruction.shapes[0].size * math.prod(left.dims[d] for d in dims)


def _convolution_flops(instruction: Instruction, computation: Computation) -> int:
    """Returns 2 · output batch and features · input features · pairs of positions that meet.

    A batch dim of a product is a window that, by dilation and stride or by padding, meets only one
    position of its input. So pairs are counted, as in XLA's own cost analysis.
    """
    left, right = computation.operands(instruction)[:2]
    labels = instruction.attribute("dim_labels")
    assert labels, instruction
    inputs, kernel, output = re.split(r"_|->", labels)
    window = _window(instruction)
    pairs = 1
    for label in (c for c in output if c.isdigit()):
        axis = int(label)
        pairs *= _meeting_pairs(
            left.shapes[0].dims[inputs.index(label)],
            right.shapes[0].dims[kernel.index(label)],
            instruction.shapes[0].dims[output.index(label)],
            **{name: values[axis] for name, values in window.items()},
        )
    features = instruction.shapes[0].dims[output.index("f")]
    batch = instruction.shapes[0].dims[output.index("b")]
    depth = right.shapes[0].dims[kernel.index("i")]
    groups = int(instruction.attribute("batch_group_count") or 1)
    return 2 * batch * features * depth * pairs // groups


def _window(instruction: Instruction) -> dict[str, list[int]]:
    """Returns stride, low padding and the dilations of every spatial dim."""
    text = (instruction.attribute("window") or "{}").strip("{}")
    fields = dict(field.split("=") for field in text.split())
    rank = len(fields["size"].split("x")) if fields else 0

    def numbers(name: str, default: int) -> list[int]:
        values = fields.get(name)
        return [int(v.split("_")[0]) for v in values.split("x")] if values else [default] * rank

    return {
        "stride": numbers("stride", 1),
        "padding": numbers("pad", 0),
        "input_dilation": numbers("lhs_dilate", 1),
        "kernel_dilation": numbers("rhs_dilate", 1),
    }


def _meeting_pairs(
    input_size: int,
    kernel_size: int,
    output_size: int,
    *,
    stride: int,
    padding: int,
    input_dilation: int,
    kernel_dilation: int,
) -> int:
    """Returns the number of pairs (output position, kernel position) that meet an input element."""
    pairs = 0
    for position in range(kernel_size):
        offset = position * kernel_dilation - padding
        low = max(0, -(-(0 - offset) // stride))
        high = min(output_size - 1, ((input_size - 1) * input_dilation - offset) // stride)
        if input_dilation == 1:
            pairs += max(0, high - low + 1)
        else:
            pairs += sum((o * stride + offset) % input_dilation == 0 for o in range(low, high + 1))
    return pairs


def _is_kernel(instruction: Instruction) -> bool:
    target = instruction.attribute("custom_call_target") or ""
    return instruction.opcode == "custom-call" and "tpu_custom_call" in target


def _kernel_flops(instruction: Instruction, computation: Computation) -> int:
    found = _COST.search(instruction.attributes) if _is_kernel(instruction) else None
    return int(found[1]) if found else 0
