"""SIGTERM and SIGINT in every stage, on one process and on two; errors on one of two.

make test-signals
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, TINY
from tests.fixtures.pod import Pod, free_port

pytestmark = pytest.mark.campaign

STAGES = ["restore", "compile", "step", "evaluate", "save"]
OPTIONS = [
    "--config.evals.validation.num_examples=64",
    "--config.evals.validation.interval_steps=10",
]
Train = Callable[..., list[str | Path]]


@pytest.fixture
def train(workdir: Path, tiny_overrides: list[str]) -> list[str | Path]:
    where: list[str | Path] = ["--phase", "trunk", "--config", TINY, "--workdir", workdir]
    return ["train", *where, *OPTIONS, *tiny_overrides]


def checkpoints(workdir: Path) -> list[int]:
    found = (workdir / "runs").glob("trunk-*/checkpoints/*")
    return sorted(int(path.name) for path in found if path.name.isdigit())


def losses(workdir: Path) -> list[float]:
    [path] = (workdir / "runs").glob("trunk-*/metrics.jsonl")
    return [json.loads(line)["loss"] for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, prepared: Path, tiny_overrides: list[str]) -> Callable[[int], list]:
    """Returns the losses of a run that nobody stopped, by number of processes."""
    known: dict[int, list[float]] = {}

    def run(num_processes: int) -> list[float]:
        if num_processes not in known:
            folder = tmp_path_factory.mktemp("unbroken")
            workdir = Path(shutil.copytree(prepared, folder / "workdir"))
            where: list[str | Path] = ["--phase", "trunk", "--config", TINY, "--workdir", workdir]
            with Pod(folder / "pod", num_processes=num_processes) as pod:
                pod.start("train", *where, *OPTIONS, *tiny_overrides)
                assert pod.codes() == [0] * num_processes, pod.output(0)
            known[num_processes] = losses(workdir)
        return known[num_processes]

    return run


@pytest.mark.parametrize(
    ("num_processes", "signals"),
    [
        (1, "SIGTERM to the first"),
        (1, "SIGINT to all"),
        (2, "SIGTERM to the first"),
        (2, "SIGTERM to the last"),
        (2, "SIGINT to all"),
    ],
)
@pytest.mark.parametrize("stage", STAGES)
def test_a_signal_in_training(
    workdir: Path,
    tmp_path: Path,
    train: list[str | Path],
    unbroken: Callable[[int], list[float]],
    stage: str,
    num_processes: int,
    signals: str,
) -> None:
    """All processes exit with the signal's code, what there is is saved, and the run resumes."""
    number = signal.SIGINT if "SIGINT" in signals else signal.SIGTERM
    targets = {"first": [0], "last": [-1], "all": range(num_processes)}[signals.split()[-1]]
    folder = tmp_path / "pod"
    with Pod(folder, num_processes=num_processes, stage=stage, has_supervisor=True) as pod:
        pod.start(*train)
        pod.wait_for_stage()
        for index in targets:
            pod.send(number, index)
        codes = pod.codes(timeout_s=45)
        outputs = [pod.output(index) for index in range(num_processes)]
        ends = [pod.end(index) for index in range(num_processes)]
    assert codes == [128 + number] * num_processes, outputs
    assert [(end["code"], end["cause"]) for end in ends] == [(128 + number, "preemption")] * len(
        ends
    ), ends
    for output in outputs:
        assert "Traceback" not in output
        assert output.count("codepretrain: ") == 1
    saved = checkpoints(workdir)
    assert bool(saved) == (stage in ("step", "evaluate", "save")), (saved, outputs)
    with Pod(tmp_path / "again", num_processes=num_processes) as pod:
        pod.start(*train)
        assert pod.codes() == [0] * num_processes, pod.output(0)
    assert losses(workdir) == unbroken(num_processes)


@pytest.mark.parametrize("present", [0, 1])
def test_a_signal_while_a_process_waits_for_another_to_join(
    tmp_path: Path, train: list[str | Path], present: int
) -> None:
    """The other one never comes. JAX waits in C++, where no handler of Python runs."""
    with Pod(tmp_path / "pod", num_processes=1, has_supervisor=True) as pod:
        host = [f"--coordinator=localhost:{free_port()}", "--num-processes=2"]
        pod.start(*train, *host, f"--process-id={present}")
        time.sleep(20.0)  # nothing says that it waits
        assert pod.processes[0].poll() is None, pod.output(0)
        pod.send(signal.SIGTERM)
        assert pod.codes(timeout_s=30) == [143], pod.output(0)
        assert (pod.end(0)["code"], pod.end(0)["cause"]) == (143, "preemption")


