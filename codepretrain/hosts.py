"""Agreement between the processes of one training job.

    decide    process 0 computes a value; all processes return it
    gather    every process computes a value; all processes return all of them
    share     process 0 has a large value; all processes return it (through the devices)

Each process has its own view of the file system: a listing may be stale, and a disk may be full on
one host only. So no process acts on its own view alone. If the computation fails in any process,
all raise the same error, and none waits for a process that has exited.

Every process must make the same calls in the same order, and none within the computation of
another. The values travel through the coordination service of `jax.distributed`, not through the
devices, so a background thread may use a `Channel` of its own while the main thread trains.
"""

import functools
import itertools
import json
import pickle
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax._src import distributed  # JAX has no public API for the key-value store
from jax.experimental import multihost_utils

from codepretrain.errors import Interrupted, PeerError, UserError, user_error

WAIT_S = 3600.0  # longer than any single step between two agreements, preparation of data aside
_SHARED_WORDS = 1 << 22  # 16 MiB at a time
_GRACE_S = 30.0  # process 0 names a silent process before the others stop waiting for process 0


class Channel:
    """A sequence of agreements, independent of those of other channels.

    Channels without a name are numbered: every process must create them in the same order.
    """

    _numbers = itertools.count()

    def __init__(self, name: str | None = None) -> None:
        self._name = f"codepretrain/{next(Channel._numbers) if name is None else name}"
        self._num_rounds = 0
        self._is_computing = False

    @property
    def num_rounds(self) -> int:
        """The number of agreements so far on several processes; 0 on one."""
        return self._num_rounds

    def decide(self, what: str, compute: Callable[[], Any], *, wait_s: float = WAIT_S) -> Any:
        """Returns the JSON value that process 0 computes.

        Args:
          what: names the value in errors, such as `the list of checkpoints`.

        Raises:
          UserError: process 0 raised it.
          PeerError: process 0 raised another exception.
          TimeoutError: process 0 did not answer within `wait_s` seconds.
        """
        compute = functools.partial(self._alone, what, compute)
        if jax.process_count() == 1:
            return compute()
        key = self._next_key()
        if jax.process_index() == 0:
            report, error = _report(what, compute)
            _client().key_value_set(key, json.dumps(report))
        else:
            report, error = json.loads(_get(key, what, 0, time.monotonic() + wait_s)), None
            _check_in_step(report, what)
        return _value(report, error)

    def gather(self, what: str, compute: Callable[[], Any], *, wait_s: float = WAIT_S) -> list[Any]:
        """Returns the JSON value of every process, in order of the process index.

        `compute` must not wait for other processes: where it fails, they would never come.

        Raises:
          UserError: a process raised it.
          PeerError: another process raised another exception.
          TimeoutError: a process did not answer within `wait_s` seconds.
        """
        compute = functools.partial(self._alone, what, compute)
        if jax.process_count() == 1:
            return [compute()]
        key = self._next_key()
        deadline = time.monotonic() + wait_s
        report, error = _report(what, compute)
        if jax.process_index() > 0:
            _client().key_value_set(f"{key}/{jax.process_index()}", json.dumps(report))
            answer = json.loads(_get(key, what, 0, deadline + _GRACE_S))
            _check_in_step(answer, what)
            return _value(answer, error)

        verdict, failure = _report(what, lambda: self._collect(key, what, report, deadline))
        verdict = verdict.get("value", verdict)  # a report itself, unless a process was silent
        _client().key_value_set(key, json.dumps(verdict))
        return _value(verdict, error or failure)

    def _next_key(self) -> str:
        key = f"{self._name}/{self._num_rounds}"
        self._num_rounds += 1
        return key

    def _alone(self, what: str, compute: Callable[[], Any]) -> Any:
        """Returns the computed value; the computation may not begin another agreement.

        A process that failed before an inner agreement would not take part in it, and the others
        would wait there.
        """
        assert not self._is_computing, f"{what} is agreed on within another agreement"
        self._is_computing = True
        try:
            return compute()
        finally:
            self._is_computing = False

    def _collect(self, key: str, what: str, own: dict[str, Any], deadline: float) -> dict[str, Any]:
        """Returns the report that all processes get: every value, or the most telling error."""
        reports = [own]
        for process in range(1, jax.process_count()):
            reports.append(json.loads(_get(f"{key}/{process}", what, process, deadline)))
            _client().key_value_delete(f"{key}/{process}")
            _check_in_step(reports[-1], what)
        worst = min(reports, key=_severity)
        if "error" in worst:
            return worst
        return {"process": 0, "what": what, "value": [r["value"] for r in reports]}


_MAIN = Channel()


