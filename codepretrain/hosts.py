"""What the processes of a pod agree on. Every process must call these at the same points."""

import jax
import numpy as np
from jax.experimental import multihost_utils


def from_primary(value: bool) -> bool:
    """Returns what process 0 knows."""
    if jax.process_count() == 1:
        return value
    return bool(multihost_utils.broadcast_one_to_all(np.bool_(value)))


def max_over_processes(value: int) -> int:
    """Returns the largest `value` of all processes."""
    if jax.process_count() == 1:
        return value
    return int(np.max(multihost_utils.process_allgather(np.int32(value))))
