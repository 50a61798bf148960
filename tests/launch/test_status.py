"""The status of a job: what is shown of its stages and hosts."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from codepretrain.files.lease import expiring
from codepretrain.launch import record_files, status_page, status_terminal
from codepretrain.launch.host_status import Look
from codepretrain.launch.keeper import keeper_folder
from codepretrain.launch.looking import Looker
from codepretrain.launch.records import End, HostRecord
from codepretrain.launch.status import JobStatus, status_of
from tests.launch import told_job as told

AGAIN = (
    *told.CRASHED,
    told.started(145, 2, expected=40),
    told.state(145, "STARTING"),
    told.event(155, "running", attempt="train.a-2", after_s=10.0),
    told.state(155, "RUNNING", "train.a-2"),
    told.event(156, "resumed", attempt="train.a-2", step=40, expected=40),
)
FACTS = {"phase": "a", "loss": 2.5, "tokens": 600, "mfu": 0.5, "goodput": 0.8, "tokens_per_s": 5.0}


def look(*records: HostRecord, silent_s: Mapping[int, float] | None = None, **more: Any) -> Look:
    found = {record.host: record for record in records}
    known = {"observed_s": 10.0, "changed": frozenset(found), **more}
    return Look(records=found, silent_s={**dict.fromkeys(found, 0.0), **(silent_s or {})}, **known)


def show(status: JobStatus, width: int) -> list[str]:
    console = Console(width=width, highlight=False, no_color=True)
    with console.capture() as capture:
        console.print(status_terminal.render(status, width=width))
    return capture.get().splitlines()


def test_a_stage_that_trains_again() -> None:
    reports = [
        told.record(0, "train.a-2", told.report(60, facts=FACTS)),
        told.record(1, "train.a-2", told.report(61, step_s=4.0, facts={"phase": "a"})),
    ]
    status = status_of(told.make_job(), told.numbered(*AGAIN), look(*reports))
    stage = status.stages[0]
    assert (status.state, status.why, status.chips) == ("RUNNING", "train.a-2", 4)
    assert (stage.state, stage.attempt, stage.attempts) == ("RUNNING", "train.a-2", 2)
    assert (stage.step, stage.num_steps, stage.saved_step) == (61, 100, 40)
    assert (stage.tokens, stage.loss, stage.mfu, stage.goodput) == (600, 2.5, 0.5, 0.8)
    assert stage.failures == {"crash": 1}
    assert stage.left_s == 39 * 3.0  # steps times the median of the hosts' step times
    assert stage.cost.expected_chip_hours == 0.5
    assert [e["event"] for e in status.recent][-3:] == ["state", "state", "state"]


def test_a_stage_on_fewer_slices_says_so() -> None:
    plan = told.make_job()
    machine = dataclasses.replace(plan.launch.machine, num_slices=2)
    stages = (dataclasses.replace(plan.stages[0], batch_size=8), plan.stages[1])
    launch = dataclasses.replace(plan.launch, machine=machine)
    plan = dataclasses.replace(plan, launch=launch, stages=stages)
    words = "on 1 of 2 slices, 2 micro-batches instead of 1"
    start = {**told.started(145, 2, expected=40), "message": words}
    status = status_of(plan, told.numbered(*told.CRASHED, start), look())
    assert status.stages[0].on == words
    assert status.recent[-1]["text"] == f"train.a-2 starts {words}"
    assert f"train.a: {words}; 1 × crash" in "\n".join(show(status, 80))
    assert words in status_page.render(status, [], written_s=0.0, refreshes=False)
    whole = status_of(told.make_job(), told.numbered(*AGAIN), look())
    assert whole.stages[0].on == ""


def test_the_first_step_says_nothing_about_the_time_left() -> None:
    """It compiles."""
    for step, left_s in ((41, None), (42, None), (43, 57 * 2.0)):
        report = told.report(step, resumed_step=40, facts={"phase": "a"})
        record = told.record(0, "train.a-2", report)
        stage = status_of(told.make_job(), told.numbered(*AGAIN), look(record)).stages[0]
        assert stage.left_s == left_s


def test_between_two_attempts_the_last_facts_are_shown() -> None:
    stage = status_of(told.make_job(), told.numbered(*told.CRASHED), look()).stages[0]
    assert (stage.state, stage.step, stage.loss) == ("RESTARTING", 50, 3.5)
    assert (stage.why, stage.left_s) == ("host 1: killed by SIGKILL", None)


def test_a_report_about_an_ancestor_is_not_the_stage() -> None:
    other = told.record(0, "train.a-2", told.report(7, facts={"phase": "before", "loss": 9.0}))
    stage = status_of(told.make_job(), told.numbered(*AGAIN), look(other)).stages[0]
    assert (stage.step, stage.loss) == (40, 3.5)


def test_nothing_has_happened() -> None:
    status = status_of(told.make_job(), [], Look())
    assert (status.state, status.since) == ("PLANNED", None)
    assert [host.state for host in status.hosts] == ["absent", "absent"]
    assert any("PLANNED  not begun" in line for line in show(status, 80))


def test_hosts_by_what_was_observed() -> None:
    """A record that has not changed while it was watched may be of yesterday."""
    records = [told.record(host, "train.a-2", told.report(60)) for host in (0, 1)]
    events = told.numbered(*AGAIN)

    def states(found: Look) -> list[tuple[str, float | None]]:
        return [(h.state, h.seen_s) for h in status_of(told.make_job(), events, found).hosts]

    assert states(look(*records)) == [("running", 0.0), ("running", 0.0)]
    unchanged = look(*records, silent_s={1: 10.0}, changed=frozenset({0}))
    assert states(unchanged) == [("running", 0.0), ("silent", None)]
    silent = look(*records, silent_s={1: 21.0}, observed_s=30.0)
    assert states(silent) == [("running", 0.0), ("lost", 21.0)]
    leaving = look(records[0], dataclasses.replace(records[1], is_preempted=True))
    assert states(leaving)[1] == ("leaving", 0.0)
    assert states(look(records[0]))[1] == ("absent", None)


def test_an_ended_worker_says_why() -> None:
    end = End(code=1, cause="crash", message="boom")
    records = [
        told.record(0, "train.a-2", told.report(60)),
        told.record(1, "train.a-2", told.report(60), is_running=False, end=end),
    ]
    host = status_of(told.make_job(), told.numbered(*AGAIN), look(*records)).hosts[1]
    assert (host.state, host.cause, host.message, host.activity) == ("ended", "crash", "boom", None)


@pytest.mark.parametrize(
    ("first", "second", "behind"),
    [
        ({"step": 60}, {"step": 60}, []),
        ({"step": 60}, {"step": 61}, []),  # between two reports
        ({"step": 60}, {"step": 66}, [0]),  # 12 s of steps
        ({"step": 60, "idle_s": 70.0}, {"step": 60, "idle_s": 5.0}, []),  # the gang goes on
        ({"step": 60, "idle_s": 70.0}, {"step": 60, "idle_s": 80.0}, [1]),
        ({"step": 59, "idle_s": 70.0}, {"step": 60, "idle_s": 80.0}, [0]),
        ({"step": 0, "activity": "compile", "idle_s": 90.0}, {"step": 0, "idle_s": 90.0}, []),
    ],
)
def test_the_host_that_is_behind(
    first: dict[str, Any], second: dict[str, Any], behind: list[int]
) -> None:
    """Half of a step's deadline is 60 s, of compilation 900."""
    records = [
        told.record(host, "train.a-2", told.report(**fields))
        for host, fields in enumerate((first, second))
    ]
    status = status_of(told.make_job(), told.numbered(*AGAIN), look(*records))
    assert [host.host for host in status.hosts if host.is_behind] == behind


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_terminal_keeps_its_width_and_shows_the_numbers(width: int) -> None:
    reports = [told.record(h, "train.a-2", told.report(60, facts=FACTS)) for h in (0, 1)]
    status = status_of(told.make_job(), told.numbered(*AGAIN), look(*reports))
    lines = show(status, width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for shown in ("60/100", "2.500", "50.0%", "80.0%", "1m 20s", "1 × crash", "train.a-2"):
        assert shown in text, shown


def test_no_number_is_cut_off_in_a_narrow_terminal() -> None:
    """What there is no room for is left out whole, and what matters most stays."""
    status = status_of(told.make_job(), told.numbered(*AGAIN), look())
    stage = dataclasses.replace(
        status.stages[0],
        state="RESTARTING",
        step=123_456,
        num_steps=190_734,
        loss=12.345,
        goodput=0.995,
        mfu=0.405,
        left_s=86_399.0,
        cost=dataclasses.replace(status.stages[0].cost, chip_hours=12_345.6),
    )
    status = dataclasses.replace(status, stages=(stage,))
    text = "\n".join(show(status, 80))
    for shown in ("train.a", "RESTARTING", "123,456/190,734", "12,345.6", "chip-h", "23h 59m"):
        assert shown in text, shown


def test_a_running_job_names_what_runs_now() -> None:
    """Not what ran when it became RUNNING."""
    before = told.numbered(*AGAIN[:-2], told.state(155, "RUNNING", "prepare-1"))
    assert status_of(told.make_job(), before, look()).why == "train.a-2"


def test_the_terminal_shows_no_control_characters_of_a_message() -> None:
    evil = told.state(200, "FAILED", "\x1b[2Jx")
    status = status_of(told.make_job(), told.numbered(*told.CRASHED, evil), look())
    assert "\x1b[2J" not in "\n".join(show(status, 80))


def test_many_hosts_are_cut_to_those_with_something_to_see() -> None:
    hosts = [told.record(h, "train.a-2", told.report(60)) for h in range(64) if h != 40]
    job = dataclasses.replace(told.make_job(), hosts_per_slice=64)
    status = status_of(job, told.numbered(*AGAIN), look(*hosts))
    shown = status_terminal.shown_hosts(status.hosts, 24)
    assert len(shown) == 24
    assert 40 in [host.host for host in shown]  # it is absent


def test_the_page_needs_no_network_and_escapes_text() -> None:
    failed = told.state(200, "FAILED", "<b>bold</b>")
    events = told.numbered(*told.CRASHED, failed)
    status = status_of(told.make_job(), events, look())
    page = status_page.render(status, events, written_s=told.BEGIN_S, refreshes=True)
    assert '<meta http-equiv="refresh"' in page
    assert "<b>bold" not in page
    assert "&lt;b&gt;bold" in page
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert 'class="mark failure"' in page
    assert "train.a-1: crash at step 50; host 1: killed by SIGKILL" in page
    still = status_page.render(status, events, written_s=told.BEGIN_S, refreshes=False)
    assert "http-equiv" not in still


def test_the_status_is_json() -> None:
    status = status_of(told.make_job(), told.numbered(*AGAIN), look())
    assert json.loads(json.dumps(dataclasses.asdict(status)))["stages"][0]["step"] == 40


def test_looking_waits_for_a_beat_of_every_host(tmp_path: Path) -> None:
    """The second host's supervisor is dead: nothing changes there."""
    folder = told.write(tmp_path, *AGAIN)
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds
        beat = 2 + int(clock[0])
        record_files.write_host(folder, told.record(0, "train.a-2", told.report(60), beat=beat))

    for host in (0, 1):
        record_files.write_host(folder, told.record(host, "train.a-2", told.report(60)))
    status = Looker(folder, steady=lambda: clock[0], sleep=sleep).status_after_a_beat()
    assert [host.state for host in status.hosts] == ["running", "silent"]
    assert clock[0] == status.observed_s == 3.0


def test_a_job_without_a_keeper_says_how_to_start_one(tmp_path: Path) -> None:
    """One that was killed released nothing, but its process is gone from this host."""
    folder = told.write(tmp_path, *AGAIN)
    with expiring(keeper_folder(folder), ttl_s=60.0):
        assert Looker(folder).status().problems == ()
        (lease,) = (keeper_folder(folder) / ".lease").glob("*[0-9]")
        held = json.loads(lease.read_text())
    assert held["state"] == "held"
    advice = "no keeper runs, so nothing replaces a machine: codepretrain launch resume told"
    assert Looker(folder).status().problems[0].startswith(advice)
    lease.write_text(json.dumps({**held, "start": "another process with this number"}))
    assert Looker(folder).status().problems[0].startswith(advice)
    lease.write_text(json.dumps({**held, "host_boot": "another host"}))
    assert Looker(folder).status().problems == ()  # it may be alive


def test_a_job_in_an_object_store(tmp_path: Path) -> None:
    workdir = f"memory://status-{tmp_path.name}"
    folder = told.write(workdir, *AGAIN)
    record_files.write_host(folder, told.record(0, "train.a-2", told.report(60)))
    status = Looker(folder).status()
    assert (status.state, status.stages[0].step) == ("RUNNING", 60)
    assert [host.state for host in status.hosts] == ["running", "absent"]


def test_a_damaged_record_of_a_host_is_named_and_the_rest_is_shown(tmp_path: Path) -> None:
    folder = told.write(tmp_path, *AGAIN)
    record_files.write_host(folder, told.record(0, "train.a-2", told.report(60)))
    (folder.hosts / "1.json").write_text("{")
    status = Looker(folder).status()
    assert "1.json is damaged" in status.problems[0]
    assert status.hosts[0].step == 60
