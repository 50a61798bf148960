"""No environment variable and no flag of JAX changes what a fingerprint stands for."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src import config as jax_config

from codepretrain.hardware.xla_options import xla_options
from codepretrain.train.numerics import (
    PINNED,
    deterministic_options,
    pin_numerics,
)
from codepretrain.train.program import Program
from tests.configs import small_study

# Settings that are part of what JAX traces or of a program's cache key and that are not pinned.
NOT_PINNED = {
    # They raise errors or check more, and give the same values where they do not raise.
    "jax_allow_f16_reductions",
    "jax_check_static_indices",
    "jax_debug_infs",
    "jax_debug_key_reuse",
    "jax_debug_nans",
    "jax_enable_checks",
    "jax_error_checking_behavior_divide",
    "jax_error_checking_behavior_nan",
    "jax_error_checking_behavior_oob",
    "jax_mutable_array_checks",
    "jax_no_execution",
    "jax_no_tracing",
    "jax_numpy_dtype_promotion",
    "jax_numpy_rank_promotion",
    "jax_pallas_enable_debug_checks",
    "check_vma",
    # How and for which devices the same program is compiled and written down.
    "jax_auto_pcast",
    "jax_default_device",
    "jax_embedded_constants_max_bytes",
    "jax_enable_pgle",
    "jax_hlo_source_file_canonicalization_regex",
    "jax_memory_fitting_level",
    "jax_optimization_level",
    "jax_pallas_use_mosaic_gpu",
    "jax_pgle_profiling_runs",
    "jax_remove_size_one_mesh_axis_from_type",
    "jax_use_shardy_partitioner",
    "jax_use_simplified_jaxpr_constants",
    "jax_xla_profile_version",
    # The same integers by another kernel; a primitive that is not used.
    "jax_threefry_gpu_kernel_lowering",
    "jax_ragged_dot_use_gpu_pallas_triton_lowering",
}
HOSTILE = {
    "jax_default_prng_impl": "rbg",
    "jax_threefry_partitionable": False,
    "jax_random_seed_offset": 7,
    "jax_enable_x64": True,
    "jax_disable_jit": True,
    "jax_default_matmul_precision": "bfloat16",
    "jax_explicit_x64_dtypes": "allow",
    "jax_softmax_custom_jvp": True,
    "jax_high_dynamic_range_gumbel": True,
    "jax_use_direct_linearize": False,
}
SCRIPT = """
from tests.train.test_numerics import initial_digest
print(initial_digest())
"""
ROOT = Path(__file__).parent.parent.parent


def initial_digest() -> str:
    """The bits, names and dtypes of a study's initial state."""
    state = Program(small_study(training={"batch_size": 8})).initial_state(seed=0)
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        digest.update(f"{jax.tree_util.keystr(path)} {leaf.dtype}".encode())
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()


@pytest.fixture
def settings() -> Iterator[None]:
    """Puts the settings back that a test or the code under test changes."""
    names = {*PINNED, *HOSTILE}
    before = {name: jax_config.config.values[name] for name in names}
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.fixture(scope="module")
def expected() -> str:
    return initial_digest()


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_initial_parameters_do_not_follow_a_setting(
    name: str, expected: str, settings: None
) -> None:
    jax.config.update(name, HOSTILE[name])
    assert initial_digest() == expected


def test_initial_parameters_do_not_follow_the_environment(expected: str) -> None:
    """All of it at once, in a process of its own."""
    hostile = {name.upper(): str(value) for name, value in HOSTILE.items()}
    environment = {**os.environ, **hostile, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, cwd=ROOT, env=environment
    )
    assert result.stdout.split()[-1:] == [expected], result.stderr


def test_every_setting_that_jax_traces_is_decided() -> None:
    """A new release of JAX with a new setting fails here: pin it, or say why not."""
    source = Path(jax_config.__file__).read_text()
    blocks = source.split("    name='")[1:]
    traced = {
        block.split("'")[0]
        for block in blocks
        if "include_in_jit_key=True" in block or "include_in_trace_context=True" in block
    }
    traced &= set(jax_config.config.values)  # not the names in docstrings
    assert "jax_enable_x64" in traced
    pinned = {*PINNED, "jax_default_matmul_precision"}
    assert not traced - pinned - NOT_PINNED
    assert not pinned & NOT_PINNED
    assert (pinned | NOT_PINNED) <= set(jax_config.config.values)


def test_float32_means_float32(settings: None) -> None:
    def precision_of(compute_dtype: str) -> object:
        pin_numerics(compute_dtype)
        x = jnp.ones((2, 2), jnp.float32)
        jaxpr = jax.make_jaxpr(lambda a, b: a @ b)(x, x)
        [product] = [e for e in jaxpr.eqns if e.primitive.name == "dot_general"]
        return product.params["precision"]

    highest = jax.lax.Precision.HIGHEST
    assert precision_of("float32") == (highest, highest)
    assert precision_of("bfloat16") is None


def test_deterministic_programs_are_asked_for_on_gpus_only() -> None:
    assert deterministic_options("cuda", deterministic=True) == {"xla_gpu_deterministic_ops": True}
    assert deterministic_options("cuda", deterministic=False) == {}
    assert deterministic_options("cpu", deterministic=True) == {}
    assert deterministic_options("tpu", deterministic=True) == {}


def test_the_compiler_knows_the_options() -> None:
    """Names and types; the CPU compiler parses those for GPUs too."""
    lowered = jax.jit(lambda x: x + 1).lower(1.0)
    lowered.compile({**deterministic_options("gpu", deterministic=True)})
    lowered.compile(xla_options("NVIDIA H100 80GB HBM3"))
