"""Parses optimized HLO text: computations, instructions, and how often each runs.

    ENTRY %main … {
      %tuple.1 = … tuple(…)
      %while.1 = (s32[], bf16[2,8]{1,0}) while(%tuple.1), condition=%cond, body=%body
    }

    main ×1 ──┬── body ×16 ──── fused_computation.3 ×16        `executions` counts these
              └── cond ×17

A program is for one chip: shapes are those of its shards, counts are per chip.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

_BITS = {"pred": 8, "token": 0, "opaque": 0, "c64": 64, "c128": 128}
_SHAPE = re.compile(r"\b([a-z]+[0-9]*[a-z0-9]*)\[([0-9,<=]*)\](?:\{([^}]*)\})?")
_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\) -> .* \{$")
_NAME = re.compile(r"^\s*(ROOT )?%?([\w.\-]+) = ")
_OPCODE = re.compile(r"([a-z][\w\-]*)\(")
_CALLED = re.compile(r"\b(?:calls|to_apply|body|condition)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"\b(?:branch_computations=\{([^}]*)\}|(?:true|false)_computation=(\S+))")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')


@dataclass(frozen=True)
class Shape:
    """An array's element type and dims, and whether it is in the chip's main memory."""

    dtype: str
    dims: tuple[int, ...]
    in_main_memory: bool = True

    @property
    def size(self) -> int:
        return math.prod(self.dims)

    @property
    def bytes(self) -> int:
        digits = re.search(r"\d+", self.dtype)
        bits = _BITS[self.dtype] if self.dtype in _BITS else int(digits[0]) if digits else 0
        return self.size * bits // 8


@dataclass(frozen=True)
class Instruction:
    """One line: `%name = shapes opcode(operands), attributes`. A tuple has several shapes."""

    name: str
    opcode: str
    shapes: tuple[Shape, ...]
    operands: tuple[str, ...]
    arguments: str
    attributes: str
    is_root: bool

    @property
    def bytes(self) -> int:
        return sum(shape.bytes for shape in self.shapes)

    def attribute(self, name: str) -> str | None:
        """Returns the text after `name=`, up to the comma that ends it; None if it is absent."""
        found = re.search(rf"(?:^|[\s,]){name}=", self.attributes)
        return _balanced(self.attributes, found.end(), ends=", \n") if found else None

    @property
    def called(self) -> tuple[str, ...]:
        """The computations that it runs, except the scalar operations of reductions."""
        if self.opcode == "conditional":
            found = [a or b for a, b in _BRANCHES.findall(self.attributes)]
            return tuple(re.findall(r"[\w.\-]+", " ".join(found)))
        if self.opcode in ("fusion", "call", "while") or self.opcode.startswith("async-"):
            return tuple(_CALLED.findall(self.attributes))
        return ()


@dataclass(frozen=True)
class Computation:
    """Instructions by name, in order."""

    name: str
    instructions: dict[str, Instruction]

    @property
    def root(self) -> Instruction:
        return next(i for i in self.instructions.values() if i.is_root)

    def operands(self, instruction: Instruction) -> list[Instruction]:
        """Returns the instructions that make an instruction's operands."""
        return [self.instructions[name] for name in instruction.operands]

    def origins(self, instruction: Instruction) -> list[Instruction]:
        """Returns its operands, with copies replaced by what they copy."""
        found = self.operands(instruction)
        for i, operand in enumerate(found):
            while operand.opcode in ("copy", "copy-start", "copy-done"):
                operand = self.operands(operand)[0]
            found[i] = operand
        return found


