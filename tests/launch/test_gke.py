"""The JobSet of a job against the official schemas, and its life against a stand-in of kubectl."""

import ast
import copy
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codepretrain.launch import gke
from codepretrain.launch.commands import run_command
from codepretrain.launch.host_settings import Shipment, extras_for, host_start_program
from codepretrain.launch.load_machine import load_machine
from codepretrain.launch.machine import LaunchConfig
from tests.fixtures.fake_kubectl import Kubectl, job_failure

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "tests" / "fixtures" / "jobset_v1alpha2_schema.json"
JOB = "small-20261127-020000-abcd"
SHIPMENT = Shipment(job=JOB, workdir="gs://bucket/folder", bundle="0" * 64, extras=("tpu", "gcs"))
SET = [
    "--machine.machine.project=my-project",
    "--machine.machine.zone=us-west4-a",
    "--machine.machine.cluster=pods",
    "--machine.machine.queue=research",
]


def config(chip: str = "v5e", *overrides: str) -> LaunchConfig:
    return load_machine(ROOT / "launch" / f"gke_{chip}.py", [*SET, *overrides])


VARIANTS = {
    "v5e": config("v5e", "--machine.machine.num_slices=2"),
    "v5e_spot": config("v5e", "--machine.machine.capacity=spot"),
    "v5p_reserved": config(
        "v5p", "--machine.machine.capacity=reserved", "--machine.machine.reservation=mine"
    ),
    "v6e_single_host": config("v6e", "--machine.machine.topology=v6e:2x4"),
    "h100": config("h100", "--machine.machine.service_account=trainer"),
}


