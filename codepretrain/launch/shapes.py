"""The slices that Google Cloud offers of each chip: shapes, hosts, machine types, labels.

    chip  shapes                                     TPU VM       GKE: machine type and label
    v5e   1x1 2x2 2x4 4x4 4x8 8x8 8x16 16x16         v5litepod-N  ct5lp-hightpu-{1,4,8}t
                                                                  tpu-v5-lite-podslice
    v6e   the same                                   v6e-N        ct6e-standard-{1,4,8}t
                                                                  tpu-v6e-slice
    v5p   2x2x1 2x2x2 2x2x4 2x4x4, and A ≤ B ≤ C in  v5p-2N       ct5p-hightpu-4t
          multiples of 4 from 4x4x4 to 16x16x24                   tpu-v5p-slice
    h100  8, 16, 24, …: whole machines of 8                       a3-highgpu-8g
                                                                  nvidia-h100-80gb

N counts chips. A shape of v5e or v6e with up to 8 chips is one machine; a larger slice consists of
machines of 4 chips (`hardware/chips.py`). On a TPU VM, an accelerator type names a number of chips,
so of v5p only the most compact shape of each number can be requested.

Sources: Google Cloud documentation: "TPU v5e", "TPU v5p" and "TPU v6e" (configurations), "Plan TPUs
in GKE" (machine types, node labels, rules for custom topologies of v5p), "TPU software versions"
(runtime versions), "Accelerator-optimized machine family" (A3).
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from codepretrain.config.parse import suggestion
from codepretrain.errors import UserError, quoted
from codepretrain.hardware.chips import CHIPS, Chip

_FLAT = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
_SMALL_V5P = ("2x2x1", "2x2x2", "2x2x4", "2x4x4")
_V5P_LIMITS = (16, 16, 24)
_MAX_LISTED = 8
_MAX_GPUS = 8192


@dataclass(frozen=True)
class _Offer:
    """What Google Cloud calls the machines of a chip. machine_type: with the chips of a machine."""

    label: str
    machine_type: str
    runtime_version: str | None
    resource: str = "google.com/tpu"


_OFFERS: Mapping[str, _Offer] = {
    "v5e": _Offer("tpu-v5-lite-podslice", "ct5lp-hightpu-{}t", "v2-alpha-tpuv5-lite"),
    "v5p": _Offer("tpu-v5p-slice", "ct5p-hightpu-{}t", "v2-alpha-tpuv5"),
    "v6e": _Offer("tpu-v6e-slice", "ct6e-standard-{}t", "v2-alpha-tpuv6e"),
    "h100": _Offer("nvidia-h100-80gb", "a3-highgpu-{}g", None, "nvidia.com/gpu"),
}


@dataclass(frozen=True)
class Slice:
    """One slice of a chip, for example v5e:4x4. A GPU's shape is its number of chips."""

    chip: Chip
    shape: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"{self.chip.name}:{self.dims}"

    @property
    def dims(self) -> str:
        return "x".join(map(str, self.shape))

    @property
    def num_chips(self) -> int:
        return math.prod(self.shape)

    @property
    def num_hosts(self) -> int:
        return self.chip.num_hosts(self.num_chips)

    @property
    def chips_per_host(self) -> int:
        return self.num_chips // self.num_hosts

    @property
    def is_tpu(self) -> bool:
        return self.chip.accelerator is not None

    @property
    def accelerator_type(self) -> str:
        """The name of the slice as a TPU VM, such as v5litepod-256."""
        return self.chip.accelerator_type(self.num_chips)

    @property
    def machine_type(self) -> str:
        return _OFFERS[self.chip.name].machine_type.format(self.chips_per_host)

    @property
    def runtime_version(self) -> str | None:
        """The usual software of a TPU VM with this chip."""
        return _OFFERS[self.chip.name].runtime_version

    @property
    def resource(self) -> str:
        """What a pod on GKE requests, `chips_per_host` of it."""
        return _OFFERS[self.chip.name].resource

    @property
    def node_labels(self) -> dict[str, str]:
        """The labels of the nodes on GKE that this slice consists of."""
        label = _OFFERS[self.chip.name].label
        if not self.is_tpu:
            return {"cloud.google.com/gke-accelerator": label}
        return {
            "cloud.google.com/gke-tpu-accelerator": label,
            "cloud.google.com/gke-tpu-topology": self.dims,
        }


