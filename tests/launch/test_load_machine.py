"""Machine files: overrides, the fields that each kind needs, secrets by name only."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from codepretrain.config.python_file import values_of
from codepretrain.errors import UserError
from codepretrain.launch.load_machine import (
    chips_per_slice,
    hosts_per_slice,
    load_machine,
    slice_of,
)
from codepretrain.launch.machine import LaunchConfig

ROOT = Path(__file__).parents[2]
MACHINES = sorted((ROOT / "launch").glob("*.py"))
CLOUD = [
    "--machine.machine.project=my-project",
    "--machine.machine.zone=us-east5-b",
    "--machine.machine.cluster=pods",
    "--machine.machine.queue=research",
]


def machine_file(folder: Path, machine: str, rest: str = "") -> Path:
    path = folder / "machine.py"
    path.write_text(
        textwrap.dedent(f"""
        from ml_collections import ConfigDict

        def get_machine():
            return ConfigDict({{"machine": {machine} {rest}}})
        """)
    )
    return path


def settings(path: Path) -> list[str]:
    """What a user sets: TPU VMs have no cluster and no queue."""
    return [] if path.stem == "local" else CLOUD[: 4 if path.stem.startswith("gke") else 2]


@pytest.mark.parametrize("path", MACHINES, ids=lambda path: path.stem)
def test_every_machine_file_is_valid_once_its_values_are_set(path: Path) -> None:
    machine = load_machine(path, settings(path)).machine
    found = slice_of(machine)
    assert hosts_per_slice(machine) >= 2
    if machine.kind == "local":
        assert found is None
        assert chips_per_slice(machine) == 8
    else:
        assert found is not None
        assert found.chip.name in path.stem
        with pytest.raises(UserError, match=r"--machine\.machine\.project=VALUE"):
            load_machine(path)


@pytest.mark.parametrize("path", MACHINES, ids=lambda path: path.stem)
def test_a_machine_file_says_what_it_needs_and_its_command(path: Path) -> None:
    text = path.read_text()
    for word in ("Needs:", "Run:", "Change:", f"--machine launch/{path.name}"):
        assert word in text
    values = values_of(path, function="get_machine", cls=LaunchConfig, what="machine file")
    assert values["machine"]["kind"] in path.stem


def test_the_values_are_locked() -> None:
    code = "from launch.local import get_machine; get_machine().machine.num_slice = 2"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "did you mean" in done.stderr.lower() or "KeyError" in done.stderr


def test_zones_of_every_kind() -> None:
    for zone in ("us-west4-a", "northamerica-northeast1-b", "us-central1-ai1a"):
        where = [CLOUD[0], f"--machine.machine.zone={zone}"]
        assert load_machine(ROOT / "launch" / "tpu_vm_v5e.py", where).machine.zone == zone
    region = [CLOUD[0], *CLOUD[2:], "--machine.machine.zone=us-west4"]  # of a regional cluster
    assert load_machine(ROOT / "launch" / "gke_v5e.py", region).machine.zone == "us-west4"


def test_overrides_reach_every_part() -> None:
    config = load_machine(
        ROOT / "launch" / "local.py",
        [
            "--machine.machine.num_slices=2",
            "--machine.budget.max_chip_hours=10",
            "--machine.watchdog.heartbeat_s=5",
            "--machine.machine.env.JAX_LOG_COMPILES=1",
        ],
    )
    assert config.machine.num_slices == 2
    assert config.budget.max_chip_hours == 10.0
    assert config.watchdog.heartbeat_s == 5.0
    assert dict(config.machine.env) == {"JAX_LOG_COMPILES": "1"}


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("--machine.num_slices=2", "machine.num_slices: no such field"),
        ("--machine.machine.num_slice=2", "machine.machine.num_slice: no such field; did you mean"),
        (
            "--machine.machine.kind=slurm",
            "machine.machine.kind: expected one of local, tpu_vm, gke",
        ),
        ("--machine.machine.hosts=0", "machine.machine.hosts: expected a whole number from 1"),
        ("--machine.machine.min_slices=2", "expected at most machine.machine.num_slices = 1"),
        ("--machine.machine.capacity=spot", "expected 'on_demand' on a local machine"),
        ("--machine.machine.topology=v5e:4x4", "machine.machine.topology is for tpu_vm and gke"),
        ("--machine.machine.queue=a", "machine.machine.queue is for gke"),
        ("--machine.machine.secrets.A=b", "machine.machine.secrets is for tpu_vm and gke"),
        ("--machine.machine.env.HF_TOKEN=abc", "store it in Secret Manager"),
        ("--machine.watchdog.grace_s=-1", "machine.watchdog.grace_s: expected a positive number"),
        ("--config.seed=1", "overrides have the form --machine.machine.num_slices=2"),
    ],
)
def test_mistakes_are_named(override: str, words: str) -> None:
    with pytest.raises(UserError) as error:
        load_machine(ROOT / "launch" / "local.py", [override])
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("--machine.machine.topology=v5e:3x3", "v5e has no shape 3x3; it has 1x1, 2x2"),
        ("--machine.machine.topology=h100:8", "expected a TPU for machine.machine.kind='tpu_vm'"),
        ("--machine.machine.topology=v5p:4x4x16", "a TPU VM of 256 chips (v5p-512) has the shape"),
        ("--machine.machine.capacity=reserved", "machine.machine.reservation: expected the name"),
        ("--machine.machine.reservation=r", "and None otherwise, got 'r' with 'spot'"),
        ("--machine.machine.zone=us-west4", "machine.machine.zone: expected a zone for machine."),
        (
            "--machine.watchdog.heartbeat_s=2",
            "machine.watchdog.heartbeat_s: expected a number from",
        ),
        ("--machine.machine.zone=US", "machine.machine.zone: expected a zone, such as us-west4-a"),
        ("--machine.machine.hosts=4", "machine.machine.hosts is for local"),
        ("--machine.machine.runtime_version=None", "expected the TPU software version, got None"),
    ],
)
def test_mistakes_on_tpu_vms_are_named(override: str, words: str) -> None:
    zone = [] if ".zone=" in override else CLOUD[1:2]
    with pytest.raises(UserError) as error:
        load_machine(ROOT / "launch" / "tpu_vm_v5e.py", [CLOUD[0], *zone, override])
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ("capacity=reserved", "reservation=projects/p/reservations/r"),
            "machine.machine.reservation: expected the short name of a reservation",
        ),
        (("capacity=reserved", f"reservation={'r' * 64}"), "at most 63 letters"),
        (
            ("service_account=trainer@my-project.iam.gserviceaccount.com",),
            "machine.machine.service_account: expected the name of a Kubernetes service account",
        ),
    ],
)
def test_names_that_kubernetes_refuses_are_named(overrides: tuple[str, ...], words: str) -> None:
    given = [f"--machine.machine.{override}" for override in overrides]
    with pytest.raises(UserError) as error:
        load_machine(ROOT / "launch" / "gke_v5p.py", [*CLOUD, *given])
    assert words in str(error.value)


def test_a_secret_is_given_by_name_and_its_value_never_quoted() -> None:
    value = "hf_" + "x" * 10 + "/+="
    with pytest.raises(UserError) as error:
        load_machine(
            ROOT / "launch" / "gke_v5e.py", [*CLOUD, f"--machine.machine.secrets.HF_TOKEN={value}"]
        )
    assert "expected the name of a secret" in str(error.value)
    assert value not in str(error.value)
    named = load_machine(
        ROOT / "launch" / "gke_v5e.py", [*CLOUD, "--machine.machine.secrets.HF_TOKEN=hub-token"]
    )
    assert dict(named.machine.secrets) == {"HF_TOKEN": "hub-token"}


def test_a_file_may_return_a_config_dict_or_the_dataclass(tmp_path: Path) -> None:
    path = machine_file(tmp_path, '{"kind": "local", "hosts": 3}', ', "restart": {"backoff_s": 1}')
    config = load_machine(path)
    assert (config.machine.hosts, config.restart.backoff_s) == (3, 1.0)
    path.write_text("def get_config(): pass")
    with pytest.raises(UserError, match=r"machine\.py does not define get_machine\(\)"):
        load_machine(path)
    with pytest.raises(UserError, match=r"machine file .*none\.py does not exist; .*machine\.py"):
        load_machine(tmp_path / "none.py")


def test_the_machine_of_a_file_is_a_config_dict() -> None:
    code = "from launch.local import get_machine; print(type(get_machine()).__name__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == ConfigDict.__name__
