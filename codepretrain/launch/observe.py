"""What the workers report: that they run, from which step they resumed, what they have saved."""

from typing import Any

from codepretrain.launch.draft import Draft
from codepretrain.launch.records import WorkerReport
from codepretrain.launch.states import Live

_JOINING = ("init", "start")


def observe(draft: Draft) -> None:
    """Adds events for what the records of all gangs say."""
    for live in list(draft.state.live.values()):
        reports = reports_of(draft, live)
        _note_running(draft, live, reports)
        _note_resume(draft, live, reports)
        _note_first_step(draft, draft.state.live[live.attempt.id], reports)
        _note_save(draft, live, reports)
        _note_evaluated(draft, live, reports)


def reports_of(draft: Draft, live: Live) -> dict[int, WorkerReport]:
    """Returns the newest report of each host, of those whose worker has reported."""
    records = {host: draft.record(live, host) for host in live.attempt.hosts}
    return {h: r.report for h, r in records.items() if r is not None and r.report is not None}


def last_step(draft: Draft, live: Live) -> int | None:
    """Returns the last step that any worker of a gang is known to have made.

    The record of a host that was started again says nothing of it; events do.
    """
    reports = _of_phase(draft, live, reports_of(draft, live))
    steps = [live.step, *(report.step for report in reports)]
    for host in live.attempt.hosts:
        record = draft.record(live, host)
        if record is not None and record.end is not None:
            steps.append(record.end.step)
    return max((step for step in steps if step is not None), default=None)


def _note_running(draft: Draft, live: Live, reports: dict[int, WorkerReport]) -> None:
    if live.is_running or live.closing is not None:
        return
    is_single = draft.job.by_name[live.attempt.stage].is_single
    for host in live.attempt.hosts:
        record = draft.record(live, host)
        if record is None or (record.end is not None and record.end.cause != "done"):
            return
        if record.end is None and not (is_single and record.is_running):
            report = reports.get(host)
            if report is None or report.activity in _JOINING:
                return
    draft.add("running", attempt=live.attempt.id, after_s=round(draft.now_s - live.started_s, 1))


def _note_resume(draft: Draft, live: Live, reports: dict[int, WorkerReport]) -> None:
    found = [r.resumed_step for r in _of_phase(draft, live, reports)]
    steps = [step for step in found if step is not None]
    if not steps or live.resumed_step is not None:
        return
    step, expected = min(steps), live.attempt.expected_step
    draft.add("resumed", attempt=live.attempt.id, step=step, expected=expected)
    if expected is None or step >= expected:
        return
    message = (
        f"resumed from step {step:,}, expected step {expected:,}: a checkpoint is lost or damaged"
    )
    live = draft.state.live[live.attempt.id]
    draft.close(live, how="kill", reason="failure", cause="damage", message=message)


def _note_first_step(draft: Draft, live: Live, reports: dict[int, WorkerReport]) -> None:
    if live.has_stepped or live.closing is not None or live.resumed_step is None:
        return
    steps = [r.step for r in _of_phase(draft, live, reports) if r.step is not None]
    if max(steps, default=live.resumed_step) > live.resumed_step:
        draft.add("first_step", attempt=live.attempt.id, step=max(steps))


def last_facts(draft: Draft, live: Live) -> dict[str, Any]:
    """Returns the facts that the worker that has got furthest has reported."""
    known = [r for r in _of_phase(draft, live, reports_of(draft, live)) if r.facts]
    return dict(max(known, key=lambda report: report.step or 0).facts) if known else {}


def _note_save(draft: Draft, live: Live, reports: dict[int, WorkerReport]) -> None:
    stage = live.attempt.stage
    of_phase = _of_phase(draft, live, reports)
    saved = max((r.saved_step for r in of_phase if r.saved_step is not None), default=None)
    took = max((r.save_s for r in of_phase if r.save_s is not None), default=None)
    before = draft.state.stage(stage).saved_step
    if saved is not None and (before is None or saved > before):
        draft.add("saved", attempt=live.attempt.id, stage=stage, step=saved, save_s=took)
    grace_s = draft.job.launch.watchdog.grace_s
    if took is not None and took > grace_s and not live.has_save_warning:
        message = (
            f"{stage}: a save takes {took:.1f} s, and the machine grants {grace_s:g} s after "
            "SIGTERM (watchdog.grace_s): a preemption loses the steps since the last checkpoint"
        )
        draft.add("warning", kind="save", attempt=live.attempt.id, save_s=took, message=message)


def _note_evaluated(draft: Draft, live: Live, reports: dict[int, WorkerReport]) -> None:
    """Notes that evaluations go on, which have no checkpoints: failures before are forgiven."""
    is_evaluation = draft.job.by_name[live.attempt.stage].is_evaluation
    if not is_evaluation or live.has_evaluated:
        return
    number = max((r.facts.get("evaluated", 0) for r in reports.values()), default=0)
    if number:
        draft.add("evaluated", attempt=live.attempt.id, number=number)


def _of_phase(draft: Draft, live: Live, reports: dict[int, WorkerReport]) -> list[WorkerReport]:
    """Returns the reports on the stage's own phase: a worker may look at its ancestors first."""
    phase = draft.job.by_name[live.attempt.stage].phase
    return [report for report in reports.values() if report.facts.get("phase", phase) == phase]
