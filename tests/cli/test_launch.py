"""`launch submit` and `launch keep`: what they refuse, print, write and start."""

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from etils import epath

from codepretrain.cli import launch, launch_keep
from codepretrain.cli.main import main
from codepretrain.data import missing
from codepretrain.files import storage
from codepretrain.launch import submission
from codepretrain.launch.bundle import Bundle
from codepretrain.launch.events import read_events
from codepretrain.launch.fold import fold_events
from codepretrain.launch.job import Job
from codepretrain.launch.job_folder import job_folder
from codepretrain.launch.keeper import OrdersWatch
from codepretrain.launch.record_files import read_job_record, write_orders
from codepretrain.launch.records import Orders
from tests.conftest import ROOT, TINY
from tests.fixtures.fake_gcloud import Gcloud
from tests.fixtures.fake_kubectl import Kubectl
from tests.fixtures.object_stores import memory

__all__ = ["memory"]

LOCAL = str(ROOT / "launch" / "local.py")
CLOUD = ["--machine.machine.project=my-project", "--machine.machine.zone=us-west4-a"]
GKE = [*CLOUD, "--machine.machine.cluster=pods", "--machine.machine.queue=research"]
# Rows that divide over the devices of these machines.
BATCH = [
    "--config.training.batch_size=64",
    f"--config.phases.trunk.tokens={40 * 64 * 64}",
    f"--config.phases.branch.parent_tokens={20 * 64 * 64}",
    f"--config.phases.branch.tokens={10 * 64 * 64}",
    f"--config.phases.cooldown.tokens={10 * 64 * 64}",
]
SECRET = "hf_planted_in_the_environment"


def submit(workdir: Any, machine: str, *arguments: str) -> int:
    path = str(ROOT / "launch" / f"{machine}.py")
    where = ["--config", str(TINY), "--machine", path, "--workdir", str(workdir), "--detach"]
    return main(["launch", "submit", *where, *BATCH, *arguments])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def the_job(workdir: Any) -> tuple[Any, Job]:
    (name,) = storage.names(epath.Path(workdir) / "jobs")
    folder = job_folder(epath.Path(workdir), name)
    return folder, read_job_record(folder)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """The jobs whose machines would have been started."""
    jobs: list[Job] = []
    monkeypatch.setattr(launch_keep, "start", lambda job, folder: jobs.append(job))
    monkeypatch.setattr(launch, "check_access", lambda job: None)
    return jobs


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"study.json": b"{}", "codepretrain-1-py3-none-any.whl": b""}
    monkeypatch.setattr(submission, "make_bundle", lambda *_, **__: Bundle(files))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["launch"], "the following arguments are required: command"),
        (["launch", "submt"], "there is no command 'launch submt'; did you mean submit?"),
        (["launch", "submit", "--machine", LOCAL], "arguments are required: --config"),
        (["launch", "submit", "--config", str(TINY)], "arguments are required: --machine"),
        (["launch", "keep"], "JOB: expected the name of a job in"),
        (["launch", "keep", "no-such-job"], "JOB: there is no job 'no-such-job' in"),
        (["launch", "keep", "a", "--config.seed=1"], "unknown argument '--config.seed=1'"),
        (["plan", "--config", str(TINY), "--machine.a=1"], "did you mean --config.a?"),
    ],
)
def test_the_grammar(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    is_job = "--machine.a=1" not in arguments and arguments[-1] not in ("launch", "submt")
    where = ["--workdir", str(tmp_path)] if is_job else []
    assert main([*arguments, *where]) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--machine.machine.num_slice=2"], "machine.machine.num_slice: no such field; did you"),
        (["--config.seed=x"], "config.seed: expected a whole number"),
        (["--machne.machine.num_slices=2"], "did you mean --machine.machine.num_slices?"),
        (["--phase", "trnk"], "--phase: there is no phase 'trnk'; did you mean trunk?"),
        (["--machine.machine.hosts"], "has no value: write --machine.machine.hosts=VALUE"),
        (["--machine.machine.env.HF_TOKEN=x"], "store it in Secret Manager"),
    ],
)
def test_mistakes_are_one_line_before_anything_is_created(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert submit(tmp_path / "w", "local", *arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_dry_run_creates_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], started: list[Job]
) -> None:
    assert submit(tmp_path / "w", "local", "--dry-run", "--machine.machine.hosts=4") == 0
    printed = capsys.readouterr()
    assert "data: prepared first; missing:" in printed.out
    assert "fit:" not in printed.out  # a step is compiled ahead for TPUs only
    assert printed.out.count("codepretrain launch host tiny-") == 4
    assert "nothing was created" in printed.err
    assert not list(tmp_path.iterdir())
    assert not started


