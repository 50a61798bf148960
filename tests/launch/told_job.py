"""A job with hand-written events and host records, for tests of what commands show."""

from pathlib import Path
from typing import Any

from codepretrain.config.parse import to_dict
from codepretrain.files import storage
from codepretrain.launch import record_files
from codepretrain.launch.events import Event, EventWriter, utc
from codepretrain.launch.job import Job, Stage
from codepretrain.launch.job_folder import JobFolder, job_folder
from codepretrain.launch.machine import LaunchConfig, MachineConfig
from codepretrain.launch.records import Attempt, HostRecord, WorkerReport

BEGIN_S = 1_795_000_000.0
WRITER = "conductor-000001"


def make_job(**fields: Any) -> Job:
    """Two hosts of two chips; a phase of 100 steps of 10 tokens, and a report."""
    stages = (
        Stage(
            name="train.a",
            arguments=("train",),
            phase="a",
            fingerprint="f",
            tokens=1000,
            num_steps=100,
            expected_chip_hours=0.5,
        ),
        Stage(name="report", arguments=("report",), parents=("train.a",), is_single=True),
    )
    known: dict[str, Any] = {
        "workdir": "w",
        "price_per_chip_hour": 2.0,
        "hosts_per_slice": 2,
        "chips_per_host": 2,
        **fields,
    }
    machine = MachineConfig(hosts=2, cpu_devices=2)
    return Job(
        name="told",
        config="c.py",
        stages=stages,
        launch=LaunchConfig(machine=machine),
        **known,
    )


def event(at_s: float, kind: str, **fields: Any) -> dict[str, Any]:
    return {"event": kind, "time": utc(BEGIN_S + at_s), **fields}


def state(at_s: float, name: str, why: str = "") -> dict[str, Any]:
    return event(at_s, "state", state=name, why=why)


def started(at_s: float, number: int, *, expected: int | None = None) -> dict[str, Any]:
    name = f"train.a-{number}"
    record = Attempt(
        id=name,
        stage="train.a",
        number=number,
        hosts=(0, 1),
        coordinator="h:1",
        expected_step=expected,
        arguments=("train",),
    )
    fields = {"record": to_dict(record), "boots": {"0": "x", "1": "y"}, "before": {}}
    return event(at_s, "attempt", attempt=name, num_slices=1, wanted_slices=1, **fields)


def measured(at_s: float, number: int, seconds: float) -> dict[str, Any]:
    name = f"train.a-{number}"
    fields = {"seconds": seconds, "chip_seconds": 4 * seconds, "stage": "train.a"}
    return event(at_s, "chip_hours", attempt=name, **fields)


def ended(at_s: float, number: int, cause: str, **fields: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "host": None,
        "message": "",
        "step": None,
        "seconds": 0.0,
        "lost_steps": 0,
        "facts": {},
    }
    return event(at_s, "end", attempt=f"train.a-{number}", cause=cause, **{**known, **fields})


def numbered(*events: dict[str, Any]) -> list[Event]:
    """Returns events as a conductor of term 1 has written them."""
    term = event(0, "term", term=1, seen={})
    return [{**e, "writer": WRITER, "number": n} for n, e in enumerate((term, *events), start=1)]


# 10 s to join, 5 to restore, 20 to compile, 100 of training, 4 to end: step 50, 40 of them saved.
CRASHED = (
    state(0, "QUEUED"),
    state(0, "PROVISIONING"),
    started(0, 1),
    state(0, "STARTING"),
    event(10, "running", attempt="train.a-1", after_s=10.0),
    state(10, "RUNNING"),
    event(15, "resumed", attempt="train.a-1", step=0, expected=None),
    event(35, "first_step", attempt="train.a-1", step=1),
    measured(60, 1, 60.0),
    event(100, "saved", attempt="train.a-1", stage="train.a", step=40, save_s=1.0),
    event(
        135,
        "closing",
        attempt="train.a-1",
        how="wait",
        reason="failure",
        cause=None,
        host=None,
        message="",
        ended=[1],
    ),
    measured(139, 1, 79.0),
    ended(
        139,
        1,
        "crash",
        host=1,
        message="host 1: killed by SIGKILL",
        step=50,
        lost_steps=10,
        facts={"phase": "a", "loss": 3.5, "tokens": 500, "goodput": 0.7},
    ),
    state(139, "RESTARTING", "host 1: killed by SIGKILL"),
)


def report(step: int | None, *, activity: str = "train", **fields: Any) -> WorkerReport:
    return WorkerReport(activity=activity, step=step, **{"step_s": 2.0, **fields})


def record(host: int, attempt: str | None, found: WorkerReport | None, **fields: Any) -> HostRecord:
    known: dict[str, Any] = {"is_running": True, "boot": "b", "beat": 1, "address": "h:1", **fields}
    return HostRecord(host=host, attempt=attempt, report=found, **known)


def write(workdir: Path | str, *events: dict[str, Any], job: Job | None = None) -> JobFolder:
    """Writes a job and its events."""
    job = make_job(workdir=str(workdir)) if job is None else job
    folder = job_folder(storage.parse(workdir), job.name)
    assert record_files.create_job(folder, job, by="test")
    if events:
        with EventWriter(folder.events, WRITER) as writer:
            writer.append([event(0, "term", term=1, seen={}), *events])
    return folder