def strict(schema: Any) -> Any:
    """Returns a schema that refuses fields it does not list; the server would drop them."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


def jobset_errors(manifest: Any) -> list[str]:
    jsonschema = pytest.importorskip("jsonschema")
    schema = strict(json.loads(SCHEMA.read_text()))
    schema["properties"]["metadata"] = {"type": "object"}
    validator = jsonschema.Draft202012Validator(schema)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(manifest)]


def job_of(manifest: Any) -> Any:
    template = manifest["spec"]["replicatedJobs"][0]["template"]
    name = {"name": "j"}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": name, "spec": template["spec"]}


@pytest.mark.parametrize("name", VARIANTS)
def test_the_manifest_is_valid(name: str) -> None:
    """JobSet by the schema of its CRD, the Job by that of Kubernetes; both refuse other fields."""
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    manifest = json.loads(json.dumps(gke.manifest(VARIANTS[name], SHIPMENT)))
    assert jobset_errors(manifest) == []
    kubernetes_validate.validate(job_of(manifest), "1.33", strict=True)


def test_the_schemas_refuse_a_misspelled_field() -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    manifest = gke.manifest(VARIANTS["v5e"], SHIPMENT)
    for path in (["failurePolicy"], ["replicatedJobs", 0], ["replicatedJobs", 0, "template"]):
        broken = copy.deepcopy(manifest)
        place = broken["spec"]
        for key in path:
            place = place[key]
        place["maxRestart"] = 3
        assert any("maxRestart" in error for error in jobset_errors(broken)), path
    broken = copy.deepcopy(manifest)
    job_of(broken)["spec"]["template"]["spec"]["hostNetworks"] = True
    assert jobset_errors(broken)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job_of(broken), "1.33", strict=True)
    del manifest["spec"]["failurePolicy"]["rules"][0]["name"]
    assert any("'name' is a required" in error for error in jobset_errors(manifest))


def test_the_fields_of_a_multislice_job() -> None:
    manifest = gke.manifest(VARIANTS["v5e"], SHIPMENT)
    assert manifest["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "research"
    assert manifest["metadata"]["annotations"] == {
        "alpha.jobset.sigs.k8s.io/exclusive-topology": "cloud.google.com/gke-nodepool"
    }
    (replicated,) = manifest["spec"]["replicatedJobs"]
    assert replicated["replicas"] == 2
    job = replicated["template"]["spec"]
    assert (job["parallelism"], job["completions"], job["backoffLimit"]) == (4, 4, 0)
    pod = job["template"]["spec"]
    assert pod["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
        "cloud.google.com/gke-tpu-topology": "4x4",
    }
    assert (pod["hostNetwork"], pod["dnsPolicy"]) == (True, "ClusterFirstWithHostNet")
    assert pod["restartPolicy"] == "Never"
    (container,) = pod["containers"]
    assert container["resources"] == {"limits": {"google.com/tpu": "4"}}
    program, settings = container["command"][2:]
    ast.parse(program)
    assert json.loads(settings)["hosts_per_slice"] == 4
    assert "slice" not in json.loads(settings)


def expanded(text: str, variables: dict[str, str]) -> str:
    """What a container gets of a command's word, by the rules of Kubernetes.

    Source: Kubernetes API, Container.command: "$$" is "$"; "$(NAME)" is the variable's value, and
    stays as it is if there is no such variable.
    """
    return re.sub(
        r"\$\$|\$\((\w+)\)",
        lambda found: "$" if found[0] == "$$" else variables.get(found[1], found[0]),
        text,
    )


def test_values_with_dollar_signs_arrive_as_they_are() -> None:
    values = {"FORMAT": "a$$b $(JOB_INDEX) $(OTHER) $HOME $"}
    machine = replace(VARIANTS["v5e"].machine, env=values)
    manifest = gke.manifest(replace(VARIANTS["v5e"], machine=machine), SHIPMENT)
    command = job_of(manifest)["spec"]["template"]["spec"]["containers"][0]["command"]
    program, settings = (expanded(word, {"JOB_INDEX": "3"}) for word in command[2:])
    assert program == host_start_program()
    assert json.loads(settings)["env"] == values


def test_capacity_and_single_hosts() -> None:
    def pod(name: str) -> Any:
        return job_of(gke.manifest(VARIANTS[name], SHIPMENT))["spec"]["template"]["spec"]

    assert pod("v5e_spot")["nodeSelector"]["cloud.google.com/gke-spot"] == "true"
    assert len(pod("v5e_spot")["tolerations"]) == 2
    labels = pod("v5p_reserved")["nodeSelector"]
    assert labels["cloud.google.com/reservation-name"] == "mine"
    assert pod("v6e_single_host")["containers"][0]["resources"] == {
        "limits": {"google.com/tpu": "8"}
    }
    gpu = pod("h100")
    assert gpu["nodeSelector"] == {"cloud.google.com/gke-accelerator": "nvidia-h100-80gb"}
    assert gpu["containers"][0]["resources"] == {"limits": {"nvidia.com/gpu": "8"}}
    assert gpu["serviceAccountName"] == "trainer"


def test_extras_are_those_of_the_accelerator_the_store_and_the_evaluations() -> None:
    assert extras_for(VARIANTS["v5e"], evaluators=["validation_loss"]) == ("tpu", "gcs")
    assert extras_for(VARIANTS["h100"], evaluators=["harness"]) == ("cuda", "gcs", "eval")
    assert extras_for(LaunchConfig(), evaluators=[]) == ("gcs",)


def test_names_of_pods_fit() -> None:
    large = config("v5e", "--machine.machine.topology=v5e:16x16", "--machine.machine.num_slices=99")
    assert gke.longest_pod_name(large, JOB) == len(f"{JOB}-slice-98-63-abcde")


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    return Kubectl(tmp_path, monkeypatch)


def state(machine_config: LaunchConfig) -> tuple[str, str]:
    done = run_command(gke.get_command(machine_config.machine, JOB))
    assert done.code == 0, done.stderr
    return gke.state_of(done.stdout)


def submitted(machine_config: LaunchConfig) -> None:
    manifest = json.dumps(gke.manifest(machine_config, SHIPMENT))
    done = run_command(gke.apply_command(machine_config.machine), manifest)
    assert done.code == 0, done.stderr


def test_a_life_without_faults(kubectl: Kubectl) -> None:
    machine = VARIANTS["v5e"]
    assert state(machine) == ("STOPPED", "there is no JobSet")
    submitted(machine)
    submitted(machine)  # `resume` applies the same again
    assert state(machine) == ("QUEUED", "Kueue has not admitted it")
    assert state(machine)[0] == "PROVISIONING"
    assert state(machine) == ("RUNNING", "2 of 2 slices are ready, 0 restarts")
    for _ in range(2):
        assert run_command(gke.delete_command(machine.machine, JOB, timeout_s=60)).code == 0
    assert kubectl.jobsets == {}
    assert all("--context=gke_my-project_us-west4-a_pods" in call for call in kubectl.calls)


def test_a_user_error_fails_the_job_at_once(kubectl: Kubectl) -> None:
    machine = VARIANTS["v5e"]
    submitted(machine)
    kubectl.end_pod(JOB, code=2)
    found, why = state(machine)
    assert found == "FAILED"
    assert "exit code 2" in why


def test_disruptions_do_not_count_and_crashes_do(kubectl: Kubectl) -> None:
    machine = config("v5e", "--machine.restart.max_failures=2")
    submitted(machine)
    for _ in range(5):
        kubectl.end_pod(JOB, is_disruption=True)
    for code in (1, -9 + 128 + 18):
        kubectl.end_pod(JOB, code=code)
    assert state(machine)[0] == "PROVISIONING"
    assert state(machine) == ("RUNNING", "1 of 1 slices are ready, 7 restarts")
    kubectl.end_pod(JOB, code=1)
    assert state(machine) == ("FAILED", "jobset failed due to reaching max number of restarts")


def test_exit_codes_that_begin_with_2_are_no_user_errors() -> None:
    job = job_of(gke.manifest(VARIANTS["v5e"], SHIPMENT))["spec"]
    assert job_failure(job, 20, False)[0] == "BackoffLimitExceeded"
    assert job_failure(job, 2, False)[0] == "PodFailurePolicy"
    assert "DisruptionTarget" in job_failure(job, 2, True)[1]


def test_a_job_that_kueue_preempts_is_queued_again(kubectl: Kubectl) -> None:
    machine = VARIANTS["v5e"]
    submitted(machine)
    for _ in range(3):
        last = state(machine)
    assert last[0] == "RUNNING"
    kubectl.preempt(JOB)
    assert [state(machine)[0] for _ in range(3)] == ["QUEUED", "PROVISIONING", "RUNNING"]


@pytest.mark.parametrize("error", ["no_cluster", "no_jobset", "network"])
def test_errors_of_kubectl_are_passed_on(error: str, kubectl: Kubectl) -> None:
    kubectl.fail("apply", error)
    done = run_command(gke.apply_command(VARIANTS["v5e"].machine), "{}")
    assert done.code == 1
    assert "\n" not in done.reason
    assert kubectl.jobsets == {}


def test_the_stand_in_refuses_unknown_flags_and_changes(kubectl: Kubectl) -> None:
    machine = VARIANTS["v5e"]
    command = [*gke.get_command(machine.machine, JOB), "--outputs=json"]
    assert "unknown flag: --outputs" in run_command(command).stderr
    submitted(machine)
    other = json.dumps(gke.manifest(VARIANTS["v5e_spot"], SHIPMENT))
    done = run_command(gke.apply_command(machine.machine), other)
    assert "immutable" in done.reason
