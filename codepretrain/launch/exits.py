"""How a worker ended, as its own supervisor sees it.

A worker reports its end through its pipe if it can. One that was killed, or whose runtime aborted
it, leaves only an exit code.

    0               done
    1               crash
    2               user_error
    3               lost_host, a cascade: another worker was lost
    9  SIGKILL      out_of_memory if the system counted an OOM kill, else crash
    6  SIGABRT      crash; a cascade if another worker had ended: JAX aborts then
    2, 15           SIGINT, SIGTERM: stopped, or preemption if the machine was told to leave
    others          crash

A shell reports signal n as 128 + n, `subprocess` as -n.
"""

import signal

from codepretrain.launch.records import End

LOST_CODE = 3


def worker_end(
    code: int,
    *,
    reported: End | None = None,
    has_oom_kill: bool = False,
    is_killed_by_order: bool = False,
    is_preempted: bool = False,
    has_peer_ended: bool = False,
    message: str = "",
    step: int | None = None,
) -> End:
    """Returns how a worker ended.

    Args:
      code: the exit code, or minus the signal.
      reported: what the worker wrote into its pipe, if it did.
      has_oom_kill: `oom_kill` of the worker's cgroup has increased.
      is_killed_by_order: its supervisor sent SIGKILL because of `killing`, or after the grace.
      message: the last line of its output.
      step: that it last reported.
    """
    if reported is not None and not is_killed_by_order:
        cause = reported.cause
        if cause == "stopped" and is_preempted:
            cause = "preemption"
        return End(
            code=code,
            cause=cause,
            is_cascade=reported.is_cascade,
            message=reported.message or message,
            step=step if reported.step is None else reported.step,
        )
    number = signal_number(code)
    if is_killed_by_order and number == signal.SIGKILL:
        return End(code=code, cause="stopped", is_cascade=True, message="killed", step=step)
    cause = _cause(code, number, has_oom_kill=has_oom_kill, is_preempted=is_preempted)
    is_cascade = code == LOST_CODE or (number == signal.SIGABRT and has_peer_ended)
    text = _explanation(code, number, has_oom_kill=has_oom_kill)
    if message:
        text = f"{text}; last output: {message}" if number else message
    return End(code=code, cause=cause, is_cascade=is_cascade, message=text, step=step)


def signal_number(code: int) -> int:
    """Returns the signal that ended a process, 0 if none did.

    >>> signal_number(-9), signal_number(137), signal_number(2)
    (9, 9, 0)
    """
    number = -code if code < 0 else code - 128
    return number if number in {int(known) for known in signal.Signals} else 0


def _cause(code: int, number: int, *, has_oom_kill: bool, is_preempted: bool) -> str:
    if number in (signal.SIGTERM, signal.SIGINT):
        return "preemption" if is_preempted else "stopped"
    if number == signal.SIGKILL and has_oom_kill:
        return "out_of_memory"
    return {0: "done", 2: "user_error", LOST_CODE: "lost_host"}.get(code, "crash")


def _explanation(code: int, number: int, *, has_oom_kill: bool) -> str:
    if number == signal.SIGKILL and has_oom_kill:
        return "killed by the system: out of memory"
    return f"killed by {signal.Signals(number).name}" if number else f"exit code {code}"
