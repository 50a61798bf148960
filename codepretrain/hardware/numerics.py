"""Settings of JAX that change results, pinned, so that a fingerprint is enough to repeat a phase.

JAX reads about a hundred settings from the environment (`JAX_ENABLE_X64=1`). Those that alter
random numbers, dtypes or the program that is computed are pinned here for the whole process. Those
that only raise errors, log, or say how the same program is compiled are not; the last may change
rounding, as another kind of chip does. `tests/hardware/test_numerics.py` lists the decision for
each setting that JAX traces, and fails for a setting that a new release of JAX adds.

**Matrix products.** `model.compute_dtype="float32"` means float32: products are computed in full
precision, not from bfloat16 parts (TPUs' default) or TF32 (GPUs'). With "bfloat16" the few products
of float32 arrays keep the platform's default. Neither changes bits on a CPU.

**Deterministic GPU programs.** `execution.deterministic` compiles the training step with
`--xla_gpu_deterministic_ops`: XLA then neither sums with atomics nor picks kernels by timing them,
which gives the same bits in every process at some cost in speed. TPU and CPU programs are
deterministic without it.
"""

from collections.abc import Mapping
from typing import Any

from codepretrain.errors import UserError

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

# Environment variable → words in it that change arithmetic itself, beyond JAX's own settings.
_REFUSED: Mapping[str, tuple[str, ...]] = {
    "NVIDIA_TF32_OVERRIDE": ("0", "1"),
    "XLA_FLAGS": (
        "--xla_cpu_enable_fast_math",  # assumes that nothing is NaN: skipped updates rely on it
        "--xla_gpu_enable_fast_min_max",
        "--xla_gpu_enable_bf16_3way_gemm",
        "--xla_gpu_enable_bf16_6way_gemm",
    ),
}
_FALSE = ("=false", "=0")


def pin_numerics(compute_dtype: str) -> None:
    """Pins the settings for this process; to be called before anything is traced.

    Args:
      compute_dtype: `model.compute_dtype`.
    """
    import jax

    for name, value in PINNED.items():
        jax.config.update(name, value)
    jax.config.update("jax_default_matmul_precision", _MATMUL_PRECISION[compute_dtype])


def check_environment(environment: Mapping[str, str]) -> None:
    """Refuses variables that change arithmetic in a way that cannot be pinned.

    Raises:
      UserError: names the variable and what to do.
    """
    for variable, words in _REFUSED.items():
        for word in environment.get(variable, "").split():
            name = word.split("=")[0]
            if name in words and not word.endswith(_FALSE):
                raise UserError(
                    f"environment variable {variable} has {word}, which changes the results of a "
                    "run behind its fingerprint; unset it"
                )


def deterministic_options(platform: str, *, deterministic: bool) -> dict[str, bool]:
    """Returns the compiler's options for `execution.deterministic`; none but on GPUs."""
    if deterministic and platform in ("gpu", "cuda", "rocm"):
        return {"xla_gpu_deterministic_ops": True}
    return {}
