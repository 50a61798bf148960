"""GKE: a job as one JobSet, and the commands of `kubectl`.

JobSet starts one Job per slice and one pod per host, keeps each slice within a node pool, and
restarts the pods; Kueue admits all slices or none. Each pod runs `host_start.py`, which becomes the
supervisor. Its exit code decides (`cli/process.py`):

    pod ends                              Job fails with           JobSet
    0                                     -                        completes when all pods have
    2, a user error                       PodFailurePolicy         FailJobSet
    evicted, preempted, node drained      PodFailurePolicy         restarts, not counted
    anything else                         BackoffLimitExceeded     restarts, up to maxRestarts

Both reasons of `PodFailurePolicy` are told apart by the Job's message.

Source: JobSet v1alpha2 (kubernetes-sigs/jobset: API, and KEP-262 for the patterns of messages);
Kubernetes Job v1, "Pod failure policy"; GKE documentation, "Run TPU workloads", "Multislice TPUs".
"""

import json
from collections.abc import Mapping
from typing import Any

from codepretrain.launch.host_settings import Shipment, host_settings, host_start_program
from codepretrain.launch.load_machine import slice_of
from codepretrain.launch.machine import LaunchConfig, MachineConfig
from codepretrain.launch.shapes import Slice

API_VERSION = "jobset.x-k8s.io/v1alpha2"
KIND = "jobset.jobset.x-k8s.io"
USER_ERROR = 2
_CONTAINER = "host"
_REPLICATED_JOB = "slice"
_NODE_POOL = "cloud.google.com/gke-nodepool"
_JOB_INDEX = "metadata.labels['jobset.sigs.k8s.io/job-index']"
_EXTRA_GRACE_S = 15  # after the supervisor's own, for its last record


def manifest(config: LaunchConfig, shipment: Shipment) -> dict[str, Any]:
    """Returns the JobSet of a job, as JSON-ready values."""
    machine = config.machine
    found = slice_of(machine)
    assert found is not None
    queue = {"kueue.x-k8s.io/queue-name": machine.queue}
    return {
        "apiVersion": API_VERSION,
        "kind": "JobSet",
        "metadata": {
            "name": shipment.job,
            "labels": {**queue, "app.kubernetes.io/name": "codepretrain"},
            "annotations": {"alpha.jobset.sigs.k8s.io/exclusive-topology": _NODE_POOL},
        },
        "spec": {
            "failurePolicy": _failure_policy(config),
            "replicatedJobs": [
                {
                    "name": _REPLICATED_JOB,
                    "replicas": machine.num_slices,
                    "template": {"spec": _job(config, shipment, found)},
                }
            ],
        },
    }


def longest_pod_name(config: LaunchConfig, job: str) -> int:
    """Returns the length of the longest name that JobSet makes of a job's; at most 63 is valid."""
    found = slice_of(config.machine)
    assert found is not None
    indices = f"{config.machine.num_slices - 1}-{found.num_hosts - 1}"
    return len(f"{job}-{_REPLICATED_JOB}-{indices}-xxxxx")


def apply_command(machine: MachineConfig) -> list[str]:
    """Returns the command that creates what the manifest on stdin says."""
    return ["kubectl", "apply", "--filename=-", *_where(machine)]


def get_command(machine: MachineConfig, job: str) -> list[str]:
    return ["kubectl", "get", KIND, job, "--output=json", "--ignore-not-found", *_where(machine)]


def delete_command(machine: MachineConfig, job: str, *, timeout_s: float) -> list[str]:
    """Returns the command that deletes a JobSet and waits until its pods have ended.

    Pods of a JobSet that is gone would be taken for those of the next one of the same name.
    """
    wait = ["--cascade=foreground", "--wait=true", f"--timeout={timeout_s:.0f}s"]
    return ["kubectl", "delete", KIND, job, "--ignore-not-found", *wait, *_where(machine)]


