"""What a host runs first, against local servers that stand for the metadata server and the stores.

The whole program runs, as on a host; only `codepretrain` itself is a small wheel that prints.
"""

import base64
import json
import os
import stat
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from etils import epath

from codepretrain.files import storage
from codepretrain.launch import host_start
from codepretrain.launch.bundle import Bundle, write_bundle
from codepretrain.launch.host_settings import host_start_program
from codepretrain.launch.wheel import _zipped

JOB = "small-20261127-020000-abcd"
SECRET = "hf_value_from_secret_manager"
# Prints what it was started with; the value of the secret is for the test to see.
MAIN = b"""
import json, os, sys
print(json.dumps([sys.argv[1:], os.environ.get("HF_TOKEN"), os.environ.get("PLAIN")]))
"""


def wheel() -> bytes:
    info = "codepretrain-1.0.dist-info"
    return _zipped(
        {
            "codepretrain/__init__.py": b"",
            "codepretrain/__main__.py": MAIN,
            f"{info}/METADATA": b"Metadata-Version: 2.1\nName: codepretrain\nVersion: 1.0\n",
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": b"",
        }
    )


class Cloud:
    """One server for all services. failures: statuses of the next answers, by path's beginning."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.failures: list[tuple[str, int]] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, method: str, path: str, headers: Any) -> tuple[int, bytes]:
        self.asked.append(f"{method} {path}")
        for failure in self.failures:
            if path.startswith(failure[0]):
                self.failures.remove(failure)
                return failure[1], b""
        if path.startswith("/computeMetadata/v1/"):
            if headers.get("Metadata-Flavor") != "Google":
                return 403, b""
            values = {"agent-worker-number": "3", "token": '{"access_token": "abc"}'}
            return 200, values[path.rpartition("/")[2]].encode()
        if headers.get("Authorization") != "Bearer abc":
            return 401, b""
        if path.startswith("/storage/v1/b/bucket/o/"):
            name = urllib.parse.unquote(path.split("/o/")[1].partition("?")[0])
            file = self.folder / name
            return (200, file.read_bytes()) if file.is_file() else (404, b"")
        if path == "/v1/projects/my-project/secrets/hub-token/versions/latest:access":
            data = base64.b64encode(SECRET.encode()).decode()
            return 200, json.dumps({"payload": {"data": data}}).encode()
        return (200, b"{}") if method == "DELETE" else (404, b"")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        cloud = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                code, body = cloud.answer(self.command, self.path, self.headers)
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_DELETE = do_GET

            def log_message(self, *arguments: Any) -> None:
                pass

        return Handler


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path / "bucket")
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def settings(cloud: Cloud, tmp_path: Path) -> dict[str, Any]:
    bundle = Bundle({"codepretrain-1.0-py3-none-any.whl": wheel(), "requirements.lock": b""})
    write_bundle(epath.Path(cloud.folder / "folder" / "jobs" / JOB / "bundle"), bundle)
    return {
        "kind": "tpu_vm",
        "job": JOB,
        "workdir": "gs://bucket/folder",
        "bundle": bundle.sha256,
        "extras": [],
        "folder": str(tmp_path / "host"),
        "hosts_per_slice": 4,
        "slice": 1,
        "project": "my-project",
        "zone": "us-west4-a",
        "env": {"PLAIN": "plain"},
        "secrets": {"HF_TOKEN": "hub-token"},
        "endpoints": dict.fromkeys(host_start.ENDPOINTS, cloud.address),
    }


def start(
    settings: dict[str, Any], *flags: str, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Runs the program as the host does: by its text, under a plain interpreter."""
    command = [sys.executable, "-I", "-c", host_start_program(), json.dumps(settings), *flags]
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(
        command, env=environment, cwd="/", capture_output=True, text=True, timeout=300
    )