def decide(what: str, compute: Callable[[], Any], *, wait_s: float = WAIT_S) -> Any:
    """`Channel.decide` on the channel of the main thread."""
    return _MAIN.decide(what, compute, wait_s=wait_s)


def gather(what: str, compute: Callable[[], Any], *, wait_s: float = WAIT_S) -> list[Any]:
    """`Channel.gather` on the channel of the main thread."""
    return _MAIN.gather(what, compute, wait_s=wait_s)


def num_rounds() -> int:
    """`Channel.num_rounds` of the channel of the main thread."""
    return _MAIN.num_rounds


def from_primary(value: bool) -> bool:
    """Returns the value of process 0, through the devices: cheap, and orders with their work."""
    if jax.process_count() == 1:
        return value
    return bool(multihost_utils.broadcast_one_to_all(np.bool_(value)))


def values_of_processes(values: Sequence[int]) -> list[list[int]]:
    """Returns the numbers that each process passes, through the devices: one operation for all."""
    if jax.process_count() == 1:
        return [list(values)]
    found = multihost_utils.process_allgather(np.array(values, np.int32))
    return np.asarray(found).tolist()


def share(value: Any) -> Any:
    """Returns the value that process 0 passes, on every process; what the others pass is ignored.

    It travels through the devices, so it may be large. Nothing may fail on one process only between
    two agreements: so process 0 computes the value within `decide`, and shares it after.
    """
    if jax.process_count() == 1:
        return value
    is_primary = jax.process_index() == 0
    content = pickle.dumps(value) if is_primary else b""
    (size,) = multihost_utils.broadcast_one_to_all(np.array([len(content)], np.int32)).tolist()
    words = np.zeros(-(-size // 4), np.int32)
    if is_primary:
        words.view(np.uint8)[:size] = np.frombuffer(content, np.uint8)
    parts = [
        multihost_utils.broadcast_one_to_all(words[start : start + _SHARED_WORDS])
        for start in range(0, len(words), _SHARED_WORDS)
    ]
    return pickle.loads(np.concatenate(parts).view(np.uint8)[:size].tobytes())


def _client() -> Any:
    return distributed.global_state.client


def _get(key: str, what: str, process: int, deadline: float) -> str:
    """Waits for the value that `process` sets."""
    seconds = max(deadline - time.monotonic(), 0.001)
    try:
        return _client().blocking_key_value_get(key, int(seconds * 1000))
    except jax.errors.JaxRuntimeError as error:
        if "DEADLINE_EXCEEDED" not in str(error):
            raise
        raise TimeoutError(f"process {process} did not report {what} in time") from error


def _check_in_step(report: dict[str, Any], what: str) -> None:
    """Raises PeerError if another process is at another point of the program."""
    if report["what"] != what:
        raise PeerError(
            f"the processes of this job are out of step: process {report['process']} is at "
            f"{report['what']!r}, process {jax.process_index()} at {what!r}"
        )


def _report(what: str, compute: Callable[[], Any]) -> tuple[dict[str, Any], BaseException | None]:
    """Returns the computed value or the error, as reported to the others, and the error itself."""
    report: dict[str, Any] = {"process": jax.process_index(), "what": what}
    try:
        return report | {"value": compute()}, None
    except (Interrupted, KeyboardInterrupt) as stop:
        number = stop.signal_number if isinstance(stop, Interrupted) else signal.SIGINT
        return report | {"error": "interrupted", "text": str(stop), "signal": int(number)}, stop
    except SystemExit as end:
        return report | {"error": "exit", "text": str(end), "code": end.code}, end
    except UserError as error:
        return report | {"error": "user", "text": str(error), "cause": error.cause}, error
    except BaseException as error:
        text = f"process {report['process']}: {type(error).__name__}: {error}"
        return report | {"error": "other", "text": text[:2000]}, error


def _severity(report: dict[str, Any]) -> int:
    """Orders reports: the most helpful to a user comes first."""
    return ["user", "interrupted", "exit", "other", None].index(report.get("error"))


def _value(report: dict[str, Any], error: BaseException | None) -> Any:
    """Returns the value, or raises the error that all processes raise."""
    if "error" not in report:
        return report["value"]
    if error is not None and (
        report["process"] == jax.process_index() or str(error) == report["text"]
    ):
        raise error
    raise _exception(report) from error


def _exception(report: dict[str, Any]) -> BaseException:
    if report["error"] == "exit":
        return SystemExit(report["code"])
    if report["error"] == "user":
        return user_error(report["text"], cause=report["cause"])
    if report["error"] == "interrupted":
        return Interrupted(report["signal"], report["text"])
    return PeerError(report["text"])