def parse_slice(text: str, *, path: str) -> Slice:
    """Returns the slice that a text such as "v5e:16x16" or "h100:64" names.

    Args:
      path: of the config field, for messages.

    Raises:
      UserError: there is no such chip, or the chip does not have this shape; names those it has.
    """
    name, colon, dims = text.partition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,6}(x[0-9]{1,4}){0,2}", dims):
        raise UserError(
            f"{path}: expected a chip and its shape, such as v5e:16x16, v5p:4x4x8 or h100:64, got "
            f"{quoted(text)}"
        )
    if name not in _OFFERS:
        raise UserError(
            f"{path}: there are no machines of {quoted(name)}{suggestion(name, list(_OFFERS))}"
        )
    shape = tuple(int(number) for number in dims.split("x"))
    found = Slice(CHIPS[name], shape)
    if found.dims != dims or not _exists(found):
        near = ", ".join(_nearest(found))
        raise UserError(f"{path}: {name} has no shape {dims}; it has {_spelled(name)}; {near}")
    return found


def shapes_of(chip: str) -> tuple[str, ...]:
    """Returns all shapes of a TPU, the smallest first; none for GPUs, which have any multiple."""
    if chip in ("v5e", "v6e"):
        return _FLAT
    if chip != "v5p":
        return ()
    a, b, c = (range(4, limit + 1, 4) for limit in _V5P_LIMITS)
    large = [(x, y, z) for x in a for y in b for z in c if x <= y <= z]
    return (*_SMALL_V5P, *("x".join(map(str, s)) for s in sorted(large, key=_by_size)))


def compact_shape(found: Slice) -> str:
    """Returns the shape that a TPU VM of this many chips gets: the one nearest to a cube."""
    parsed = [tuple(map(int, shape.split("x"))) for shape in shapes_of(found.chip.name)]
    same = [shape for shape in parsed if math.prod(shape) == found.num_chips]
    return "x".join(map(str, min(same, key=sum)))


def _by_size(shape: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    return math.prod(shape), shape


def _exists(found: Slice) -> bool:
    if not found.is_tpu:
        chips = found.shape[0]
        is_whole = chips > 0 and chips % found.chip.chips_per_host == 0
        return len(found.shape) == 1 and is_whole and chips <= _MAX_GPUS
    return found.dims in shapes_of(found.chip.name)


def _spelled(chip: str) -> str:
    """Returns the shapes of a chip in words."""
    if chip == "v5p":
        limits = "x".join(map(str, _V5P_LIMITS))
        return f"{', '.join(_SMALL_V5P)}, and multiples of 4 with A ≤ B ≤ C up to {limits}"
    if chip in ("v5e", "v6e"):
        return ", ".join(_FLAT)
    return f"whole machines of {CHIPS[chip].chips_per_host}: 8, 16, 24 and so on to {_MAX_GPUS:,}"


def _nearest(found: Slice) -> list[str]:
    """Returns suggestions: the same chips in another shape, or the next smaller and larger."""
    chips = found.num_chips
    if not found.is_tpu:
        per_host = found.chip.chips_per_host
        sizes = {max(1, chips // per_host) * per_host, -(-chips // per_host) * per_host or per_host}
        return [f"try {found.chip.name}:{' or '.join(map(str, sorted(sizes)))}"]
    parsed = [tuple(map(int, s.split("x"))) for s in shapes_of(found.chip.name)]
    ordered = sorted(parsed, key=lambda shape: (abs(math.prod(shape) - chips), shape))
    same = [shape for shape in ordered if math.prod(shape) == chips]
    chosen = (same or ordered[:2])[:_MAX_LISTED]
    return [f"try {' or '.join('x'.join(map(str, shape)) for shape in chosen)}"]
