"""How the time of one decision and of one status grows with hosts and events.

    python benchmarks/pod_growth.py                      1 to 64 hosts, 1,000 events
    python benchmarks/pod_growth.py --hosts 256 --events 10000

For each number of hosts one gang of all hosts trains. Measured, the fastest of `--repeat`:

    decide      one decision of the conductor, which makes one a second: pure, no files
    round       with files on this disk: reading every host's record and the orders, deciding
    fold        the state from the events, once when a conductor takes over
    status      what `launch status` computes from events and records that are read
    read        reading events and records from this disk, for the status
    memory      the peak that Python allocates for one status
"""

import argparse
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from codepretrain.config.parse import to_dict
from codepretrain.files import storage
from codepretrain.launch import record_files
from codepretrain.launch.conductor import Conductor
from codepretrain.launch.decide import decide
from codepretrain.launch.events import Event, EventWriter, read_events, utc
from codepretrain.launch.fold import fold_events
from codepretrain.launch.host_status import Look
from codepretrain.launch.job import Job, Stage
from codepretrain.launch.job_folder import JobFolder, job_folder
from codepretrain.launch.machine import LaunchConfig, MachineConfig
from codepretrain.launch.records import Attempt, HostRecord, WorkerReport
from codepretrain.launch.sightings import Seen, View
from codepretrain.launch.status import status_of

_BEGIN_S = 1_795_000_000.0
_STAGE = "train.trunk"


def make_job(num_hosts: int, workdir: str) -> Job:
    stage = Stage(
        name=_STAGE, arguments=("train",), phase="trunk", fingerprint="f", num_steps=95_367
    )
    return Job(
        name="growth",
        config="study.json",
        workdir=workdir,
        stages=(stage,),
        launch=LaunchConfig(machine=MachineConfig(hosts=num_hosts)),
        hosts_per_slice=num_hosts,
        chips_per_host=4,
    )


def make_events(num_hosts: int, num_events: int) -> list[Event]:
    """One attempt that saves again and again."""
    hosts = tuple(range(num_hosts))
    attempt = Attempt(
        id=f"{_STAGE}-1",
        stage=_STAGE,
        number=1,
        hosts=hosts,
        coordinator="h:1",
        expected_step=None,
        arguments=("train",),
    )
    started = {
        "attempt": attempt.id,
        "stage": _STAGE,
        "record": to_dict(attempt),
        "boots": {str(host): "b" for host in hosts},
        "before": {},
        "num_slices": 1,
        "wanted_slices": 1,
    }
    events: list[Event] = [
        {"event": "term", "term": 1, "seen": {}},
        {"event": "state", "state": "QUEUED", "why": ""},
        {"event": "state", "state": "PROVISIONING", "why": ""},
        {"event": "attempt", **started},
        {"event": "state", "state": "STARTING", "why": ""},
        {"event": "running", "attempt": attempt.id, "after_s": 1.0},
        {"event": "state", "state": "RUNNING", "why": ""},
        {"event": "resumed", "attempt": attempt.id, "step": 0, "expected": None},
        {"event": "first_step", "attempt": attempt.id, "step": 1},
    ]
    saved = {"event": "saved", "attempt": attempt.id, "stage": _STAGE, "save_s": 1.0}
    events += [{**saved, "step": 10 * n} for n in range(1, num_events - len(events) + 1)]
    return [{**event, "time": utc(_BEGIN_S + n)} for n, event in enumerate(events)]


def make_record(host: int, step: int, beat: int) -> HostRecord:
    facts = {"phase": "trunk", "loss": 2.0, "tokens": 10**9, "mfu": 0.5, "goodput": 0.9}
    report = WorkerReport(
        activity="train", step=step, counter=step, resumed_step=0, step_s=1.0, facts=facts
    )
    return HostRecord(
        host=host,
        boot="b",
        beat=beat,
        address="h:1",
        attempt=f"{_STAGE}-1",
        is_running=True,
        report=report,
    )


def seen(record: HostRecord) -> Seen:
    """A host that has been there for a while, and has obeyed."""
    return Seen(
        record=record,
        silent_s=0.0,
        present_s=60.0,
        has_beaten=True,
        has_obeyed=True,
        is_ours=True,
    )


def write(folder: JobFolder, job: Job, events: list[Event]) -> None:
    assert record_files.create_job(folder, job, by="benchmark")
    with EventWriter(folder.events, "conductor-000001") as writer:
        writer.append(events)
    attempt = fold_events(events).live[f"{_STAGE}-1"].attempt
    assert record_files.create_attempt(folder, attempt, by="benchmark")
    storage.make_folder(folder.conductor)
    for host in job.hosts:
        record_files.write_host(folder, make_record(host, 5, 1))


def fastest_ms(action: Callable[[], object], repeat: int) -> float:
    """Returns the milliseconds of the fastest of several calls: other work only adds."""
    times = []
    for _ in range(repeat):
        begun_s = time.perf_counter()
        action()
        times.append(time.perf_counter() - begun_s)
    return 1e3 * min(times)


def peak_mib(action: Callable[[], object]) -> float:
    tracemalloc.start()
    action()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 2**20


def measure(num_hosts: int, num_events: int, repeat: int) -> list[float]:
    """Returns a row of the table."""
    with tempfile.TemporaryDirectory() as folder_name:
        job = make_job(num_hosts, folder_name)
        folder = job_folder(storage.parse(Path(folder_name)), job.name)
        events = make_events(num_hosts, num_events)
        write(folder, job, events)
        events = read_events(folder.events)
        state = fold_events(events)
        records = {host: make_record(host, 5, 1) for host in job.hosts}
        hosts = {host: seen(record) for host, record in records.items()}
        view = View(hosts=hosts, watched_s=600.0)
        now_s = _BEGIN_S + num_events
        look = Look(records=records, observed_s=3.0, changed=frozenset(records))
        with Conductor(folder, clock=lambda: now_s) as conductor:
            round_ms = fastest_ms(conductor.round, repeat)
        return [
            fastest_ms(lambda: decide(state, job, view, now_s), repeat),
            round_ms,
            fastest_ms(lambda: fold_events(events), repeat),
            fastest_ms(lambda: status_of(job, events, look), repeat),
            fastest_ms(
                lambda: (read_events(folder.events), record_files.read_hosts(folder, job.hosts)),
                repeat,
            ),
            peak_mib(lambda: status_of(job, events, look)),
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--events", type=int, nargs="+", default=[1000])
    parser.add_argument("--repeat", type=int, default=7)
    values = parser.parse_args()
    names = ("decide ms", "round ms", "fold ms", "status ms", "read ms", "memory MiB")
    print(f"{'hosts':>6} {'events':>7}" + "".join(f"{name:>12}" for name in names))
    for events in values.events:
        for hosts in values.hosts:
            row = measure(hosts, events, values.repeat)
            print(f"{hosts:>6} {events:>7}" + "".join(f"{x:>12.2f}" for x in row), flush=True)


if __name__ == "__main__":
    main()
