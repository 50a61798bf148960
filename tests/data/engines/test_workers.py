"""The processes that do the parts of data preparation."""

import os
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path

import pytest

from codepretrain.data.engines.workers import check_num_workers, worker_processes
from codepretrain.errors import UserError
from codepretrain.files.scratch import scratch_folder


def test_the_number_of_processes_is_bounded_by_the_machine() -> None:
    maximum = 8 * (os.cpu_count() or 1)
    check_num_workers(1)
    check_num_workers(maximum)
    for number in (-1, 0, maximum + 1, 100_000):
        with pytest.raises(UserError, match=rf"--num-workers: expected 1 to {maximum} \("):
            check_num_workers(number)


def test_one_worker_needs_no_process() -> None:
    with worker_processes(1) as executor:
        assert executor is None


def test_a_killed_parent_leaves_no_processes(tmp_path) -> None:
    """Worker processes end with their parent."""
    program = (
        "import os, sys, multiprocessing as m\n"
        "from codepretrain.data.engines.workers import worker_processes\n"
        "if __name__ == '__main__':\n"
        "    with worker_processes(2) as e:\n"
        "        pids = [e.submit(os.getpid).result() for _ in range(8)]\n"
        "        print(*set(pids), flush=True)\n"
        "        os.kill(os.getpid(), 9)\n"
    )
    script = tmp_path / "script.py"
    script.write_text(program)
    # The pipe's end is reached when the parent and all its children have closed it.
    done = subprocess.run([sys.executable, script], stdout=subprocess.PIPE, timeout=60)
    assert done.returncode == -9
    assert done.stdout.split()


def hold_a_folder(parent: Path) -> None:
    with scratch_folder(parent, "part"):
        time.sleep(600)


def test_an_error_stops_what_the_processes_are_doing(tmp_path) -> None:
    """In far less than the ten minutes that their tasks would take, and they clean up."""
    tasks: list[Future[None]] = []

    def interrupted() -> None:
        with worker_processes(2) as executor:
            assert executor is not None
            tasks.extend(executor.submit(hold_a_folder, tmp_path) for _ in range(4))
            while len(list(tmp_path.iterdir())) < 2:
                time.sleep(0.01)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(tasks) == 4
    assert all(task.done() for task in tasks)
    assert list(tmp_path.iterdir()) == []
