"""The default mesh of a machine, where the study names none: one rule per kind of chip.

    chip        fsdp          why
    v5e, v6e    32            2.8B parameters with moments and gradients are 1.4 GB a chip
    v5p         32            likewise; a box of 4 × 4 × 2 chips
    h100, h200  8             the GPUs that one NVLink switch joins
    others      all           no more than a few devices: CPUs

The remaining devices lie along `data`, so slices and distant hosts communicate once a step, for the
gradients, and never within a layer. `tensor` is 1: up to 2.8B parameters a layer fits one chip, and
splitting it would put two all-reduces of the activations into every layer.

Why fsdp does not span a whole pod: D / fsdp is what each chip holds of a matrix's rows. At D 1024
and fsdp 256 that is 4, less than the 16 rows of a bfloat16 tile, and libtpu 0.0.42 then gathers
every weight by an all-reduce of zero-padded matrices and reduces gradients whole: measured on
v5e:16x16 (470M, T 1024), no all-gather or reduce-scatter was left in the compiled step.
"""

import math

from codepretrain.config.schema import MeshConfig
from codepretrain.hardware.chips import chip_of

_FSDP = {"v5e": 32, "v5p": 32, "v6e": 32, "h100": 8, "h200": 8}


def mesh_rule(device_kind: str, *, devices_per_slice: int) -> MeshConfig:
    """Returns the mesh for a machine: fsdp divides a slice, `data` takes the remaining devices."""
    chip = chip_of(device_kind)
    if chip is None:
        return MeshConfig(fsdp=-1)
    return MeshConfig(data=-1, fsdp=math.gcd(_FSDP[chip.name], devices_per_slice))
