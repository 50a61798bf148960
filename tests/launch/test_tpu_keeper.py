"""The keeper of TPU VMs: its decision by a table, and whole lives against a stand-in of gcloud."""

import subprocess
from pathlib import Path

import pytest

from codepretrain.errors import UserError
from codepretrain.launch.commands import Done
from codepretrain.launch.host_settings import Shipment
from codepretrain.launch.load_machine import check_machine
from codepretrain.launch.machine import LaunchConfig, MachineConfig
from codepretrain.launch.tpu_keeper import (
    MAX_WAIT_S,
    Keeper,
    Memory,
    after_refusal,
    decide,
    job_state,
)
from tests.fixtures.fake_gcloud import Gcloud

JOB = "small-20261127-020000-abcd"
SHIPMENT = Shipment(job=JOB, workdir="gs://bucket/folder", bundle="0" * 64, extras=("tpu", "gcs"))
SLICES = (f"{JOB}-0", f"{JOB}-1")


def config(num_slices: int = 2, **fields) -> LaunchConfig:
    made = LaunchConfig(
        machine=MachineConfig(
            kind="tpu_vm",
            topology="v5e:4x4",
            num_slices=num_slices,
            project="my-project",
            zone="us-west4-a",
            runtime_version="v2-alpha-tpuv5-lite",
            **{"capacity": "spot", **fields},
        )
    )
    check_machine(made)
    return made


class Life:
    """A keeper, its clock, and what it notes."""

    def __init__(self, tmp_path: Path, num_slices: int = 2, **fields) -> None:
        self.now = 0.0
        self.notes: list[str] = []
        self.states: list[str] = []
        self.is_over = False
        self.folder = tmp_path / "scripts"
        self.config = config(num_slices, **fields)
        self.keeper = self.new_keeper()

    def new_keeper(self) -> Keeper:
        return Keeper(
            self.config,
            SHIPMENT,
            scripts=self.folder,
            note=self.notes.append,
            on_state=lambda state, why: self.states.append(f"{state} {why}"),
        )

    def ticks(self, number: int) -> bool:
        ended = False
        for _ in range(number):
            ended = self.keeper.tick(is_over=self.is_over, now=self.now)
            self.now += 15.0
        return ended


@pytest.fixture
def gcloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gcloud:
    return Gcloud(tmp_path, monkeypatch, quota=2)


@pytest.mark.parametrize(
    ("state", "memory", "action", "waits"),
    [
        (None, Memory(), "create", False),
        (None, Memory(num_failures=1, retry_at=101.0), None, True),
        (None, Memory(num_failures=1, retry_at=100.0), "create", False),
        ("CREATING", Memory(), None, False),
        ("WAITING_FOR_RESOURCES", Memory(), None, False),
        ("PROVISIONING", Memory(), None, False),
        ("ACTIVE", Memory(num_failures=4), None, False),
        ("SUSPENDING", Memory(was_active=True), None, False),
        ("SUSPENDED", Memory(was_active=True), "delete", False),
        ("SUSPENDED", Memory(), "delete", True),
        ("FAILED", Memory(), "delete", True),
        ("DELETING", Memory(), None, False),
        ("NEW_IN_2030", Memory(), None, False),
    ],
)
def test_the_decision(state: str | None, memory: Memory, action: str | None, waits: bool) -> None:
    observed = {} if state is None else {"a-0": state}
    actions, after = decide(["a-0"], observed, {"a-0": memory}, is_over=False, now=100.0)
    assert [a.kind for a in actions] == ([action] if action else [])
    assert (after["a-0"].retry_at > 100.0) == waits
    if state == "ACTIVE":
        assert after["a-0"] == Memory(was_active=True)


def test_when_the_job_is_over_everything_is_deleted() -> None:
    observed = {"a-0": "ACTIVE", "a-1": "DELETING", "a-2": "WAITING_FOR_RESOURCES"}
    actions, _ = decide(["a-0", "a-1"], observed, {}, is_over=True, now=0.0)
    assert [(a.kind, a.name) for a in actions] == [("delete", "a-0"), ("delete", "a-2")]


def test_a_slice_that_the_machine_does_not_have_is_deleted() -> None:
    actions, _ = decide(["a-0"], {"a-0": "ACTIVE", "a-7": "ACTIVE"}, {}, is_over=False, now=0.0)
    assert [(a.kind, a.name) for a in actions] == [("delete", "a-7")]