def test_a_host_of_a_tpu_slice_becomes_the_supervisor(
    settings: dict[str, Any], cloud: Cloud, tmp_path: Path
) -> None:
    cloud.failures = [("/storage", 503), ("/v1/projects", 429), ("/computeMetadata", 500)]
    done = start(settings)
    assert done.returncode == 0, done.stderr
    arguments, secret, plain = json.loads(done.stdout)
    assert arguments == ["launch", "host", JOB, "--host", "7", "--workdir", "gs://bucket/folder"]
    assert (secret, plain) == (SECRET, "plain")
    assert SECRET not in done.stderr
    for name in storage.sizes_below(tmp_path):
        assert SECRET.encode() not in (tmp_path / name).read_bytes(), name
    # Started again by systemd, it installs nothing.
    again = start(settings)
    assert again.returncode == 0
    assert "running" not in again.stderr


def test_a_pod_on_gke_takes_its_place_from_its_environment(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    del settings["slice"]
    settings["kind"] = "gke"
    monkeypatch.setenv("JOB_INDEX", "2")
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "1")
    command = host_start.supervisor_command(settings, "/python")
    assert command[:4] == ["/python", "-m", "codepretrain", "launch"]
    assert command[6:8] == ["--host", "9"]


def test_a_damaged_bundle_is_refused(settings: dict[str, Any], cloud: Cloud) -> None:
    lock = cloud.folder / "folder" / "jobs" / JOB / "bundle" / settings["bundle"]
    (lock / "requirements.lock").chmod(stat.S_IRUSR | stat.S_IWUSR)
    (lock / "requirements.lock").write_text("jax==0\n")
    done = start(settings)
    assert done.returncode == 2
    assert "does not match its hash" in done.stderr


def test_a_secret_that_may_not_be_read_is_named(
    settings: dict[str, Any],
    cloud: Cloud,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(host_start, "install", lambda settings, folder: "/python")
    cloud.failures = [("/v1/projects", 403)]
    assert host_start.main([json.dumps(settings)]) == 2
    assert "codepretrain: secret hub-token: HTTP 403" in capsys.readouterr().err


def test_a_store_that_stays_away_ends_with_1_to_be_started_again(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], cloud: Cloud
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(host_start.time, "sleep", waits.append)
    cloud.failures = [("/storage", 503)] * 100
    with pytest.raises(SystemExit) as ended:
        host_start.main([json.dumps(settings)])
    assert ended.value.code == 1
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_an_older_python_installs_another_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(host_start.sys, "version_info", (3, 10))
    (tmp_path / "a-1-py3-none-any.whl").touch()
    commands = host_start.install_commands({"extras": ["tpu", "gcs"]}, str(tmp_path), "/e")
    assert [command[1:4] for command in commands[1:]] == [["-m", "uv", "venv"], ["-m", "uv", "pip"]]
    assert commands[-1][-1] == f"{tmp_path}/a-1-py3-none-any.whl[tpu,gcs]"
    assert commands[-1][-3:-1] == ["--constraint", f"{tmp_path}/requirements.lock"]


@pytest.mark.parametrize(
    ("result", "status", "deletes"),
    [("success", "0", True), ("success", "143", False), ("exit-code", "1", False)],
)
def test_the_slice_is_returned_when_the_job_is_over(
    result: str, status: str, deletes: bool, settings: dict[str, Any], cloud: Cloud
) -> None:
    """systemd tells how the service ended. A supervisor that ended with 0 has seen the end."""
    done = start(settings, "--release", SERVICE_RESULT=result, EXIT_STATUS=status)
    assert done.returncode == 0
    where = "/v2/projects/my-project/locations/us-west4-a/queuedResources"
    expected = [f"DELETE {where}/{JOB}-1?force=true"] if deletes else []
    assert [asked for asked in cloud.asked if asked.startswith("DELETE")] == expected


def test_the_program_imports_the_standard_library_only() -> None:
    code = (
        f"import sys; sys.argv = ['x']; exec(compile({host_start_program()!r}, 'h', 'exec'), {{}})"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