def test_a_dry_run_lists_phases_in_the_order_of_the_file(
    no_wheel: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = ["--config", str(ROOT / "experiments" / "controlled.py"), "--config.replicates=2"]
    where = ["--machine", LOCAL, "--workdir", str(tmp_path / "w")]
    assert main(["launch", "submit", *study, *where, "--dry-run"]) == 0
    cooldowns = ["cooldown_with_code", "cooldown_without_code"]
    phases = ["text", "code_trunk", *cooldowns, "scrambled_code"]
    trained = [f"train.{phase}{replicate}" for replicate in ("", "-r1") for phase in phases]
    listed = ", ".join(["prepare", *trained, "report"])
    assert capsys.readouterr().out.startswith(f"study controlled: {listed}\n")


def test_a_dry_run_checks_the_working_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    assert submit(tmp_path / "file", "local", "--dry-run") == 2
    assert "expected a folder, found a file" in capsys.readouterr().err


def test_a_job_on_the_phases_of_another_one_needs_a_yes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], started: list[Job], no_wheel: None
) -> None:
    assert submit(tmp_path / "w", "local", "--phase", "branch") == 0
    where = f"{started[0].name} --workdir {tmp_path / 'w'}\n"
    assert f"codepretrain launch status {where}" in capsys.readouterr().out
    assert submit(tmp_path / "w", "local", "--config.seed=5") == 0  # other phases
    assert f"codepretrain launch stop {started[1].name} " in capsys.readouterr().out
    assert submit(tmp_path / "w", "local") == 2
    name = started[0].name
    said = f"job {name} is PLANNED and is to train trunk, branch too"
    assert f"codepretrain: {said}" in capsys.readouterr().err
    assert submit(tmp_path / "w", "local", "--yes") == 0
    assert len(started) == 3