def test_waits_double_up_to_a_bound() -> None:
    memory, waits = Memory(), []
    for _ in range(40):
        memory = after_refusal(memory, 0.0)
        waits.append(memory.retry_at)
    assert waits[:4] == [30.0, 60.0, 120.0, 240.0]
    assert waits[-1] == MAX_WAIT_S


def test_a_life_without_faults(tmp_path: Path, gcloud: Gcloud) -> None:
    life = Life(tmp_path, service_account="trainer@my-project.iam.gserviceaccount.com")
    life.ticks(6)
    assert gcloud.states == dict.fromkeys(SLICES, "ACTIVE")
    flags = gcloud.created(SLICES[1])
    assert flags["--node-id"] == SLICES[1]
    assert flags["--accelerator-type"] == "v5litepod-16"
    assert flags["--labels"] == f"codepretrain-job={JOB}"
    assert flags["--service-account"].startswith("trainer@")
    assert "--spot" in flags
    life.is_over = True
    assert not life.ticks(2)
    assert life.ticks(1)
    assert gcloud.states == {}
    creations = [call for call in gcloud.calls if "create" in call]
    assert len(creations) == 2
    assert life.states == [
        "QUEUED slices: 2 not requested",
        "PROVISIONING slices: 2 PROVISIONING",
    ]


def test_the_state_of_a_job_is_that_of_its_last_slice() -> None:
    wanted = ["a-0", "a-1"]
    assert job_state(wanted, {"a-0": "ACTIVE"}) == ("QUEUED", "slices: 1 ACTIVE, 1 not requested")
    both = {"a-0": "ACTIVE", "a-1": "PROVISIONING"}
    assert job_state(wanted, both)[0] == "PROVISIONING"
    assert job_state(wanted, {"a-0": "ACTIVE", "a-1": "SUSPENDED"})[0] == "QUEUED"


def test_a_preempted_slice_is_replaced_at_once_and_the_other_one_kept(
    tmp_path: Path, gcloud: Gcloud
) -> None:
    """Suspended resources count against the quota: without the deletion nothing could be made."""
    life = Life(tmp_path)
    life.ticks(6)
    gcloud.set_state(SLICES[0], "SUSPENDING")
    life.ticks(10)
    assert gcloud.states == dict.fromkeys(SLICES, "ACTIVE")
    deletions = [call for call in gcloud.calls if "delete" in call]
    assert [(call[4], "--force" in call) for call in deletions] == [(SLICES[0], True)]
    assert f"{SLICES[0]}: deleted: it was preempted (SUSPENDED)" in life.notes


def test_a_failed_request_is_deleted_and_repeated_after_a_wait(
    tmp_path: Path, gcloud: Gcloud
) -> None:
    life = Life(tmp_path, num_slices=1)
    life.ticks(2)
    gcloud.set_state(SLICES[0], "FAILED")
    life.ticks(1)
    failed_at = life.now - 15.0
    life.ticks(10)
    assert gcloud.states == {SLICES[0]: "ACTIVE"}
    assert f"{SLICES[0]}: deleted: the request failed (FAILED)" in life.notes
    assert life.now - failed_at >= 30.0


@pytest.mark.parametrize("error", ["quota", "no_capacity"])
def test_a_refusal_for_want_of_machines_is_repeated(
    error: str, tmp_path: Path, gcloud: Gcloud
) -> None:
    life = Life(tmp_path, num_slices=1)
    gcloud.fail("create", error, times=3)
    life.ticks(30)
    assert gcloud.states == {SLICES[0]: "ACTIVE"}
    creations = [call for call in gcloud.calls if "create" in call]
    assert len(creations) == 4
    waits = [note.rpartition(" in ")[2] for note in life.notes if "tries again" in note]
    assert waits == ["30 s", "60 s", "120 s"]
    assert sum(f"not requested ({error})" in note for note in life.notes) == 3


