"""The commands of gcloud: every flag against the real parser where gcloud is installed."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from codepretrain.errors import UserError
from codepretrain.launch import tpu_vm
from codepretrain.launch.commands import Done, run_command
from codepretrain.launch.machine import MachineConfig
from tests.fixtures import fake_gcloud

MACHINE = MachineConfig(
    kind="tpu_vm",
    topology="v5p:4x4x8",
    num_slices=2,
    project="my-project",
    zone="us-east5-a",
    runtime_version="v2-alpha-tpuv5",
    service_account="trainer@my-project.iam.gserviceaccount.com",
)
CAPACITIES = {
    "on_demand": MACHINE,
    "spot": MachineConfig(**{**vars(MACHINE), "capacity": "spot"}),
    "reserved": MachineConfig(**{**vars(MACHINE), "capacity": "reserved", "reservation": "mine"}),
}
NO_ACCOUNT = "You do not currently have an active account selected"
GCLOUD = shutil.which("gcloud")


def commands(machine: MachineConfig, script: str) -> dict[str, list[str]]:
    return {
        "create": tpu_vm.create_command(machine, "job-0", job="job", script=script),
        "describe": tpu_vm.describe_command(machine, "job-0"),
        "delete": tpu_vm.delete_command(machine, "job-0"),
        "list": tpu_vm.list_command(machine, "job"),
    }


def test_a_request_for_a_slice() -> None:
    assert commands(CAPACITIES["spot"], "start.sh")["create"] == [
        *("gcloud", "compute", "tpus", "queued-resources", "create", "job-0", "--node-id=job-0"),
        "--accelerator-type=v5p-256",
        "--runtime-version=v2-alpha-tpuv5",
        "--spot",
        "--service-account=trainer@my-project.iam.gserviceaccount.com",
        "--labels=codepretrain-job=job",
        "--metadata-from-file=startup-script=start.sh",
        "--scopes=https://www.googleapis.com/auth/cloud-platform",
        "--async",
        "--project=my-project",
        "--zone=us-east5-a",
        "--quiet",
    ]
    reserved = commands(CAPACITIES["reserved"], "start.sh")["create"]
    assert reserved[:2] == ["gcloud", "alpha"]
    assert "--reservation=mine" in reserved
    assert tpu_vm.resource_names("job", MACHINE) == ["job-0", "job-1"]
    assert tpu_vm.slice_index("small-20261127-020000-abcd-12") == 12


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_the_stand_in_knows_every_flag(capacity: str) -> None:
    for name, command in commands(CAPACITIES[capacity], "start.sh").items():
        assert fake_gcloud.parse(command[1:])[0] == name


@pytest.mark.skipif(GCLOUD is None, reason="the Google Cloud CLI is not installed")
@pytest.mark.parametrize("capacity", CAPACITIES)
def test_gcloud_itself_parses_every_command(capacity: str, tmp_path: Path) -> None:
    """It stops for want of an account, after its parser and before any request."""
    script = tmp_path / "start.sh"
    script.write_text("#!/bin/bash\n")
    for name, command in commands(CAPACITIES[capacity], str(script)).items():
        if capacity == "on_demand" or name == "create":
            done = real_gcloud(tmp_path, command)
            assert NO_ACCOUNT in done.stderr, done.stderr
            assert done.returncode == 1


@pytest.mark.skipif(GCLOUD is None, reason="the Google Cloud CLI is not installed")
def test_gcloud_itself_refuses_as_the_stand_in_does(tmp_path: Path) -> None:
    script = tmp_path / "start.sh"
    script.write_text("")
    command = [*commands(MACHINE, str(script))["create"], "--spott"]
    real = real_gcloud(tmp_path, command)
    with pytest.raises(fake_gcloud.Refused) as refused:
        fake_gcloud.parse(command[1:])
    assert refused.value.code == real.returncode == 2
    assert "unrecognized arguments" in str(refused.value)
    assert "unrecognized arguments" in real.stderr
    assert tpu_vm.refusal(Done(2, "", real.stderr)) == "refused"


def real_gcloud(folder: Path, command: list[str]) -> "subprocess.CompletedProcess[str]":
    """Runs gcloud with an empty configuration, so that it has no account and asks nobody."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "CLOUDSDK_CONFIG": str(folder / "config"),
        "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "true",
    }
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def entry(name: str, state: str) -> dict:
    return {"name": f"projects/p/locations/z/queuedResources/{name}", "state": {"state": state}}


def test_states_are_those_of_the_job_only() -> None:
    answer = [entry("job-1", "FAILED"), entry("job-0", "ACTIVE"), entry("job-x-0", "ACTIVE")]
    found = tpu_vm.states(Done(0, json.dumps(answer)), "job")
    assert found == {"job-0": "ACTIVE", "job-1": "FAILED"}


@pytest.mark.parametrize("answer", ["", "{}x", '[{"name": "a"}]', "[1]", '[{"name": 1}]'])
def test_an_answer_that_is_not_understood_is_an_error(answer: str) -> None:
    with pytest.raises(UserError, match="in an unknown form"):
        tpu_vm.states(Done(0, answer), "job")


@pytest.mark.parametrize(
    ("error", "kind"),
    [("quota", "quota"), ("no_capacity", "no_capacity"), ("permission", "refused")],
)
def test_refusals_are_told_apart(error: str, kind: str) -> None:
    assert tpu_vm.refusal(Done(1, "", fake_gcloud.ERRORS[error])) == kind
    assert tpu_vm.refusal(Done(1, "", "something new")) == "unknown"


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="gcloud is not installed: install the Google Cloud CLI"):
        run_command(["gcloud", "version"])
