"""The default mesh of a machine if the study sets none: one rule per kind of chip.

    chip        fsdp          why
    v5e, v6e    32            2.8B parameters with moments and gradients are 1.4 GB a chip
    v5p         32            likewise; a box of 4 × 4 × 2 chips
    h100, h200  8             the GPUs that one NVLink switch joins
    others      all           no more than a few devices: CPUs

The remaining devices are along `data`, so slices and distant hosts communicate once a step, for the
gradients, and never within a layer. `tensor` is 1: up to 2.8B parameters a layer fits one chip, and
splitting it would put two all-reduces of the activations into every layer.

Each chip holds D / fsdp rows of a matrix. Where these are fewer than the 16 rows of a bfloat16
tile, libtpu 0.0.42 gathers every weight by an all-reduce of zero-padded matrices and reduces
gradients whole: in the steps compiled for v5e:16x16, no all-gather or reduce-scatter was left at
D 1024 and fsdp 256 (470M, T 1024), nor for the embedding at D 384 and fsdp 32 (30M). So fsdp is
halved until it divides D into at least 16 rows, and never spans a whole pod.
"""

import math

from codepretrain.config.schema import MeshConfig
from codepretrain.hardware.chips import chip_of

_FSDP = {"v5e": 32, "v5p": 32, "v6e": 32, "h100": 8, "h200": 8}


_MIN_ROWS = 16  # of a bfloat16 tile


def mesh_rule(
    device_kind: str, *, devices_per_slice: int, d_model: int | None = None
) -> MeshConfig:
    """Returns the mesh for a machine: fsdp divides a slice, `data` takes the remaining devices.

    d_model: the model's D, if known.
    """
    chip = chip_of(device_kind)
    if chip is None:
        return MeshConfig(fsdp=-1)
    fsdp = math.gcd(_FSDP[chip.name], devices_per_slice)
    if d_model is not None:
        while fsdp > 1 and (d_model % fsdp or d_model // fsdp < _MIN_ROWS):
            fsdp //= 2
    return MeshConfig(data=-1, fsdp=fsdp)
