"""A lower bound on the time of a step on a chip; not a forecast.

    compute   FLOPs compiled / peak FLOP/s
    hbm       bytes read and written (as `hlo_cost.hbm_bytes` counts them) / HBM bandwidth
    ici       bytes sent within a slice / bandwidth of all of a chip's links
    dcn       bytes sent to other slices / a chip's share of its host's network
    bound     the largest of them: the step takes at least this long even if all four overlap

Real steps are slower: products reach the peak only for large shapes, only collectives over the
whole torus use all links, and dependent operations cannot overlap. The TPU compiler's own cycle
estimates are not used, because they were below the arithmetic bound.
"""

from dataclasses import dataclass

from codepretrain.hardware.chips import Chip


@dataclass(frozen=True)
class Bounds:
    """Seconds per step."""

    compute: float
    hbm: float
    ici: float
    dcn: float

    @property
    def seconds(self) -> float:
        return max(self.compute, self.hbm, self.ici, self.dcn)

    @property
    def limited_by(self) -> str:
        parts = {name: getattr(self, name) for name in ("compute", "hbm", "ici", "dcn")}
        return max(parts, key=lambda name: parts[name])


def roofline(
    chip: Chip, *, flops: float, hbm_bytes: float, ici_bytes: float, dcn_bytes: float
) -> Bounds:
    """Returns the bounds of one chip's part of a step."""
    return Bounds(
        compute=flops / chip.peak_flops_per_s,
        hbm=hbm_bytes / chip.hbm_bytes_per_s,
        ici=ici_bytes / chip.ici_bytes_per_s,
        dcn=dcn_bytes / chip.dcn_bytes_per_s,
    )
