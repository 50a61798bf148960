"""Keeps the processes of an evaluation together: they get the same result, or all fail.

If a step that only some processes survive came before a collective operation, the others would wait
in it forever. Every process must call these at the same points. JAX is imported at use: evaluators
import this module, and their declarations load without JAX.
"""

import pickle
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from codepretrain.errors import UserError

T = TypeVar("T")


def on_primary(compute: Callable[[], T], *, what: str) -> T:
    """Calls `compute` on process 0 only, and returns its result on every process.

    Args:
      compute: returns a value that can be pickled.
      what: what it does ("run the programs"), for messages.

    Raises:
      UserError: on the other processes, whatever the exception was on process 0.
    """
    import jax

    if jax.process_count() == 1:
        return compute()
    error: Exception | None = None
    outcome: tuple[T | None, str] = (None, "")
    if jax.process_index() == 0:
        try:
            outcome = (compute(), "")
        except Exception as raised:
            error, outcome = raised, (None, _first_line(raised))
    result, problem = pickle.loads(_broadcast(pickle.dumps(outcome)))
    if error is not None:
        raise error
    if problem:
        raise UserError(f"process 0 could not {what}: {problem}")
    return result


def together(compute: Callable[[], T], *, what: str) -> T:
    """Calls `compute` on every process and returns each one's own result.

    Raises:
      UserError: on the processes where `compute` succeeded, if it failed on others.
    """
    import jax
    from jax.experimental import multihost_utils

    if jax.process_count() == 1:
        return compute()
    result, error = None, None
    try:
        result = compute()
    except Exception as raised:
        error = raised
    failed = np.flatnonzero(multihost_utils.process_allgather(np.bool_(error is not None)))
    if error is not None:
        raise error
    if len(failed):
        numbers = ", ".join(map(str, failed))
        raise UserError(f"process {numbers} could not {what}; its own message says why")
    return result  # type: ignore[return-value]


def _broadcast(content: bytes) -> bytes:
    """Returns the content of process 0."""
    import jax
    from jax.experimental import multihost_utils

    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(content))))
    padded = np.zeros(size, np.uint8)
    if jax.process_index() == 0:
        padded[:] = np.frombuffer(content, np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(padded)).tobytes()


def _first_line(error: Exception) -> str:
    return (str(error) or repr(error)).splitlines()[0]