@pytest.mark.parametrize("error", ["network", "tokens"])
def test_no_answer_is_not_the_answer_that_nothing_is_there(
    error: str, tmp_path: Path, gcloud: Gcloud
) -> None:
    life = Life(tmp_path, num_slices=1)
    life.ticks(6)
    gcloud.fail("list", error, times=5)
    life.ticks(8)
    assert len([call for call in gcloud.calls if "create" in call]) == 1
    assert gcloud.states == {SLICES[0]: "ACTIVE"}
    life.is_over = True
    gcloud.fail("list", error, times=2)
    gcloud.fail("delete", "network", times=2)
    while not life.ticks(1):
        assert life.now < 1000
    assert gcloud.states == {}


def test_a_failure_that_lasts_is_noted_once_and_again_after_long(tmp_path: Path) -> None:
    """A note is an event of the job: one at each poll would be 5,760 a day."""
    life = Life(tmp_path, num_slices=1)
    failed = Done(1, "", "ERROR: no route to host")
    active = f'[{{"name": "a/queuedResources/{SLICES[0]}", "state": {{"state": "ACTIVE"}}}}]'
    answers = {"list": failed, "delete": failed}
    life.keeper._run = lambda command, _: answers[command[4]]
    life.ticks(30)
    assert len(life.notes) == 1
    assert life.notes[0].startswith("gcloud cannot list the queued resources of")
    life.ticks(30)  # 15 minutes in all
    assert len(life.notes) == 2
    answers["list"] = Done(1, "", "ERROR: expired")
    life.ticks(2)
    answers["list"] = Done(0, active)
    life.is_over = True
    life.ticks(20)
    assert "ERROR: expired; tries again" in life.notes[2]
    assert life.notes[3].startswith("gcloud works again, after")
    assert life.notes[4:] == [
        f"{SLICES[0]}: ACTIVE",
        f"{SLICES[0]}: not deleted: ERROR: no route to host; tries again",
    ]


def test_another_keeper_takes_over_what_is_there(tmp_path: Path, gcloud: Gcloud) -> None:
    life = Life(tmp_path)
    life.ticks(3)
    life.keeper = life.new_keeper()  # the machine of the first one is gone
    life.ticks(5)
    assert gcloud.states == dict.fromkeys(SLICES, "ACTIVE")
    assert len([call for call in gcloud.calls if "create" in call]) == 2


def test_a_first_request_that_is_refused_for_what_it_asks_is_an_error(
    tmp_path: Path, gcloud: Gcloud
) -> None:
    life = Life(tmp_path)
    gcloud.fail("create", "permission")
    with pytest.raises(UserError, match=r"gcloud refuses to create .*-0: .*PERMISSION_DENIED"):
        life.ticks(1)
    assert gcloud.states == {}
    # Once there is a slice, a refusal may pass, and the slices are kept.
    gcloud.fail("list", "network")  # so that slice 0 is the first to be asked for
    life.ticks(2)
    gcloud.set_state(SLICES[0], "FAILED")
    gcloud.fail("create", "permission")
    life.ticks(20)
    assert gcloud.states == dict.fromkeys(SLICES, "ACTIVE")


def test_the_startup_script_is_valid_shell_and_has_names_of_secrets_only(
    tmp_path: Path, gcloud: Gcloud
) -> None:
    life = Life(tmp_path, secrets={"HF_TOKEN": "hub-token"}, env={"A": "it's"})
    life.ticks(1)
    script = life.folder / f"{SLICES[1]}.sh"
    subprocess.run(["bash", "-n", str(script)], check=True)
    text = script.read_text()
    assert '"secrets": {"HF_TOKEN": "hub-token"}' in text
    assert '"slice": 1' in text
    assert "RestartPreventExitStatus=2" in text


def test_the_stand_in_refuses_what_gcloud_refuses(gcloud: Gcloud) -> None:
    base = ["gcloud", "compute", "tpus", "queued-resources"]
    where = ["--project=p", "--zone=z"]
    for arguments, code, words in [
        (["create", "a", *where, "--spott"], 2, "unrecognized arguments: --spott"),
        (["create", "a", "--zone=z"], 2, "--project: Must be specified"),
        (["delete", "a", *where, "--forced"], 2, "unrecognized arguments"),
        (["delete", "a", *where], 1, "NOT_FOUND"),
        (["remove", "a", *where], 2, "Invalid choice"),
    ]:
        done = subprocess.run([*base, *arguments], capture_output=True, text=True)
        assert done.returncode == code
        assert words in done.stderr
