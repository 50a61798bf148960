"""Pins JAX settings that change results, so a fingerprint is enough to repeat a phase.

JAX reads about a hundred settings from the environment (`JAX_ENABLE_X64=1`). Those that alter
random numbers, dtypes or the program that is computed are pinned here for the whole process. Those
that only raise errors, log, or control how the same program is compiled are not pinned; the last
may change rounding, as another kind of chip does. `tests/train/test_numerics.py` lists the decision
for each setting that JAX traces, and fails for a setting that a new release of JAX adds.

Variables that cannot be pinned are refused (`cli/environment.py`).

**Matrix products.** `model.compute_dtype="float32"` means float32: products are computed in full
precision, not from bfloat16 parts (TPUs' default) or TF32 (GPUs'). With "bfloat16" the few products
of float32 arrays keep the platform's default. Neither changes bits on a CPU.

**Deterministic GPU programs.** `execution.deterministic` compiles the training step with
`--xla_gpu_deterministic_ops`: XLA then does not sum with atomics or select kernels by timing
them, which gives the same bits in every process at some cost in speed. TPU and CPU programs are
deterministic without it.
"""

from collections.abc import Mapping
from typing import Any

import jax

PRNG_IMPL = "threefry2x32"

PINNED: Mapping[str, Any] = {
    "jax_default_prng_impl": PRNG_IMPL,
    "jax_threefry_partitionable": True,
    "jax_random_seed_offset": 0,
    "jax_high_dynamic_range_gumbel": False,
    "jax_enable_x64": False,
    "jax_explicit_x64_dtypes": "warn",
    "jax_softmax_custom_jvp": False,
    "jax_disable_jit": False,
    "jax_use_direct_linearize": True,
    "jax_scan3": False,
    "jax_remat3": False,
    "jax_custom_vjp3": False,
    "eager_constant_folding": False,
}
_MATMUL_PRECISION = {"float32": "highest", "bfloat16": None}


def pin_numerics(compute_dtype: str) -> None:
    """Pins the settings for this process; to be called before anything is traced.

    Args:
      compute_dtype: `model.compute_dtype`.
    """
    for name, value in PINNED.items():
        jax.config.update(name, value)
    jax.config.update("jax_default_matmul_precision", _MATMUL_PRECISION[compute_dtype])


def deterministic_options(platform: str, *, deterministic: bool) -> dict[str, bool]:
    """Returns the compiler's options for `execution.deterministic`; none but on GPUs."""
    if deterministic and platform in ("gpu", "cuda", "rocm"):
        return {"xla_gpu_deterministic_ops": True}
    return {}
