"""What ends a gang: the first end of a worker, a lost host, a preemption, a hang."""

from codepretrain.launch.draft import Draft
from codepretrain.launch.observe import reports_of
from codepretrain.launch.records import WorkerReport
from codepretrain.launch.states import Live
from codepretrain.launch.watchdog import Hang, find_hang

_STOPS = ("stopped", "preemption")


def find_faults(draft: Draft) -> None:
    """Ends every gang in which something went wrong, and says what."""
    for live in list(draft.state.live.values()):
        _name_lost(draft, live)
        live = draft.state.live[live.attempt.id]
        if live.closing is None:
            _ = (
                _preempted(draft, live)
                or _lost(draft, live)
                or _ended(draft, live)
                or _gone(draft, live)
                or _hanging(draft, live)
            )


def preempted_hosts(draft: Draft, live: Live) -> tuple[int, ...]:
    """Returns the hosts of a gang whose machines were told to leave."""
    records = {host: draft.record(live, host) for host in live.attempt.hosts}
    return tuple(host for host, r in records.items() if r is not None and r.is_preempted)


def _preempted(draft: Draft, live: Live) -> bool:
    hosts = preempted_hosts(draft, live)
    if hosts:
        message = f"host {hosts[0]}: its machine was told to leave"
        draft.close(live, how="end", reason="preemption", host=hosts[0], message=message)
    return bool(hosts)


def _name_lost(draft: Draft, live: Live) -> None:
    """Names each lost host of a gang once, also of one that is ending for another reason."""
    for host in _lost_hosts(draft, live):
        if host not in live.lost:
            silent_s = round(draft.silent_s(host), 1)
            draft.add("lost_host", host=host, attempt=live.attempt.id, silent_s=silent_s)


def _lost_hosts(draft: Draft, live: Live) -> list[int]:
    # One that has ended its worker well may leave: the stage needs it no more.
    return [h for h in live.attempt.hosts if draft.is_lost(h) and not draft.has_ended(live, h)]


def _lost(draft: Draft, live: Live) -> bool:
    hosts = _lost_hosts(draft, live)
    if hosts:
        message = f"host {hosts[0]}: no sign of life for {draft.silent_s(hosts[0]):.0f} s"
        _close_for(draft, live, "lost_host", hosts[0], message)
    return bool(hosts)


def _ended(draft: Draft, live: Live) -> bool:
    """Ends a gang of which a worker has ended, other than well.

    The others end by themselves, told by that one. They are given time to report, because the
    first end that is seen is often a consequence of another one.
    """
    records = [draft.record(live, host) for host in live.attempt.hosts]
    ends = [r.end for r in records if r is not None and r.end is not None and not r.is_running]
    bad = [end for end in ends if end.cause != "done"]
    if bad:
        is_stop = all(end.cause in _STOPS for end in bad)
        draft.close(live, how="end" if is_stop else "wait", reason="failure")
    return bool(bad)


def _gone(draft: Draft, live: Live) -> bool:
    hosts = [host for host in live.attempt.hosts if draft.is_gone(live, host)]
    if hosts:
        message = f"host {hosts[0]}: its supervisor was started again, and its worker is gone"
        _close_for(draft, live, "lost_host", hosts[0], message)
    return bool(hosts)


def _hanging(draft: Draft, live: Live) -> bool:
    hang = _hang(draft, live)
    if hang is not None:
        found = {"host": hang.host, "activity": hang.activity, "idle_s": round(hang.idle_s, 1)}
        draft.add("hang", attempt=live.attempt.id, **found, deadline_s=round(hang.deadline_s, 1))
        _close_for(draft, live, "hang", hang.host, hang.message)
    return hang is not None


def _close_for(draft: Draft, live: Live, cause: str, host: int, message: str) -> None:
    draft.close(live, how="kill", reason="failure", cause=cause, host=host, message=message)


def _hang(draft: Draft, live: Live) -> Hang | None:
    reports = reports_of(draft, live)
    is_single = draft.job.by_name[live.attempt.stage].is_single
    judged = {}
    for host in live.attempt.hosts:
        seen = draft.seen(host)
        if draft.has_ended(live, host):
            continue
        if seen is None or not seen.has_beaten or (is_single and host not in reports):
            return None  # the silence of a host is judged as such; some commands report nothing
        since_s = draft.since_s(live.started_s)
        judged[host] = reports.get(host) or WorkerReport(activity="init", idle_s=since_s)
    return find_hang(
        judged,
        config=draft.job.launch.watchdog,
        median_step_s=draft.view.median_step_s.get(live.attempt.id),
    )
