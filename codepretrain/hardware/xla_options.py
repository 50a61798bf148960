"""What the compiler is told beyond its defaults, per kind of chip, each with its reason.

Options go with the compilation (`step.compile_train_step`), not through the environment: a plan for
a pod then compiles exactly what the pod will run, and an option that the compiler does not know is
an error instead of silence.

    v6e     98,304 KiB of a core's 128 MiB of VMEM for one fusion instead of the default's few:
            larger tiles, so a matrix product reads its operands from HBM less often.
    h100,   the latency-hiding scheduler: gathers of the next layer's parameters run beside this
    h200    layer's products, as the TPU compiler schedules them by default.
    v5e,    none. libtpu 0.0.42 fuses all-gathers with products and splits them into steps without
    v5p     being asked (`async_collective_fusion` in the compiled step).
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


def xla_options(device_kind: str) -> dict[str, str]:
    """Returns the compiler's options for a kind of device; none for those not known (a CPU)."""
    chip = chip_of(device_kind)
    return dict(XLA_OPTIONS[chip.name]) if chip else {}