def state_of(answer: str) -> tuple[str, str]:
    """Returns the state of a job's machines, from the answer of `get`, and why in words.

    STOPPED: there is no JobSet. DELETING: it is being deleted. The other states are those of a job:
    QUEUED has no pods, DONE and FAILED will never have any again.
    """
    if not answer.strip():
        return "STOPPED", "there is no JobSet"
    found = json.loads(answer)
    if found["metadata"].get("deletionTimestamp"):
        return "DELETING", "it is being deleted"
    status = found.get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions", []) if c["status"] == "True"}
    for kind, state in (("Failed", "FAILED"), ("Completed", "DONE"), ("Suspended", "QUEUED")):
        if kind in conditions:
            return state, conditions[kind].get("message") or conditions[kind].get("reason", kind)
    if found.get("spec", {}).get("suspend"):
        return "QUEUED", "Kueue has not admitted it"
    ready = sum(entry.get("ready", 0) for entry in status.get("replicatedJobsStatus", []))
    wanted = sum(entry["replicas"] for entry in found["spec"]["replicatedJobs"])
    restarts = status.get("restarts", 0)
    words = f"{ready} of {wanted} slices are ready, {restarts} restarts"
    return ("RUNNING" if ready == wanted else "PROVISIONING"), words


def _failure_policy(config: LaunchConfig) -> dict[str, Any]:
    of_job = {"onJobFailureReasons": ["PodFailurePolicy"]}
    return {
        "maxRestarts": config.restart.max_failures,
        "restartStrategy": "BlockingRecreate",
        "rules": [
            {
                "name": "userError",
                "action": "FailJobSet",
                **of_job,
                "onJobFailureMessagePatterns": [f".*exit code {USER_ERROR} .*"],
            },
            {
                "name": "disruption",
                "action": "RestartJobSetAndIgnoreMaxRestarts",
                **of_job,
                "onJobFailureMessagePatterns": [".*DisruptionTarget.*"],
            },
        ],
    }


def _job(config: LaunchConfig, shipment: Shipment, found: Slice) -> dict[str, Any]:
    """Returns the spec of the Job of one slice."""
    return {
        "parallelism": found.num_hosts,
        "completions": found.num_hosts,
        "completionMode": "Indexed",
        "backoffLimit": 0,
        "podFailurePolicy": {
            "rules": [
                {
                    "action": "FailJob",
                    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                },
                {
                    "action": "FailJob",
                    "onExitCodes": {
                        "containerName": _CONTAINER,
                        "operator": "In",
                        "values": [USER_ERROR],
                    },
                },
            ]
        },
        "template": {
            "metadata": {"labels": {"app.kubernetes.io/name": "codepretrain"}},
            "spec": _pod(config, shipment, found),
        },
    }


def _pod(config: LaunchConfig, shipment: Shipment, found: Slice) -> dict[str, Any]:
    machine = config.machine
    account = {"serviceAccountName": machine.service_account} if machine.service_account else {}
    # Kubernetes expands $(NAME) in commands, and makes one $ of two.
    settings = json.dumps(host_settings(config, shipment)).replace("$", "$$")
    program = host_start_program().replace("$", "$$")
    index = {"fieldRef": {"fieldPath": _JOB_INDEX}}
    return {
        "restartPolicy": "Never",
        "hostNetwork": True,
        "dnsPolicy": "ClusterFirstWithHostNet",
        "terminationGracePeriodSeconds": round(config.watchdog.grace_s) + _EXTRA_GRACE_S,
        **account,
        "nodeSelector": {**found.node_labels, **_capacity_labels(machine)},
        "tolerations": [
            {"key": found.resource, "operator": "Exists", "effect": "NoSchedule"},
            *_capacity_tolerations(machine),
        ],
        "containers": [
            {
                "name": _CONTAINER,
                "image": machine.image,
                "command": ["python3", "-c", program, settings],
                "env": [{"name": "JOB_INDEX", "valueFrom": index}],
                "resources": {"limits": {found.resource: str(found.chips_per_host)}},
                "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
            }
        ],
        "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory"}}],
    }


def _capacity_labels(machine: MachineConfig) -> Mapping[str, str]:
    if machine.capacity == "spot":
        return {"cloud.google.com/gke-spot": "true"}
    if machine.reservation:
        return {"cloud.google.com/reservation-name": machine.reservation}
    return {}


def _capacity_tolerations(machine: MachineConfig) -> list[dict[str, str]]:
    if machine.capacity != "spot":
        return []
    return [
        {
            "key": "cloud.google.com/gke-spot",
            "operator": "Equal",
            "value": "true",
            "effect": "NoSchedule",
        }
    ]


def _where(machine: MachineConfig) -> list[str]:
    """Returns the flag that names the cluster, as `get-credentials` calls it."""
    return [f"--context=gke_{machine.project}_{machine.zone}_{machine.cluster}"]