@dataclass(frozen=True)
class Program:
    """A module: its computations by name, and the name of its entry."""

    computations: dict[str, Computation]
    entry: str

    @cached_property
    def executions(self) -> dict[str, int]:
        """How often each computation runs in one step; every branch of a conditional counts."""
        counts = dict.fromkeys(self.computations, 0)

        def visit(name: str, times: int) -> None:
            counts[name] += times
            computation = self.computations[name]
            for instruction in computation.instructions.values():
                is_loop = instruction.opcode == "while"
                trips = self.trip_count(instruction, computation) if is_loop else 1
                if instruction.opcode.endswith(("-update", "-done")):
                    continue  # counted at its start
                for called in instruction.called:
                    visit(called, times * trips)

        visit(self.entry, 1)
        return counts

    def walk(self) -> Iterator[tuple[Instruction, Computation, int]]:
        """Yields every instruction that runs, its computation, and how often."""
        for name, times in self.executions.items():
            if times:
                computation = self.computations[name]
                for instruction in computation.instructions.values():
                    yield instruction, computation, times

    def trip_count(self, loop: Instruction, computation: Computation) -> int:
        """Returns how often a while loop's body runs, from its annotation or its counter.

        A loop's counter starts at a constant and is compared with one; each iteration adds a
        constant to it. These are not always 0 and 1: the TPU compiler unrolls loops around
        collectives by two, and peels the first iteration of loops around transfers between slices.

        Raises:
          ValueError: the loop has neither an annotation nor such a counter.
        """
        if noted := _TRIPS.search(loop.attributes):
            return int(noted[1])
        condition, body = (
            self.computations[(loop.attribute(name) or "").lstrip("%")]
            for name in ("condition", "body")
        )
        compared = condition.origins(condition.root)
        indices = [i.attribute("index") for i in compared if i.opcode == "get-tuple-element"]
        ends = _integers(compared)
        if condition.root.attribute("direction") == "LT" and len(ends) == len(indices) == 1:
            index = indices[0] or ""
            starts = _integers([_element(computation, computation.operands(loop)[0], index)])
            steps = _steps(body, index)
            if starts and steps:
                return max(0, -(-(ends[0] - starts[0]) // steps[0]))
        raise ValueError(f"loop {loop.name}: unknown trip count")


def _integers(instructions: list[Instruction]) -> list[int]:
    """Returns the values of the constants among the instructions."""
    constants = [i.arguments for i in instructions if i.opcode == "constant"]
    return [int(text) for text in constants if re.fullmatch(r"-?\d+", text)]


def _element(computation: Computation, values: Instruction, index: str) -> Instruction:
    """Returns the origin of an element of a tuple; the instruction itself if it is no tuple."""
    return computation.origins(values)[int(index)] if values.opcode == "tuple" else values


def _steps(body: Computation, index: str) -> list[int]:
    """Returns the constants that a loop's body adds to element `index` of its tuple."""
    added = _element(body, body.root, index)
    terms = body.origins(added) if added.opcode == "add" else []
    return _integers(terms) if any(i.attribute("index") == index for i in terms) else []


def parse(text: str) -> Program:
    """Returns the program of an HLO text, as `compiled.as_text()` returns it."""
    computations: dict[str, Computation] = {}
    entry, current = None, None
    lines: list[str] = []  # of the current computation; one instruction each
    for line in text.splitlines():
        if current is None:
            if header := _HEADER.match(line):
                current = header[2]
                entry = current if header[1] else entry
        elif line.rstrip() == "}":
            found = [_instruction(each) for each in lines]
            computations[current] = Computation(current, {i.name: i for i in found})
            current, lines = None, []
        elif _NAME.match(line):
            lines.append(line)
        elif lines:  # metadata may hold line breaks
            lines[-1] += line
    if entry is None:
        raise ValueError("not an HLO text: no ENTRY computation found")
    return Program(computations, entry)


def _instruction(line: str) -> Instruction:
    named = _NAME.match(line)
    assert named, line
    name, rest = named[2], line[named.end() :]
    type_text = _balanced(rest, 0, ends=" ")
    opcode = _OPCODE.match(rest, len(type_text) + 1)
    assert opcode, f"%{name} = {rest:.200}"
    arguments = _balanced(rest, opcode.end(), ends=")")
    return Instruction(
        name=name,
        opcode=opcode[1],
        shapes=_shapes(type_text),
        operands=tuple(re.findall(r"%([\w.\-]+)", arguments)),
        arguments=arguments,
        attributes=rest[opcode.end() + len(arguments) + 1 :],
        is_root=bool(named[1]),
    )


def _shapes(text: str) -> tuple[Shape, ...]:
    return tuple(
        Shape(
            dtype,
            tuple(int(d.lstrip("<=")) for d in dims.split(",") if d),
            # S(1) is the chip's scratch memory, S(5) the host's; main memory has no mark.
            in_main_memory=re.search(r"S\([1-9]\)", layout) is None,
        )
        for dtype, dims, layout in _SHAPE.findall(text)
    )


def _balanced(text: str, start: int, *, ends: str) -> str:
    """Returns the text from `start` to the first of `ends` outside brackets and quotes."""
    depth, quoted = 0, False
    for index in range(start, len(text)):
        char = text[index]
        if char == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif depth == 0 and char in ends:
            return text[start:index]
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
    return text[start:]
