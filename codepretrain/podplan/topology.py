"""Target pods by name, and their devices to compile for. No TPU hardware is needed.

v5e:16x16       256 chips in a torus of 16 × 16
v5p:4x4x8       128 chips in three dimensions
--slices 2      two of them, joined by the data-center network
"""

import importlib.util
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codepretrain.config.parse import suggestion
from codepretrain.errors import UserError
from codepretrain.hardware.chips import CHIPS, Chip

# `libtpu` reads these when it is loaded: no TPU is attached, and several processes may compile at
# once. The command line sets them; nothing else changes the environment.
COMPILER_ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_MIN_LOG_LEVEL": "3",
    "TPU_STDERR_LOG_LEVEL": "3",
}
_PLANNED = [name for name, chip in CHIPS.items() if chip.examples]


@dataclass(frozen=True)
class Topology:
    """`num_slices` equal slices of one kind of chip."""

    chip: Chip
    shape: tuple[int, ...]
    num_slices: int = 1

    @property
    def name(self) -> str:
        return f"{self.chip.name}:{'x'.join(map(str, self.shape))}"

    @property
    def chips_per_slice(self) -> int:
        return math.prod(self.shape)

    @property
    def num_chips(self) -> int:
        return self.chips_per_slice * self.num_slices

    @property
    def num_hosts(self) -> int:
        """Machines, and so JAX processes, of all slices."""
        return self.num_slices * self.chip.num_hosts(self.chips_per_slice)

    @property
    def environment(self) -> dict[str, str]:
        """Variables to set before JAX is imported, to compile for this topology."""
        accelerator = self.chip.accelerator_type(self.chips_per_slice)
        return {**COMPILER_ENVIRONMENT, "TPU_ACCELERATOR_TYPE": accelerator}


def parse_topology(text: str, *, num_slices: int = 1) -> Topology:
    """Returns the topology that a text such as "v5e:16x16" names.

    Raises:
      UserError: the text is malformed, no compiler knows the chip, or there are too few slices.
    """
    examples = ", ".join(example for name in _PLANNED for example in CHIPS[name].examples)
    if not re.fullmatch(r"\w+:[0-9]+(x[0-9]+){1,2}", text):
        raise UserError(f"--topology: expected chip:AxB or chip:AxBxC, such as {examples}; "
                        f"got {text!r}")  # fmt: skip
    kind, _, dims = text.partition(":")
    if kind not in _PLANNED:
        raise UserError(
            f"--topology: there is no TPU {kind!r} to plan for{suggestion(kind, _PLANNED)}; "
            f"examples: {examples}"
        )
    if num_slices < 1:
        raise UserError(f"--slices: expected 1 or more, got {num_slices}")
    shape = tuple(int(n) for n in dims.split("x"))
    rank = CHIPS[kind].examples[0].count("x") + 1
    if len(shape) != rank:
        raise UserError(
            f"--topology: a slice of {kind} has {rank} dimensions, got {dims}; examples: "
            f"{', '.join(CHIPS[kind].examples)}"
        )
    if min(shape) < 1:
        raise UserError(f"--topology: expected sizes of 1 or more, got {dims}")
    return Topology(CHIPS[kind], shape, num_slices)


def check_compiler() -> None:
    """Raises UserError if the TPU compiler is not installed."""
    if importlib.util.find_spec("libtpu") is None:
        raise UserError(
            "planning for a TPU needs its compiler, the package `libtpu` (no TPU is needed): "
            "run `pip install 'codepretrain[tpu]'`"
        )


def topology_devices(topology: Topology) -> Sequence[Any]:
    """Returns the pod's devices for a mesh; programs can be compiled for them, not run.

    Raises:
      UserError: the compiler is not installed, or it does not know such a slice.
    """
    check_compiler()
    from jax.experimental import topologies

    slices = {} if topology.num_slices == 1 else {"num_slices": topology.num_slices}
    try:
        description = topologies.get_topology_desc(
            platform="tpu", topology_name=topology.name, **slices
        )
    except RuntimeError as error:  # jax.errors.JaxRuntimeError; also "not divisible by host"
        first = str(error).splitlines()[0]
        examples = ", ".join(topology.chip.examples)
        raise UserError(
            f"--topology {topology.name}: the TPU compiler refuses it ({first}); try {examples}"
        ) from error
    return description.devices
