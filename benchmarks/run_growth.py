"""Host time and memory of a run of 95,367 steps, as host 7 of 64: start, steps, resume, report.

    python benchmarks/run_growth.py --folder DIR              all stages; 5 GB in DIR
    python benchmarks/run_growth.py --folder DIR resume       some of them again, after those before

    data      writes the study (`large_study.py`): 24.4M rows in 1,000 parts, joined as by `prepare`
    plan      opens the study, as `plan` does: phases, fingerprints, sizes
    loader    reads batches as host 7 of 64: 4 rows of 8,192 tokens each
    hosts     the stop check and the comparison of step times, which only runs of several hosts have
    history   writes what a run leaves in 75,000 steps, with the writers of the trainer, without one
    train     trains from there on; ends before step 95,200 as if killed
    resume    trains again, from the save of step 95,000 to the end
    child     starts the third phase, whose ancestors have 190,734 steps
    report    writes the report of three phases, with the records of the first for all of them

The trainer, its loader, records, checkpoints and stop checks are the real ones, with their
defaults (a line per step, TensorBoard, saves every 10 minutes and every 1,000 steps). The compiled
step does nothing, there is one device, and no other process: what is measured is the host's own
work, on process 0, which has the most. Agreements of processes and large states are not in it. Each
stage is a process of its own. `main`: CPU time of the main thread; `all`: of all threads.
"""

import argparse
import contextlib
import dataclasses
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from codepretrain.files import storage
from codepretrain.files.atomic import write_json

HISTORY = 75_000  # steps that only leave their records
KILLED_AT = 95_200
_TIMES = ("work", "data")


def show(name: str, value: str) -> None:
    print(f"{name:<52}{value:>30}", flush=True)


