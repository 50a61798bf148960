"""`launch stop` and `launch resume` of jobs on GKE, in every state that a JobSet can be in."""

from pathlib import Path

import pytest
from etils import epath

from codepretrain.cli.main import main
from codepretrain.data import missing
from codepretrain.launch import requests, submission
from codepretrain.launch.bundle import Bundle
from codepretrain.launch.conductor import conduct
from codepretrain.launch.job import Job
from codepretrain.launch.job_folder import JobFolder
from codepretrain.launch.start_machines import jobset_state
from tests.cli.test_launch import GKE, submit, the_job
from tests.fixtures.fake_kubectl import Kubectl
from tests.fixtures.object_stores import memory

__all__ = ["memory"]


class Submitted:
    """A job on GKE that Kueue has not admitted yet."""

    def __init__(self, workdir: epath.Path, kubectl: Kubectl) -> None:
        self.workdir, self.kubectl = workdir, kubectl
        self.folder: JobFolder
        self.job: Job
        self.folder, self.job = the_job(workdir)

    def launch(self, command: str, *flags: str) -> int:
        return main(["launch", command, self.job.name, "--workdir", str(self.workdir), *flags])

    def admit(self) -> None:
        while jobset_state(self.job)[0] != "RUNNING":
            pass

    def state(self) -> str:
        return requests.state_of(self.folder).state

    @property
    def uid(self) -> str:
        return self.kubectl.jobsets[self.job.name]["metadata"]["uid"]


@pytest.fixture
def submitted(memory: epath.Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Submitted:
    files = {"study.json": b"{}", "codepretrain-1-py3-none-any.whl": b""}
    monkeypatch.setattr(submission, "make_bundle", lambda *_, **__: Bundle(files))
    monkeypatch.setattr(missing, "missing_parts", lambda *_: [])
    kubectl = Kubectl(tmp_path, monkeypatch)
    assert submit(memory, "gke_v5e", *GKE) == 0
    return Submitted(memory, kubectl)


def test_a_job_in_the_queue_is_stopped_at_once_and_queued_again(
    submitted: Submitted, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has no pod that could take the request; when it was admitted it would start, and stop."""
    assert submitted.launch("stop") == 0
    assert submitted.kubectl.jobsets == {}
    assert submitted.state() == "STOPPED"
    assert "has no pods: deleted" in capsys.readouterr().out
    assert submitted.launch("resume", "--detach") == 0
    assert jobset_state(submitted.job)[0] == "QUEUED"


def test_running_pods_save_and_end_by_themselves(submitted: Submitted) -> None:
    submitted.admit()
    before = submitted.uid
    conducted: list[str] = []

    def wait(_: float) -> bool:  # the conductor in one of the pods
        if not conducted:
            conducted.append("asked")
            assert submitted.launch("stop") == 0
            assert submitted.uid == before
            assert submitted.state() == "PROVISIONING"
        return False

    conduct(submitted.folder, wait=wait)
    assert submitted.state() == "STOPPED"
    submitted.kubectl.complete(submitted.job.name)
    assert submitted.launch("resume", "--detach") == 0
    assert submitted.uid != before
    assert jobset_state(submitted.job)[0] == "QUEUED"
    assert submitted.kubectl.collisions == []


def test_a_resume_waits_for_the_pods_that_are_still_ending(submitted: Submitted) -> None:
    """The controller would take the old pods for those of the new JobSet."""
    submitted.admit()
    requests.stop(submitted.folder)
    conduct(submitted.folder, wait=lambda _: False)
    assert submitted.launch("resume", "--detach") == 0
    assert submitted.kubectl.collisions == []


def test_a_jobset_that_has_failed_is_made_again(submitted: Submitted) -> None:
    """The job is not over: no pod was left that could have decided so."""
    submitted.admit()
    for _ in range(submitted.job.launch.restart.max_failures + 1):
        submitted.kubectl.end_pod(submitted.job.name, code=1)
    assert jobset_state(submitted.job)[0] == "FAILED"
    assert submitted.launch("resume", "--detach") == 0
    assert jobset_state(submitted.job)[0] == "QUEUED"


def test_a_job_that_kueue_has_preempted_keeps_its_place(submitted: Submitted) -> None:
    submitted.admit()
    before = submitted.uid
    submitted.kubectl.preempt(submitted.job.name)
    assert submitted.launch("resume", "--detach") == 0
    assert submitted.uid == before


def test_without_kubectl_a_stop_is_asked_for_all_the_same(
    submitted: Submitted, capsys: pytest.CaptureFixture[str]
) -> None:
    submitted.kubectl.fail("get", "network")
    assert submitted.launch("stop") == 0
    assert "pods that run save and end all the same" in capsys.readouterr().err
    assert submitted.state() == "STOPPED"
