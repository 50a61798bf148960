"""Starts gangs on hosts that are there, and says for which hosts a stage waits."""

from codepretrain.config.parse import to_dict
from codepretrain.launch import budget, elastic, evaluation, scheduler
from codepretrain.launch.draft import Draft
from codepretrain.launch.job import Stage
from codepretrain.launch.observe import last_step
from codepretrain.launch.records import Attempt
from codepretrain.launch.restart import GiveUp, show_batch_command, verdict
from codepretrain.launch.scheduler import Start
from codepretrain.launch.states import Live


def give_up(draft: Draft) -> None:
    """Fails the stages that are not to be tried again, or can never start."""
    for stage in scheduler.contenders(draft.job, draft.state):
        why = scheduler.impossible(draft.job, stage)
        known = draft.state.stage(stage.name)
        if why is None and known.state == "RESTARTING":
            batch = show_batch_command(draft.job, stage, known.last_failed_step)
            found = verdict(known, draft.job.launch.restart, show_batch=batch)
            why = found.why if isinstance(found, GiveUp) else None
        if why is not None:
            draft.add("stage_failed", stage=stage.name, why=why)


def start_gangs(draft: Draft) -> None:
    """Starts what can start now."""
    ready, promised = [], 0.0
    for stage in scheduler.contenders(draft.job, draft.state):
        refused = budget.refusal(draft.job, draft.state, stage, draft.now_s, promised=promised)
        if _waited_s(draft, stage) >= 0 and refused is None:
            ready.append(stage)
            promised += budget.expected_hours(stage, draft.state)
    if not ready:
        return
    found = scheduler.starts(
        draft.job,
        draft.state,
        ready=ready,
        available=draft.free_slices(),
        waited_s={stage.name: _patience_used_s(draft, stage) for stage in ready},
    )
    for start in found:
        _start(draft, start)
    waiting = [s for s in ready if s.name not in {start.stage.name for start in found}]
    _name_missing(draft, waiting)


def make_room(draft: Draft) -> None:
    """Ends evaluations on a slice of their own that training needs, or that wait for nothing."""
    found = scheduler.contenders(draft.job, draft.state)
    patience_s = draft.job.launch.watchdog.init_s
    waited_s = [_waited_s(draft, stage) for stage in found if stage.phase is not None]
    is_starved = min(max(waited_s, default=0.0), draft.view.watched_s) >= patience_s
    evaluation.end_evaluations(draft, starved=is_starved, open_stages=found)


def grow(draft: Draft) -> None:
    """Has a gang save and end that runs on fewer slices than it could have now.

    Slices may be there again, or a phase beside it has ended. Not if what is left of the stage
    would take less time on its slices than the restart.
    """
    if any(not s.is_evaluation for s in scheduler.contenders(draft.job, draft.state)):
        return
    stable_s = draft.job.launch.watchdog.heartbeat_s
    free = [
        index
        for index in draft.free_slices()
        if all(draft.view.hosts[h].present_s >= stable_s for h in draft.job.hosts_of(index))
    ]
    left = min(len(free), scheduler.num_to_add(draft.job, draft.state))
    for live in list(draft.state.live.values()):
        if live.closing is not None or not live.is_running:
            continue
        stage = draft.job.by_name[live.attempt.stage]
        if stage.phase is None:
            continue
        number = elastic.feasible_slices(draft.job, stage, live.num_slices + left)
        if number > live.num_slices and _pays(draft, live, number):
            message = f"goes on with {number} slices instead of {live.num_slices}"
            draft.close(live, how="end", reason="resize", message=message)
            left -= number - live.num_slices


def _pays(draft: Draft, live: Live, number: int) -> bool:
    """Returns whether a gang gains more time on so many slices than its restart takes.

    The restart takes as long as it took from the start of this attempt to its first step. As long
    as that or the time per step is unknown, nothing is lost by a restart that is worth less.
    """
    num_steps = draft.job.by_name[live.attempt.stage].num_steps
    step, step_s = last_step(draft, live), draft.view.median_step_s.get(live.attempt.id)
    if num_steps is None or step is None or step_s is None or live.first_step_s is None:
        return True
    gained_s = max(num_steps - step, 0) * step_s * (1 - live.num_slices / number)
    return gained_s > live.first_step_s - live.started_s


