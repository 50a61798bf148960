"""Peak rates and memory of each kind of chip: one table, with its sources. Standard library only.

Units: FLOP/s of dense bf16 products; bytes/s; memory in bytes as the compiler or driver reports it.
Interconnect is what one chip can *send* per second: half of a vendor's bidirectional figure.

    name   bf16 FLOP/s  HBM        HBM B/s   ICI/NVLink B/s  network B/s (per chip)
    v5e    197e12       15.75 GiB  0.819e12  200e9           3.125e9   2 × 100 Gb/s per 8 chips
    v5p    459e12       95.74 GiB  2.765e12  600e9           6.25e9    50 Gb/s per chip
    v6e    918e12       31.25 GiB  1.638e12  400e9           12.5e9    4 × 200 Gb/s per 8 chips
    h100   989e12       79.65 GiB  3.35e12   450e9           50e9      400 Gb/s per chip
    h200   989e12       140.4 GiB  4.8e12    450e9           50e9      400 Gb/s per chip

A board of v5e or v6e holds 8 chips. A slice that fits one board may be one virtual machine of 1, 4
or 8 chips (machine types ct5lp-hightpu-1t, -4t and -8t, ct6e-standard-1t, -4t and -8t); a larger
slice has two machines of 4 chips per board. JAX runs one process per machine.

Sources: TPUs: Google Cloud documentation, "TPU v5e", "TPU v5p" and "TPU v6e" (peak bf16, HBM
bandwidth, bidirectional ICI bandwidth per chip: 400, 1200 and 800 GB/s; network cards per host);
their HBM is what libtpu 0.0.42 lets a program use, less than is printed on the box. GPUs: NVIDIA
"H100" and "H200 Tensor Core GPU" data sheets (SXM; dense, without sparsity; NVLink 900 GB/s both
ways), memory as the driver reports it, network as in NVIDIA's DGX systems (one card per GPU).
"""

from dataclasses import dataclass

_GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Chip:
    """One kind of accelerator.

    device_kinds: lower-case prefixes of JAX's name for it. chips_per_host: of the machines that a
    slice of several machines consists of. single_host_slices: sizes that are one machine instead.
    examples: its topologies to name in a message; GPUs have none, since a program for GPUs cannot
    be compiled without one. accelerator: of its TPU VM accelerator types, which count
    `counted_per_chip` per chip: TensorCores on v5p, chips on the others.
    """

    name: str
    device_kinds: tuple[str, ...]
    peak_flops_per_s: float
    hbm_bytes: int
    hbm_bytes_per_s: float
    ici_bytes_per_s: float
    dcn_bytes_per_s: float
    chips_per_host: int
    single_host_slices: tuple[int, ...] = ()
    examples: tuple[str, ...] = ()
    accelerator: str | None = None
    counted_per_chip: int = 1

    def accelerator_type(self, num_chips: int) -> str:
        """Returns the name of a slice of this many chips as a TPU VM: "v5litepod-256"."""
        assert self.accelerator is not None, f"{self.name} is not a TPU"
        return f"{self.accelerator}-{num_chips * self.counted_per_chip}"

    def num_hosts(self, num_chips: int) -> int:
        """Returns the number of machines (and JAX processes) of a slice of this many chips."""
        if num_chips in self.single_host_slices:
            return 1
        return -(-num_chips // self.chips_per_host)


CHIPS: dict[str, Chip] = {
    chip.name: chip
    for chip in (
        Chip(
            name="v5e",
            device_kinds=("tpu v5 lite", "tpu v5e"),
            peak_flops_per_s=197e12,
            hbm_bytes=int(15.75 * _GIB),
            hbm_bytes_per_s=0.819e12,
            ici_bytes_per_s=200e9,
            dcn_bytes_per_s=3.125e9,
            chips_per_host=4,
            single_host_slices=(1, 4, 8),
            examples=("v5e:4x4", "v5e:16x16"),
            accelerator="v5litepod",
        ),
        Chip(
            name="v5p",
            device_kinds=("tpu v5p", "tpu v5"),
            peak_flops_per_s=459e12,
            hbm_bytes=int(95.74 * _GIB),
            hbm_bytes_per_s=2.765e12,
            ici_bytes_per_s=600e9,
            dcn_bytes_per_s=6.25e9,
            chips_per_host=4,
            examples=("v5p:4x4x4", "v5p:4x4x8"),
            accelerator="v5p",
            counted_per_chip=2,
        ),
        Chip(
            name="v6e",
            device_kinds=("tpu v6 lite", "tpu v6e"),
            peak_flops_per_s=918e12,
            hbm_bytes=int(31.25 * _GIB),
            hbm_bytes_per_s=1.638e12,
            ici_bytes_per_s=400e9,
            dcn_bytes_per_s=12.5e9,
            chips_per_host=4,
            single_host_slices=(1, 4, 8),
            examples=("v6e:8x8", "v6e:16x16"),
            accelerator="v6e",
        ),
        Chip(
            name="h100",
            device_kinds=("nvidia h100",),
            peak_flops_per_s=989e12,
            hbm_bytes=int(79.65 * _GIB),
            hbm_bytes_per_s=3.35e12,
            ici_bytes_per_s=450e9,
            dcn_bytes_per_s=50e9,
            chips_per_host=8,
        ),
        Chip(
            name="h200",
            device_kinds=("nvidia h200",),
            peak_flops_per_s=989e12,
            hbm_bytes=int(140.4 * _GIB),
            hbm_bytes_per_s=4.8e12,
            ici_bytes_per_s=450e9,
            dcn_bytes_per_s=50e9,
            chips_per_host=8,
        ),
    )
}


def chip_of(device_kind: str) -> Chip | None:
    """Returns the chip that JAX calls `device_kind`, or None for an unknown kind, such as a CPU."""
    kind = device_kind.lower()
    matches = [(len(p), c) for c in CHIPS.values() for p in c.device_kinds if kind.startswith(p)]
    return max(matches, key=lambda match: match[0])[1] if matches else None


def model_flops_utilization(
    *, tokens_per_s: float, flops_per_token: float, num_chips: int, chip: Chip
) -> float:
    """Returns the model FLOPs utilization: model FLOPs per second as a share of the chips' peak.

        MFU = tokens/s · FLOPs per token / (chips · peak bf16 FLOP/s)

    FLOPs per token are those of `model/size.py`: 3 × forward, with half of the attention (it is
    causal) and the output head, without the embedding lookup and any recomputation.

    Source: Chowdhery et al. 2022 (PaLM), appendix B; there attention is counted in full.
    """
    return tokens_per_s * flops_per_token / (num_chips * chip.peak_flops_per_s)
