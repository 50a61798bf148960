"""How the time of the launcher's decisions grows with the number of hosts.

    python benchmarks/launch.py [--hosts 1 8 64 256]

One gang on all hosts of one slice trains, saves every tenth round and loses a host in the middle.
Per round: the sightings of all records, and the decision. Milliseconds: median and largest. `read`
is the time to read the records of all hosts from files, which the conductor does once a second.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import replace

from etils import epath

from codepretrain.launch import record_files
from codepretrain.launch.decide import decide
from codepretrain.launch.job import Job, Stage
from codepretrain.launch.job_folder import JobFolder
from codepretrain.launch.machine import LaunchConfig
from codepretrain.launch.records import End, HostRecord, Orders, WorkerReport
from codepretrain.launch.sightings import Sightings, View
from codepretrain.launch.states import JobState

ROUNDS = 200


def job(num_hosts: int) -> Job:
    """A chain of ten phases on one slice."""
    names = [f"p{number}" for number in range(10)]
    stages = tuple(
        Stage(
            name=f"train.{name}",
            arguments=("train", "--phase", name),
            parents=(f"train.{names[number - 1]}",) if number else (),
            phase=name,
            tokens=10**9,
            num_steps=1000,
        )
        for number, name in enumerate(names)
    )
    return Job(
        name="j",
        config="c.py",
        workdir="w",
        stages=stages,
        launch=LaunchConfig(),
        hosts_per_slice=num_hosts,
        chips_per_host=4,
    )


def record(host: int, number: int, orders: Orders) -> HostRecord:
    """Returns the record of a host that obeys and makes a step per round."""
    running = next(iter(orders.running), None)
    report = WorkerReport(
        activity="train",
        step=number,
        counter=number,
        resumed_step=0,
        saved_step=number // 10 * 10,
        step_s=1.0,
        facts={"loss": 2.5, "tokens_per_s": 1e6, "mfu": 0.5},
    )
    found = HostRecord(host=host, boot="b", beat=number, address=f"10.0.0.{host}:8476")
    if running is None:
        return found
    found = replace(found, attempt=running.id, is_running=True, report=report)
    if number == ROUNDS // 2 and host == 0:
        found = replace(found, is_running=False, end=End(code=-9, cause="crash", message="killed"))
    return found


def measure(num_hosts: int) -> tuple[list[float], float]:
    """Returns the seconds of each round, and those of reading all records from files."""
    plan, state, orders = job(num_hosts), JobState(), Orders(term=1)
    sightings = Sightings(plan.launch.watchdog.heartbeat_s)
    seconds, records = [], {}
    for number in range(1, ROUNDS + 1):
        records = {host: record(host, number, orders) for host in plan.hosts}
        started = time.perf_counter()
        sightings.update(records, 1.0)
        view = View(hosts=sightings.seen(), watched_s=sightings.watched_s)
        decision = decide(state, plan, view, 1e9 + number)
        seconds.append(time.perf_counter() - started)
        state = decision.state
        if decision.orders != orders:
            orders = decision.orders
            sightings.wrote_orders()
    with tempfile.TemporaryDirectory() as temporary:
        folder = JobFolder(epath.Path(temporary))
        for found in records.values():
            record_files.write_host(folder, found)
        started = time.perf_counter()
        record_files.read_hosts(folder, plan.hosts)
        return seconds, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 8, 64, 256])
    print(f"{'hosts':>6} {'median ms':>10} {'largest ms':>11} {'read ms':>8}")
    for num_hosts in parser.parse_args().hosts:
        seconds, read_s = measure(num_hosts)
        middle, most = 1e3 * statistics.median(seconds), 1e3 * max(seconds)
        print(f"{num_hosts:>6} {middle:>10.3f} {most:>11.3f} {1e3 * read_s:>8.1f}", flush=True)


if __name__ == "__main__":
    main()