def timed(name: str, action: Callable[[], Any]) -> Any:
    """Shows the time of an action, and returns its result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = action()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    show(name, f"{wall:.2f} s, CPU {cpu:.2f} s")
    return result


def show_memory(name: str) -> None:
    from empty_run import memory_mib

    own, files = memory_mib()
    show(name, f"{own:,.0f} + {files:,.0f} MiB")


def data(workdir: Path) -> None:
    from large_study import write_data

    timed("data written", lambda: write_data(workdir))


def opened(workdir: Path) -> Any:
    from etils import epath
    from large_study import config

    from codepretrain.study.workspace import Workspace

    return Workspace(config(), epath.Path(workdir))


def plan(workdir: Path) -> None:
    from codepretrain.study.describe import describe

    workspace = opened(workdir)
    timed("sizes of the sources", lambda: workspace.source_sizes)
    timed("phases", lambda: workspace.phases)
    timed("fingerprints of 3 phases", lambda: workspace.fingerprints)
    timed(
        "description",
        lambda: describe(
            workspace.config, workspace.phases, source_sizes=workspace.source_sizes, imports={}
        ),
    )
    show_memory("memory: own + mapped files")


def loader(workdir: Path) -> None:
    import large_study
    from empty_run import HOST, NUM_HOSTS

    from codepretrain.stream.ledger import LedgerKeeper
    from codepretrain.stream.loader import HostBatches

    workspace = opened(workdir)
    show_memory("memory of the program: own + mapped files")
    stores = timed("rows opened, indexes verified", lambda: workspace.stores)
    order = timed("order of the phase", lambda: workspace.row_order("trunk"))
    batches = HostBatches(
        order,
        stores,
        process_index=HOST,
        process_count=NUM_HOSTS,
        mask_documents=True,
        start_step=0,
    )
    show_memory("memory, opened: own + mapped files")
    steps = np.random.default_rng(0).integers(large_study.NUM_STEPS, size=5000).tolist()
    for what in ("first", "again"):
        times = []
        for step in steps:
            begun = time.thread_time()
            _ = batches[step]
            times.append(1e3 * (time.thread_time() - begun))
        median, late = np.percentile(times, [50, 99])
        show(f"batch of 4 rows ({what}): median, 99th", f"CPU {median:.2f}, {late:.2f} ms")
    show_memory("memory after 5,000 batches: own + mapped files")
    keeper = LedgerKeeper(order, stores)
    timed("ledger of 1,000 steps", lambda: keeper.advance_to(1000))
    timed("ledger of all steps", lambda: keeper.advance_to(large_study.NUM_STEPS))


def history(workdir: Path) -> None:
    from empty_history import write_history

    shutil.rmtree(workdir / "runs", ignore_errors=True)
    timed(f"records of {HISTORY:,} steps", lambda: write_history(opened(workdir), "trunk", HISTORY))


def run(workdir: Path, name: str, *, last_step: int) -> None:
    """Trains until a step is handed over, or to the end."""
    from empty_run import EmptyProgram, Ended, make_runner

    from codepretrain.metrics.stopwatch import process_stopwatch
    from codepretrain.study.opening import open_workspace

    begun = process_stopwatch().lap_started
    wall, cpu = time.perf_counter(), time.process_time()
    workspace = open_workspace(opened(workdir))
    program = EmptyProgram(workspace.config, last_step=last_step)
    runner = make_runner(workspace, program)
    show("study opened", f"{time.perf_counter() - wall:.2f} s")
    with contextlib.suppress(Ended):
        runner.train(name)
    first_wall, _, first_cpu = program.times[0]
    since_start = f"{first_wall - begun:.2f} s, CPU {first_cpu:.2f} s"
    show("first step since the start of the process", since_start)
    show("first step since the imports", f"{first_wall - wall:.2f} s, CPU {first_cpu - cpu:.2f} s")
    show_steps(program.times)
    for step, (own, files) in program.memory.items():
        show(f"memory at step {step:,}: own + mapped files", f"{own:,.0f} + {files:,.0f} MiB")
    sys.stdout.flush()
    os._exit(0)  # as if killed: nothing is saved or closed


def show_steps(times: list[tuple[float, float, float]]) -> None:
    taken = 1e3 * np.diff(np.array(times), axis=0)
    if len(taken) < 100:
        return
    for name, column in zip(("wall", "CPU, main", "CPU, all"), taken.T, strict=True):
        median, late, latest = np.percentile(column, [50, 99, 99.9])
        numbers = f"{column.mean():.2f}, {median:.2f}, {late:.2f}, {latest:.2f} ms"
        show(f"a step, {name}: mean, median, 99th, 99.9th", numbers)


def hosts(workdir: Path) -> None:
    """What a loop of 64 processes adds on each: the stop check, and the comparison of times."""
    from types import SimpleNamespace

    from empty_run import NUM_HOSTS

    from codepretrain.peers import Peers
    from codepretrain.train.stragglers import Stragglers

    silent = SimpleNamespace(blocking_key_value_get=lambda *_: time.sleep(3600))
    peers = Peers(
        silent,
        process_index=7,
        process_count=NUM_HOSTS,
        on_stop=lambda number: True,
        on_exit=lambda code, message: None,
    )
    stragglers = Stragglers()
    times = {kind: np.random.default_rng(0).uniform(1, 2, NUM_HOSTS).tolist() for kind in _TIMES}
    for name, action in {
        "stop check": peers.reached_stop,
        "comparison of 64 hosts, at a logged step": lambda: stragglers.note(times, step_s=1.0),
    }.items():
        begun = time.thread_time()
        for _ in range(1000):
            action()
        show(name, f"CPU {1e3 * (time.thread_time() - begun):.1f} µs")


def child(workdir: Path) -> None:
    """The phases before it count as trained: they have their checkpoints."""
    workspace = opened(workdir)
    copy_run(workspace, "trunk", "continued")
    shutil.rmtree(workspace.run_dir("annealed"), ignore_errors=True)
    run(workdir, "annealed", last_step=10)


def copy_run(workspace: Any, source: str, target: str) -> None:
    """Copies the records and the last checkpoint of a phase, as if another had left them."""
    import large_study

    from codepretrain.checkpoint import record

    folder, last = workspace.run_dir(target), str(large_study.NUM_STEPS)
    shutil.rmtree(folder, ignore_errors=True)
    skipped = shutil.ignore_patterns("checkpoints", ".lease*", "run.json")
    shutil.copytree(workspace.run_dir(source), folder, ignore=skipped)
    checkpoint = folder / "checkpoints" / last
    shutil.copytree(workspace.run_dir(source) / "checkpoints" / last, checkpoint)
    whole = record.read_record(checkpoint)
    record.write_record(checkpoint, dataclasses.replace(whole, identity=workspace.identity(target)))
    write_json(folder / "run.json", {"fingerprint": workspace.fingerprint(target)})


def report(workdir: Path) -> None:
    from codepretrain.study.report import report_study

    workspace = opened(workdir)
    for name in ("continued", "annealed"):
        copy_run(workspace, "trunk", name)
    timed("report", lambda: report_study(opened(workdir), command_line="run_growth.py"))
    show_memory("memory: own + mapped files")
    show("peak", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:,.0f} MiB")
    page = workdir / "reports" / workspace.config.name / "index.html"
    show("page", f"{storage.size(page) / 2**20:.1f} MiB")


STAGES: dict[str, Callable[[Path], None]] = {
    "data": data,
    "plan": plan,
    "loader": loader,
    "hosts": hosts,
    "history": history,
    "train": lambda workdir: run(workdir, "trunk", last_step=KILLED_AT),
    "resume": lambda workdir: run(workdir, "trunk", last_step=-1),
    "child": child,
    "report": report,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("stages", nargs="*", help=", ".join(STAGES))
    values = parser.parse_args()
    if unknown := set(values.stages) - STAGES.keys():
        parser.error(f"unknown stages: {', '.join(sorted(unknown))}")
    if len(values.stages) == 1:
        STAGES[values.stages[0]](values.folder.resolve())
        return
    for stage in values.stages or STAGES:
        print(f"\n{stage}  (load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)", flush=True)
        subprocess.run([sys.executable, __file__, "--folder", values.folder, stage], check=True)


if __name__ == "__main__":
    main()
