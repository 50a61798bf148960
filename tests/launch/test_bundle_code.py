"""The code of a local job: that of its bundle, whatever becomes of the checkout."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from etils import epath

from codepretrain.errors import DamageError
from codepretrain.files import storage
from codepretrain.launch.bundle import Bundle, write_bundle
from codepretrain.launch.bundle_code import environment_with_code, unpack_code
from codepretrain.launch.job import Job
from codepretrain.launch.job_folder import JobFolder, job_folder
from codepretrain.launch.machine import WatchdogConfig
from codepretrain.launch.wheel import build_wheel
from tests.fixtures.object_stores import memory
from tests.launch.supervised import make_job

__all__ = ["memory"]

SETUP = """
from setuptools import setup
setup(name="codepretrain", version="9.9", packages=["codepretrain"])
"""
MAIN = "import sys, codepretrain; print(codepretrain.VALUE)\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    source = tmp_path_factory.mktemp("source")
    (source / "setup.py").write_text(SETUP)
    (source / "codepretrain").mkdir()
    (source / "codepretrain" / "__init__.py").write_text("VALUE = 'submitted'\n")
    (source / "codepretrain" / "__main__.py").write_text(MAIN)
    return build_wheel(source, tmp_path_factory.mktemp("scratch"))


@pytest.fixture(params=["local", "store"])
def folder(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    memory: epath.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> JobFolder:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return job_folder(storage.parse(tmp_path) if request.param == "local" else memory, "job")


@pytest.fixture
def job(folder: JobFolder, wheel: tuple[str, bytes], tmp_path: Path) -> Job:
    bundle = Bundle({wheel[0]: wheel[1], "requirements.lock": b"jax==1\n"})
    write_bundle(folder.bundle, bundle)
    made = make_job(tmp_path, watchdog=WatchdogConfig())
    return replace(made, bundle=bundle.sha256)


def run(folder: Path, environment: dict[str, str]) -> str:
    command = [sys.executable, "-m", "codepretrain"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_checkout_that_has_changed_since_is_not_run(
    folder: JobFolder, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = tmp_path / "checkout"
    (checkout / "codepretrain").mkdir(parents=True)
    (checkout / "codepretrain" / "__init__.py").write_text("VALUE = 'changed since'\n")
    (checkout / "codepretrain" / "__main__.py").write_text(MAIN)
    monkeypatch.chdir(checkout)
    for paths in ("", str(checkout)):
        plain = {**os.environ, "PYTHONPATH": paths}
        assert run(checkout, plain) == "changed since"
        code = unpack_code(folder, job)
        assert run(checkout, environment_with_code(plain, code)) == "submitted"


def test_modules_of_the_current_directory_are_still_found(
    folder: JobFolder, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_tasks.py").write_text("NAME = 'mine'\n")
    environment = environment_with_code(os.environ, unpack_code(folder, job))
    command = [sys.executable, "-c", "import my_tasks; print(my_tasks.NAME)"]
    assert subprocess.check_output(command, env=environment, text=True) == "mine\n"


def test_what_was_changed_below_the_job_is_restored(folder: JobFolder, job: Job) -> None:
    code = unpack_code(folder, job)
    source = code / "codepretrain" / "__init__.py"
    written_ns = source.stat().st_mtime_ns
    assert unpack_code(folder, job) == code
    assert source.stat().st_mtime_ns == written_ns
    source.write_text("VALUE = 'edited'\n")
    assert unpack_code(folder, job) == code
    assert source.read_text() == "VALUE = 'submitted'\n"


def test_a_bundle_that_was_altered_is_refused(folder: JobFolder, job: Job) -> None:
    path = folder.bundle / job.bundle
    (path / "requirements.lock").write_text("jax==2\n")
    with pytest.raises(DamageError, match=r"requirements.lock was altered.*submit the study again"):
        unpack_code(folder, job)


def test_another_bundle_under_the_name_of_this_one_is_refused(
    folder: JobFolder, job: Job, wheel: tuple[str, bytes]
) -> None:
    name = "1" * 64
    other = Bundle({wheel[0]: wheel[1]})
    written = write_bundle(folder.path / "elsewhere", other)
    for file in storage.names(written):
        (folder.bundle / name / file).parent.mkdir(parents=True, exist_ok=True)
        (folder.bundle / name / file).write_bytes(storage.read_bytes(written / file))
    with pytest.raises(DamageError, match="does not match its hash"):
        unpack_code(folder, replace(job, bundle=name))
