"""Compiler options beyond the defaults, per kind of chip, each with its reason.

Options are passed to the compilation (`step.compile_train_step`), not set in the environment: so a
plan for a pod compiles exactly the program that the pod will run, and the compiler rejects an
unknown option instead of ignoring it.

    v6e     98,304 KiB of a core's 128 MiB of VMEM for one fusion instead of the default's few:
            larger tiles, so a matrix product reads its operands from HBM less often.
    h100,   the latency-hiding scheduler: it overlaps gathers of the next layer's parameters with
    h200    this layer's products, as the TPU compiler does by default.
    v5e,    none. libtpu 0.0.42 fuses all-gathers with products and splits them into steps by
    v5p     default (`async_collective_fusion` in the compiled step).
"""

from collections.abc import Mapping

from codepretrain.hardware.chips import chip_of

_LATENCY_HIDING = {"xla_gpu_enable_latency_hiding_scheduler": "True"}
XLA_OPTIONS: dict[str, Mapping[str, str]] = {
    "v5e": {},
    "v5p": {},
    "v6e": {"xla_tpu_scoped_vmem_limit_kib": "98304"},
    "h100": _LATENCY_HIDING,
    "h200": _LATENCY_HIDING,
}


def xla_options(device_kind: str) -> dict[str, str | bool]:
    """Returns the compiler options for a kind of device; none for unknown kinds (CPUs)."""
    chip = chip_of(device_kind)
    return {**XLA_OPTIONS[chip.name]} if chip else {}