def _waited_s(draft: Draft, stage: Stage) -> float:
    """Returns for how long a stage has waited for slices; negative during its backoff."""
    known = draft.state.stage(stage.name)
    since = [draft.state.begun_s, *(draft.state.stage(p).since_s for p in stage.parents)]
    if known.state != "RESTARTING":
        return draft.now_s - max(since)
    found = verdict(known, draft.job.launch.restart, show_batch=None)
    assert not isinstance(found, GiveUp), stage.name
    return draft.now_s - max(*since, known.ended_s + found.after_s)


def _patience_used_s(draft: Draft, stage: Stage) -> float:
    """Returns how much of the time that a stage waits for all of its slices is over.

    A conductor that has just taken over does not know yet which hosts are there. A stage that ended
    to go on with more slices waits for the reports of their hosts, not for slices that are away.
    """
    waited_s = min(_waited_s(draft, stage), draft.view.watched_s)
    watchdog = draft.job.launch.watchdog
    is_resized = draft.state.stage(stage.name).is_resized
    return waited_s + (watchdog.init_s - watchdog.heartbeat_s if is_resized else 0.0)


def _start(draft: Draft, start: Start) -> None:
    stage, job = start.stage, draft.job
    hosts = tuple(host for index in start.slices for host in job.hosts_of(index))
    if stage.is_single:
        hosts = hosts[:1]
    known = draft.state.stage(stage.name)
    number = max(known.attempts, draft.view.used.get(stage.name, 0)) + 1
    # Until there is a checkpoint again: another loss is to be accepted by another request.
    accepts_loss = draft.state.retrains_lost and known.saved_step is None
    extra = ("--retrain-lost",) if stage.phase and accepts_loss else ()
    seen = {host: draft.view.hosts[host] for host in hosts}
    attempt = Attempt(
        id=f"{stage.name}-{number}",
        stage=stage.name,
        number=number,
        hosts=hosts,
        coordinator=seen[hosts[0]].record.address if len(hosts) > 1 else None,
        expected_step=known.saved_step,
        arguments=(*elastic.arguments(job, stage, len(start.slices)), *extra),
    )
    on_fewer = elastic.told(job, stage, len(start.slices))
    draft.add(
        "attempt",
        attempt=attempt.id,
        stage=stage.name,
        record=to_dict(attempt),
        boots={str(host): s.record.boot for host, s in seen.items()},
        before={str(host): s.record.attempt for host, s in seen.items()},
        num_slices=len(start.slices),
        wanted_slices=start.wanted,
        **({"message": on_fewer} if on_fewer else {}),
    )


def _name_missing(draft: Draft, waiting: list[Stage]) -> None:
    """Names the hosts for which stages wait, once there was time to hear of them."""
    patience_s = draft.job.launch.watchdog.heartbeat_s
    if draft.view.watched_s < patience_s:
        return
    waited_s = max((_waited_s(draft, stage) for stage in waiting), default=0.0)
    if waited_s < patience_s:
        return
    missing = [host for host in draft.job.hosts if _is_absent(draft, host)]
    if missing and tuple(missing) != draft.state.missing:
        names = ", ".join(str(host) for host in missing[:20])
        rest = f" and {len(missing) - 20} more" if len(missing) > 20 else ""
        message = f"waiting for host{'s' if len(missing) > 1 else ''} {names}{rest}"
        draft.add("missing", hosts=missing, waited_s=round(waited_s, 1), message=message)


def _is_absent(draft: Draft, host: int) -> bool:
    seen = draft.seen(host)
    if seen is None or not seen.has_beaten or draft.is_lost(host):
        return True
    return seen.record.is_preempted
