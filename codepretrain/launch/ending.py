"""From the order to end a gang to the end of its attempt, with its cause and its costs."""

from codepretrain.launch import budget
from codepretrain.launch.causes import Gang, cause_of
from codepretrain.launch.draft import Draft
from codepretrain.launch.faults import preempted_hosts
from codepretrain.launch.observe import last_facts, last_step
from codepretrain.launch.states import Live

SETTLE_S = 5.0  # for the reports of the other workers after a first end
_MARGIN_S = 10.0  # supervisors send SIGKILL themselves after the grace period
_MEASURE_S = 60.0


def end_gangs(draft: Draft) -> None:
    """Kills what does not end in time, and records the attempts that have ended."""
    for live in list(draft.state.live.values()):
        if live.closing is not None:
            _escalate(draft, live)
        live = draft.state.live[live.attempt.id]
        hosts = live.attempt.hosts
        is_ending = live.closing is not None or all(draft.has_ended(live, h) for h in hosts)
        if is_ending and all(draft.is_clear(live, host) for host in hosts):
            _finish(draft, live)


def close_all(draft: Draft, reason: str, message: str) -> None:
    """Has every gang save and end."""
    for live in list(draft.state.live.values()):
        if live.closing is None:
            draft.close(live, how="end", reason=reason, message=message)


def measure(draft: Draft) -> None:
    """Records the chip-hours of running gangs from time to time."""
    for live in list(draft.state.live.values()):
        if draft.now_s - live.measured_s >= _MEASURE_S:
            _measure(draft, live)


def _escalate(draft: Draft, live: Live) -> None:
    closing = live.closing
    assert closing is not None
    limit_s = {"wait": SETTLE_S, "end": draft.job.launch.watchdog.grace_s + _MARGIN_S}
    if draft.since_s(closing.since_s) >= limit_s.get(closing.how, float("inf")):
        draft.close(
            live,
            how="kill",
            reason=closing.reason,
            cause=closing.cause,
            host=closing.host,
            message=closing.message,
        )


def _measure(draft: Draft, live: Live) -> None:
    seconds = round(budget.unmeasured_s(live, draft.now_s), 3)
    draft.add(
        "chip_hours",
        attempt=live.attempt.id,
        stage=live.attempt.stage,
        seconds=seconds,
        chip_seconds=round(seconds * budget.num_chips(draft.job, live), 3),
        step=last_step(draft, live),
    )


def _finish(draft: Draft, live: Live) -> None:
    _measure(draft, live)
    live = draft.state.live[live.attempt.id]
    cause = cause_of(_gang(draft, live))
    step = last_step(draft, live)
    saved = [draft.state.stage(live.attempt.stage).saved_step, live.resumed_step, 0]
    kept = max(number for number in saved if number is not None)
    draft.add(
        "end",
        attempt=live.attempt.id,
        stage=live.attempt.stage,
        cause=cause.cause,
        host=cause.host,
        message=cause.message,
        step=step,
        seconds=live.seconds,
        facts=last_facts(draft, live),
        lost_steps=0 if step is None or cause.cause == "done" else max(0, step - kept),
    )


def _gang(draft: Draft, live: Live) -> Gang:
    hosts = live.attempt.hosts
    records = {host: draft.record(live, host) for host in hosts}
    ends = {h: r.end for h, r in records.items() if r is not None and r.end is not None}
    missing = [host for host in hosts if host not in ends]
    lost = {host: draft.silent_s(host) for host in missing if draft.is_lost(host)}
    return Gang(
        hosts=hosts,
        ends=ends,
        closing=live.closing,
        lost=lost,
        gone=tuple(h for h in missing if draft.is_gone(live, h) and h not in lost),
        preempted=preempted_hosts(draft, live),
        absent=_absent(draft, live),
    )


def _absent(draft: Draft, live: Live) -> tuple[int, ...]:
    """Returns the hosts that had not started their worker although there was time."""
    closed_s = draft.now_s if live.closing is None else live.closing.since_s
    if closed_s - live.started_s < draft.job.launch.watchdog.heartbeat_s:
        return ()
    return tuple(
        host
        for host in live.attempt.hosts
        if draft.record(live, host) is None and not draft.is_gone(live, host)
    )
