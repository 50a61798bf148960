"""Flips one bit of a gradient, in the memory of one process, in one of two executions of a step."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def flip_a_bit(process: int, marker: Path) -> None:
    """Flips it in the first execution of the first step that this worker replays."""
    from codepretrain.train import step
    from codepretrain.train.program import Program

    armed: list[bool] = []
    original, copy_state = step._sums_and_gradients, Program.copy_state

    def copied(program: Program, state: Any) -> Any:
        jax.block_until_ready(state)  # no earlier step is still being executed
        if not marker.exists() and jax.process_index() == process:
            armed.append(True)
        return copy_state(program, state)

    def mask() -> np.uint32:
        if armed:
            armed.clear()
            marker.touch()
            return np.uint32(1 << 20)
        return np.uint32(0)

    def flipped(config: Any, mesh: Any, params: Any, batch: Any) -> Any:
        sums, gradients = original(config, mesh, params, batch)
        spec = step.state_shardings(config, mesh).params["embedding"].spec

        def flip(part: jax.Array) -> jax.Array:
            bits = jax.pure_callback(mask, jax.ShapeDtypeStruct((), jnp.uint32))
            flat = jax.lax.bitcast_convert_type(part, jnp.uint32)
            flat = flat.at[0, 0].set(flat[0, 0] ^ bits)
            return jax.lax.bitcast_convert_type(flat, jnp.float32)

        flip = jax.shard_map(flip, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)
        return sums, {**gradients, "embedding": flip(gradients["embedding"])}

    Program.copy_state = copied  # type: ignore[assignment, method-assign]
    step._sums_and_gradients = flipped
