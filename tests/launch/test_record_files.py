"""Records as files: exact, strict, and tolerant of later formats."""

from dataclasses import replace
from pathlib import Path

import pytest
from etils import epath

from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.atomic import write_text
from codepretrain.files.json_values import decode, encode
from codepretrain.launch import record_files
from codepretrain.launch.job import Job, Request
from codepretrain.launch.job_folder import JobFolder
from codepretrain.launch.machine import LaunchConfig, MachineConfig
from codepretrain.launch.records import Attempt, End, HostRecord, Orders, WorkerReport
from tests.launch.random_faults import phase, single

ATTEMPT = Attempt(
    id="train.a-3",
    stage="train.a",
    number=3,
    hosts=(0, 2),
    coordinator="10.0.0.1:8476",
    expected_step=40,
    arguments=("train", "--phase", "a"),
    env={"A": "NaN"},
)
HOST = HostRecord(
    host=2,
    boot="b",
    beat=7,
    address="h:1",
    attempt="train.a-3",
    is_running=True,
    report=WorkerReport(
        activity="train", step=4, idle_s=0.1, facts={"loss": float("inf"), "phase": "a"}
    ),
    end=End(code=-9, cause="crash", message="NaN"),
)


@pytest.fixture(params=["local", "store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> JobFolder:
    if request.param == "local":
        return JobFolder(epath.Path(tmp_path / "jobs" / "j"))
    return JobFolder(storage.parse(f"memory://bucket/{tmp_path.name}/jobs/j"))


def change(path: epath.Path, **fields: object) -> None:
    """Replaces fields of a record; those with the value `...` are removed."""
    value = decode(storage.read_text(path))
    value["format"] = fields.pop("format", value["format"])
    record = {**value["record"], **fields}
    value["record"] = {name: item for name, item in record.items() if item is not ...}
    write_text(path, encode(value))


def test_records_come_back_equal(folder: JobFolder) -> None:
    orders = Orders(term=4, running=(ATTEMPT,), ending=("x-1",), killing=("y-2",))
    record_files.write_host(folder, HOST)
    record_files.write_host(folder, replace(HOST, host=10, report=None, end=None))
    record_files.write_orders(folder, orders, by="c")
    assert record_files.create_attempt(folder, ATTEMPT, by="c")
    assert record_files.read_hosts(folder) == {
        2: HOST,
        10: replace(HOST, host=10, report=None, end=None),
    }
    assert record_files.read_hosts(folder, [2, 3]) == {2: HOST}
    assert record_files.read_orders(folder) == orders
    assert record_files.read_attempt(folder, "train.a-3") == ATTEMPT
    assert record_files.used_numbers(folder) == {"train.a": 3}


def test_a_job_comes_back_equal(folder: JobFolder) -> None:
    machine = MachineConfig(kind="gke", topology="v5e:16x16", secrets={"KEY": "name"})
    job = Job(
        name="j",
        config="c.py",
        workdir="gs://b/w",
        stages=(phase("a", expected_chip_hours=1.5), single("report", "train.a")),
        launch=LaunchConfig(machine=machine),
    )
    assert record_files.create_job(folder, job, by="s")
    assert not record_files.create_job(folder, replace(job, config="d.py"), by="t")
    assert record_files.read_job_record(folder) == job


def test_an_attempt_is_written_by_one_of_two_conductors(folder: JobFolder) -> None:
    assert record_files.create_attempt(folder, ATTEMPT, by="one")
    assert not record_files.create_attempt(folder, ATTEMPT, by="another")


def test_requests_are_numbered(folder: JobFolder) -> None:
    for kind in ("stop", "resume"):
        record_files.create_request(folder, Request(number=0, kind=kind), by="c")
    found = record_files.read_requests(folder)
    assert [(r.number, r.kind) for r in found] == [(1, "stop"), (2, "resume")]
    assert record_files.read_requests(folder, after=1) == found[1:]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"speed": 1}, "2.json.speed: no such field"),
        ({"beat": ...}, "2.json.beat is missing"),
        ({"beat": "7"}, "2.json.beat: expected a whole number"),
        ({"host": 3}, "expected the record of host 2, found that of host 3"),
        ({"end": {"code": 1, "cause": "moon"}}, "expected a cause of done"),
    ],
)
def test_what_is_wrong_is_named(folder: JobFolder, fields: dict, message: str) -> None:
    record_files.write_host(folder, HOST)
    change(folder.hosts / "2.json", **fields)
    with pytest.raises(UserError, match=message):
        record_files.read_hosts(folder)
    errors: list[int] = []
    record_files.write_host(folder, replace(HOST, host=1))
    found = record_files.read_hosts(folder, on_error=lambda host, _: errors.append(host))
    assert (set(found), errors) == ({1}, [2])


def test_unknown_fields_of_a_later_format_are_ignored(folder: JobFolder) -> None:
    record_files.write_host(folder, HOST)
    path = folder.hosts / "2.json"
    report = {"activity": "train", "step": 4, "idle_s": 0.1, "mood": "good", "facts": {"x": 1}}
    change(path, format=2, speed=1, report=report)
    found = record_files.read_hosts(folder)[2]
    assert HOST.report is not None
    assert found == replace(HOST, report=replace(HOST.report, facts={"x": 1}))
    change(path, beat=...)
    with pytest.raises(UserError, match="beat is missing"):
        record_files.read_hosts(folder)


def test_half_a_file_is_damage(folder: JobFolder) -> None:
    write_text(folder.orders, '{"format": 1, "rec')
    with pytest.raises(UserError, match=r"orders.json is damaged"):
        record_files.read_orders(folder)


def test_no_orders_yet(folder: JobFolder) -> None:
    assert record_files.read_orders(folder) is None
