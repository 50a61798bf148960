"""Starts JAX and XLA, and reports an invalid environment variable in one line."""

import functools
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from codepretrain.errors import UserError, described, one_line, quoted

_BACKEND_VARIABLES = ("JAX_PLATFORMS", "JAX_NUM_CPU_DEVICES", "XLA_FLAGS", "CUDA_VISIBLE_DEVICES")
_PARSE_XLA_FLAGS = "from jaxlib import xla_client; xla_client.make_cpu_client()"
_CHECK_TIMEOUT_S = 60.0
# Variable → flags in it that change results but not fingerprints, and cannot be overridden.
_CHANGES_ARITHMETIC: Mapping[str, tuple[str, ...]] = {
    "NVIDIA_TF32_OVERRIDE": ("0", "1"),
    "XLA_FLAGS": (
        "--xla_cpu_enable_fast_math",  # assumes that nothing is NaN, which skipped updates rely on
        "--xla_gpu_enable_fast_min_max",
        "--xla_gpu_enable_bf16_3way_gemm",
        "--xla_gpu_enable_bf16_6way_gemm",
    ),
}


def check_arithmetic_variables() -> None:
    """Refuses variables that change results and that JAX's own settings cannot override.

    Raises:
      UserError: names the variable and what to do.
    """
    for variable, words in _CHANGES_ARITHMETIC.items():
        for word in os.environ.get(variable, "").split():
            name, _, value = word.partition("=")
            if name in words and value.lower() not in ("false", "0"):
                raise UserError(
                    f"environment variable {variable} has {quoted(word)}, which changes the result "
                    "of a run but not its fingerprint; unset it"
                )


def import_jax() -> Any:
    """Returns the module `jax`, which reads JAX_* variables when it is first imported.

    Raises:
      UserError: it refuses one of them.
    """
    try:
        import jax
    except (ValueError, RuntimeError) as error:
        text = str(error).upper()
        for name in sorted(n for n in os.environ if n.startswith("JAX_")):
            if name in text:
                raise UserError(
                    f"environment variable {name}={quoted(os.environ[name])}: JAX refuses it: "
                    f"{error}; correct or unset it"
                ) from error
        raise
    return jax


def check_jax_variables() -> None:
    """Imports JAX now if a variable could keep it from being imported later."""
    if any(name.startswith("JAX_") for name in os.environ):
        import_jax()


def use_cpu() -> None:
    """Starts JAX on the CPU only, for commands that move files: accelerators stay untouched."""
    import_jax().config.update("jax_platforms", "cpu")
    start_backend()


def start_backend() -> None:
    """Starts JAX's backend, under the configuration so far.

    Raises:
      UserError: it cannot be started; names the variables that are set, with their values.
    """
    jax = import_jax()
    flags = os.environ.get("XLA_FLAGS", "")
    if flags.strip() and not jax._src.xla_bridge.backends_are_initialized():
        _check_xla_flags(flags)
    try:
        jax.devices()
    except (RuntimeError, AssertionError, ValueError) as error:
        values = [f"{n}={quoted(os.environ[n])}" for n in _BACKEND_VARIABLES if os.environ.get(n)]
        if not values and "Unable to initialize backend" not in str(error):
            raise
        check = f"; check the environment variables {', '.join(values)}" if values else ""
        raise UserError(f"JAX cannot start: {described(error)}{check}") from error


@functools.cache
def _check_xla_flags(flags: str) -> None:
    """Raises UserError for flags that XLA does not know: in this process it would abort."""
    result = subprocess.run(
        [sys.executable, "-c", _PARSE_XLA_FLAGS],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_CHECK_TIMEOUT_S,
        check=False,
    )
    if result.returncode == 0 or "Traceback" in result.stderr:
        return
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    reasons = [line.split("] ", 1)[-1] for line in lines if "XLA_FLAGS" in line or "flag" in line]
    reason = one_line((reasons or lines or ["no reason given"])[0])[:300]
    raise UserError(
        f"environment variable XLA_FLAGS={quoted(flags)}: XLA refuses it: {reason}; correct or "
        "unset it"
    )
