"""Joins the other processes of a run, within a bounded time."""

import argparse
import ctypes
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from codepretrain import interrupt
from codepretrain.errors import AbsentPeersError, PeerStopped, UserError
from codepretrain.peer_watch import PeerWatch, jax_timeout_s
from codepretrain.peers import LOST_CODE, Peers

JOIN_TIMEOUT_S = 300
HEARTBEAT_TIMEOUT_S = 30
_LATER_S = 3600  # JAX's own limit, after which it aborts the process without a message of ours
_PROBE_S = 5.0
_TIMEOUT_KEY = "codepretrain-heartbeat-timeout-s"


class Joined(NamedTuple):
    """The messages to the other processes and the watch over them, None for a single process."""

    peers: Peers | None
    watch: PeerWatch | None


def join(flags: argparse.Namespace, *, end: Callable[[BaseException], None]) -> Joined:
    """Connects to the other processes.

    Args:
      end: ends this process for an error, from any thread.

    Raises:
      UserError: JAX cannot find or reach the others. `end` gets it if they do not come in time.
    """
    import jax
    from jax._src import distributed  # JAX has no public API for its coordination service

    jax.config.update("jax_enable_preemption_service", False)  # it would take over SIGTERM
    state = distributed.global_state
    where = f"--coordinator {flags.coordinator}" if flags.coordinator else "--distributed"
    try:
        with _limited(flags.join_timeout_s, lambda: end(_absent(where, flags, state))):
            jax.distributed.initialize(
                flags.coordinator,
                flags.num_processes,
                flags.process_id,
                initialization_timeout=flags.join_timeout_s + _LATER_S,
                heartbeat_timeout_seconds=jax_timeout_s(flags.heartbeat_timeout_s),
            )
    except (ValueError, RuntimeError) as error:
        # JAX refuses values by a ValueError; the rest is about the others or the network.
        kind = UserError if isinstance(error, ValueError) else AbsentPeersError
        raise kind(
            f"{where}: cannot join the other processes: {error}; check --coordinator, "
            "--num-processes and --process-id of every process"
        ) from error
    interrupt.install()
    if state.num_processes == 1:
        return Joined(None, None)
    return _connect(state, flags.heartbeat_timeout_s, end)


def _connect(state: Any, timeout_s: float, end: Callable[[BaseException], None]) -> Joined:
    """Starts the messages to the other processes, and the watch over them."""

    def on_exit(code: int, message: str) -> None:
        if code == LOST_CODE:  # there is no time to clean up: JAX aborts
            end(PeerStopped(code, message))
        else:
            interrupt.on_peer_exit(code, message)

    peers = Peers(
        state.client,
        process_index=state.process_id,
        process_count=state.num_processes,
        on_stop=interrupt.on_peer_signal,
        on_exit=on_exit,
    )
    interrupt.connect(peers)
    _delay_abort()
    watch = PeerWatch(
        state.client,
        address=state.coordinator_address,
        process_index=state.process_id,
        process_count=state.num_processes,
        timeout_s=timeout_s,
        on_lost=peers.report_lost,
    )
    return Joined(peers, watch)


def check_same_timeout(flags: argparse.Namespace) -> None:
    """Checks that process 0 was started with the same --heartbeat-timeout-s.

    A longer one makes JAX send heartbeats less often than process 0 expects them, so JAX would
    abort all processes although each is alive.

    Raises:
      UserError: process 0 has another one.
    """
    from jax._src import distributed

    state: Any = distributed.global_state
    key, ours = _TIMEOUT_KEY, str(flags.heartbeat_timeout_s)
    if state.process_id == 0:
        state.client.key_value_set(key, ours)
        return
    theirs = state.client.blocking_key_value_get(key, 1000 * flags.join_timeout_s)
    if theirs != ours:
        raise UserError(
            f"--heartbeat-timeout-s: expected {theirs}, as in process 0, found {ours}; give every "
            "process the same value"
        )


def _delay_abort() -> None:
    """Makes `abort()` wait six seconds, in which another thread tells the cause and exits.

    JAX aborts the process as soon as process 0 is gone. A handler in Python would need the global
    interpreter lock; libc's `sleep` needs nothing, and SIGABRT, its argument, is the number 6.
    """
    if sys.platform == "linux" and signal.getsignal(signal.SIGABRT) == signal.SIG_DFL:
        libc = ctypes.CDLL(None)
        libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
        libc.signal(int(signal.SIGABRT), ctypes.cast(libc.sleep, ctypes.c_void_p))


@contextmanager
def _limited(timeout_s: float, give_up: Callable[[], None]) -> Iterator[None]:
    """Calls `give_up` in another thread if the block takes longer: JAX waits in C++."""
    timer = threading.Timer(timeout_s, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _absent(where: str, flags: argparse.Namespace, state: object) -> UserError:
    """Returns the error that says which processes have not come."""
    waited = f"waited {flags.join_timeout_s} s (--join-timeout-s)"
    address = getattr(state, "coordinator_address", None) or flags.coordinator
    if address is None:
        return AbsentPeersError(f"{where}: {waited} to discover the other processes of the pod")
    if problem := _unreachable(address):
        return AbsentPeersError(
            f"{where}: {waited} for process 0 at {address}: {problem}; check that process 0 runs, "
            "and that its address can be reached from this host"
        )
    return AbsentPeersError(
        f"{where}: {waited}, and not all {getattr(state, 'num_processes', '?')} processes have "
        f"joined process 0 at {address}; check that each runs, with a --process-id of its own and "
        "the same --num-processes"
    )


def _unreachable(address: str) -> str | None:
    """Returns why nothing answers at `host:port`, None if something does."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_PROBE_S):
            return None
    except OSError as error:
        return error.strerror or str(error)