@pytest.mark.parametrize("num_processes", [1, 2])
def test_a_signal_in_the_command_evaluate(
    workdir: Path, tmp_path: Path, train: list[str | Path], num_processes: int
) -> None:
    with Pod(tmp_path / "train", num_processes=1) as pod:
        pod.start(*train)
        assert pod.codes() == [0], pod.output(0)
    [evals] = (workdir / "runs").glob("trunk-*/evals.jsonl")
    evals.write_text("")
    evaluate = ["evaluate", *train[1:]]
    folder = tmp_path / "pod"
    with Pod(folder, num_processes=num_processes, stage="evaluate", has_supervisor=True) as pod:
        pod.start(*evaluate)
        pod.wait_for_stage()
        pod.send(signal.SIGTERM, num_processes - 1)
        assert pod.codes(timeout_s=30) == [143] * num_processes, pod.output(0)
        for index in range(num_processes):
            assert pod.end(index)["cause"] == "preemption"
    assert evals.read_text() == ""
    with Pod(tmp_path / "again", num_processes=num_processes) as pod:
        pod.start(*evaluate)
        assert pod.codes() == [0] * num_processes, pod.output(0)
    assert evals.read_text().count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small file system")
def test_a_full_disk_under_both_of_two_processes(
    workdir: Path, tmp_path: Path, train: list[str | Path]
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = (
        f"mount -t tmpfs -o size=16m tmpfs {small} && cp -r {workdir}/. {small} && "
        f"left=$(df --output=avail -k {small} | tail -1) && "
        f'head -c $((left - 200))k /dev/zero > {small}/filler && exec "$@"'
    )
    unshare = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    if subprocess.run([*unshare, f"mount -t tmpfs tmpfs {small}"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a file system")
    # Both processes run in one mount namespace, as two hosts that share a file system.
    script = tmp_path / "both.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.fixtures.pod import Pod\n"
        "with Pod(Path(sys.argv[1]), num_processes=2) as pod:\n"
        "    pod.start(*sys.argv[2:])\n"
        "    print(pod.codes(timeout_s=60))\n"
    )
    command = [*unshare, mount, "sh", sys.executable, script, tmp_path / "pod"]
    arguments = [small if word == workdir else word for word in train]
    done = subprocess.run(
        [str(word) for word in [*command, *arguments]],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    outputs = [(tmp_path / "pod" / f"output-{index}").read_text() for index in range(2)]
    assert done.stdout.strip() == "[2, 2]", (done.stderr, outputs)
    for output in outputs:
        assert output.count("codepretrain: ") == 1
        assert "checkpoints/20: the checkpoints before it are whole; free some space" in output


@pytest.mark.parametrize("failing", [0, 1])
def test_a_full_disk_under_one_of_two_processes(
    tmp_path: Path, train: list[str | Path], failing: int
) -> None:
    """The other, which waits in a collective operation, ends with the same code and the cause."""
    with Pod(tmp_path / "pod", num_processes=2, stage=f"full-disk-{failing}") as pod:
        pod.start(*train)
        assert pod.codes(timeout_s=60) == [2, 2], (pod.output(0), pod.output(1))
        cause, follower = pod.output(failing), pod.output(1 - failing)
    assert "codepretrain: full: No space left on device" in cause
    assert f"codepretrain: process {failing}: full: No space left on device" in follower
    assert "Traceback" not in cause + follower


@pytest.mark.parametrize("failing", [0, 1])
def test_a_defect_in_one_of_two_processes(
    tmp_path: Path, train: list[str | Path], failing: int
) -> None:
    with Pod(tmp_path / "pod", num_processes=2, stage=f"defect-{failing}") as pod:
        pod.start(*train)
        assert pod.codes(timeout_s=60) == [1, 1], (pod.output(0), pod.output(1))
        cause, follower = pod.output(failing), pod.output(1 - failing)
    assert "Traceback" in cause
    assert f"codepretrain: process {failing}: ZeroDivisionError: a defect" in follower
    assert "Traceback" not in follower


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("killed", [0, 1])
def test_one_of_two_processes_is_killed(
    tmp_path: Path, train: list[str | Path], killed: int, stage: str
) -> None:
    """It can tell nothing; the other one names it, and ends."""
    with Pod(tmp_path / "pod", num_processes=2, stage=stage) as pod:
        pod.start(*train, "--heartbeat-timeout-s=10")
        pod.wait_for_stage()
        pod.send(signal.SIGKILL, killed)
        codes, output = pod.codes(timeout_s=60), pod.output(1 - killed)
    assert (codes[killed], codes[1 - killed]) == (-signal.SIGKILL, 3), output
    assert f"codepretrain: process {killed} of 2 has " in output
    assert output.count("codepretrain: ") == 1
    assert "Traceback" not in output


def test_a_process_that_hangs_is_named(tmp_path: Path, train: list[str | Path]) -> None:
    """Its heartbeats to JAX go on if only Python hangs; SIGSTOP stops those too."""
    with Pod(tmp_path / "pod", num_processes=2, stage="step") as pod:
        pod.start(*train, "--heartbeat-timeout-s=10")
        pod.wait_for_stage()
        pod.send(signal.SIGSTOP, 1)
        assert pod.processes[0].wait(60) == 3, pod.output(0)
        assert "codepretrain: process 1 of 2 has not answered for 10 s" in pod.output(0)