@pytest.mark.parametrize(
    ("machine", "flags", "program"),
    [("tpu_vm_v5e", CLOUD, "gcloud"), ("gke_v5e", GKE, "kubectl")],
)
def test_a_pod_is_refused_without_the_program_that_requests_it(
    machine: str,
    flags: list[str],
    program: str,
    memory: epath.Path,
    capsys: pytest.CaptureFixture[str],
    no_wheel: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before anything is written; a dry run needs no program."""
    monkeypatch.setattr(missing, "missing_parts", lambda *_: [])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert submit(memory, machine, *flags, "--dry-run") == 0
    assert "fit: not checked (--check-fit compiles the step)" in capsys.readouterr().out
    assert submit(memory, machine, *flags) == 2
    assert f"{program} is not installed" in capsys.readouterr().err
    assert not storage.exists(memory / "jobs")


def test_a_pod_is_refused_without_a_login(
    memory: epath.Path,
    capsys: pytest.CaptureFixture[str],
    no_wheel: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(missing, "missing_parts", lambda *_: [])
    Gcloud(tmp_path, monkeypatch).fail("list", "tokens")
    assert submit(memory, "tpu_vm_v5e", *CLOUD) == 2
    assert "gcloud cannot list the queued resources of tiny-" in capsys.readouterr().err
    Kubectl(tmp_path, monkeypatch).fail("get", "no_cluster")
    assert submit(memory, "gke_v5e", *GKE) == 2
    assert 'pods" does not exist' in capsys.readouterr().err
    assert not storage.exists(memory / "jobs")


def test_a_local_job_is_written_and_started(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    started: list[Job],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the real bundle; a secret of the environment is in none of its files."""
    monkeypatch.setenv("HF_TOKEN", SECRET)
    workdir = tmp_path / "w"
    assert submit(workdir, "local", "--config.seed=5", "--machine.machine.hosts=4") == 0
    folder, job = the_job(workdir)
    assert started == [job]
    assert f"job {job.name}\n" in capsys.readouterr().out
    assert job.launch.machine.hosts == 4
    bundle = folder.bundle / job.bundle
    assert storage.read_json(bundle / "study.json")["seed"] == 5
    assert storage.read_json(bundle / "machine.json")["machine"]["hosts"] == 4
    assert "--config.seed=5" in job.created_by
    assert not any(SECRET.encode() in content for content in contents(workdir).values())
    # The study of the bundle is the study: it plans to the same fingerprints.
    assert main(["plan", "--config", job.config, "--workdir", str(workdir), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert {phase["name"]: phase["fingerprint"] for phase in plan["phases"]} == {
        stage.phase: stage.fingerprint for stage in job.stages if stage.phase
    }


def test_a_secret_on_the_command_line_is_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    started: list[Job],
    no_wheel: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    assert submit(tmp_path / "w", "local", f"--machine.machine.env.PLAIN={SECRET}") == 2
    error = capsys.readouterr().err
    assert "contains the value of the environment variable HF_TOKEN" in error
    assert not storage.exists(tmp_path / "w" / "jobs")
    assert not started


def test_a_job_over_its_budget_needs_a_yes(
    memory: epath.Path,
    capsys: pytest.CaptureFixture[str],
    started: list[Job],
    no_wheel: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(missing, "missing_parts", lambda *_: [])
    arguments = [*GKE, "--machine.budget.max_chip_hours=1e-12"]
    assert submit(memory, "gke_v5e", *arguments) == 2
    assert "start it anyway with --yes" in capsys.readouterr().err
    assert not storage.exists(memory / "jobs")
    monkeypatch.setattr(sys, "stdin", _Terminal("n\n"))
    assert submit(memory, "gke_v5e", *arguments) == 2
    assert not started
    monkeypatch.setattr(sys, "stdin", _Terminal("y\n"))
    assert submit(memory, "gke_v5e", *arguments) == 0
    monkeypatch.setattr(sys, "stdin", _Terminal(""))
    assert submit(memory, "gke_v5e", *arguments, "--yes") == 0
    assert len(started) == 2


class _Terminal:
    def __init__(self, line: str) -> None:
        self._line = line

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self._line

    def fileno(self) -> int:
        raise OSError


def test_a_pod_is_refused_while_the_data_is_not_prepared(
    memory: epath.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert submit(memory, "gke_v5e", *GKE, "--config.seed=3") == 2
    study = ["--config", str(TINY), "--workdir", str(memory), *BATCH, "--config.seed=3"]
    command = f"`{shlex.join(['codepretrain', 'prepare', *study])}`"
    assert f"run {command} first" in capsys.readouterr().err


def test_a_gke_job_is_one_jobset(
    memory: epath.Path,
    capsys: pytest.CaptureFixture[str],
    no_wheel: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(missing, "missing_parts", lambda *_: [])
    kubectl = Kubectl(tmp_path, monkeypatch)
    assert submit(memory, "gke_v5e", *GKE, "--dry-run") == 0
    assert kubectl.jobsets == {}
    assert '"kind": "JobSet"' in capsys.readouterr().out
    assert submit(memory, "gke_v5e", *GKE) == 0
    _, job = the_job(memory)
    assert list(kubectl.jobsets) == [job.name]
    assert main(["launch", "keep", job.name, "--workdir", str(memory)]) == 2
    assert "JobSet keeps its pods" in capsys.readouterr().err


def test_the_keeper_of_tpu_vms_requests_slices_and_returns_them(
    memory: epath.Path,
    no_wheel: None,
    started: list[Job],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(missing, "missing_parts", lambda *_: [])
    gcloud = Gcloud(tmp_path, monkeypatch)
    assert submit(memory, "tpu_vm_v5e", *CLOUD, "--machine.machine.num_slices=2") == 0
    folder, job = the_job(memory)
    seen: list[dict[str, str]] = []
    is_over = OrdersWatch.is_over

    def look(watch: OrdersWatch) -> bool:
        seen.append(gcloud.states)
        if len(seen) == 6:
            write_orders(folder, Orders(term=1, is_over=True), by="test")
        return is_over(watch)

    monkeypatch.setattr(OrdersWatch, "is_over", look)
    monkeypatch.setattr(launch_keep, "POLL_S", 0.0)
    assert main(["launch", "keep", job.name, "--workdir", str(memory)]) == 0
    assert set(seen[5].values()) == {"ACTIVE"}
    assert gcloud.states == {}
    state = fold_events(read_events(folder.events))
    assert (state.state, state.why) == ("PROVISIONING", "slices: 2 PROVISIONING")
    messages = [event.get("message", "") for event in read_events(folder.events)]
    assert f"{job.name}-1: deleted: the job is over" in messages


def test_a_job_whose_slices_are_not_granted_yet_is_stopped_at_once(
    memory: epath.Path,
    no_wheel: None,
    started: list[Job],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No host could take the request, and its keeper goes by the orders alone."""
    monkeypatch.setattr(missing, "missing_parts", lambda *_: [])
    assert submit(memory, "tpu_vm_v5e", *CLOUD) == 0
    folder, job = the_job(memory)
    watch = OrdersWatch(folder)
    assert not watch.is_over()
    assert main(["launch", "stop", job.name, "--workdir", str(memory)]) == 0
    assert "no host was deciding: the job is STOPPED" in capsys.readouterr().out
    assert watch.is_over()


def test_secrets_are_found_by_name_or_as_the_machine_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        monkeypatch.delenv(name)
    for name in ("HF_TOKEN", "WANDB_API_KEY", "MY_THING", "PATH"):
        monkeypatch.setenv(name, f"value of {name}")
    from codepretrain.launch.machine import LaunchConfig, MachineConfig

    machine = LaunchConfig(machine=MachineConfig(secrets={"MY_THING": "thing"}))
    assert set(launch._secret_values(machine)) == {"HF_TOKEN", "WANDB_API_KEY", "MY_THING"}


def test_finished_phases_need_no_machine(
    trained_copy: Path, tiny_overrides: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    hosts = "--machine.machine.hosts=1"
    where = ["--config", str(TINY), "--workdir", str(trained_copy), *tiny_overrides, hosts]
    command = ["launch", "submit", "--machine", str(ROOT / "launch" / "local.py"), *where]
    assert main([*command, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "trained and evaluated already: trunk, branch\n" in out
    assert "study tiny: train.cooldown, report\n" in out
    assert main([*command, "--phase=branch", "--dry-run"]) == 2
    assert "nothing is left to train or to evaluate of trunk, branch" in capsys.readouterr().err
