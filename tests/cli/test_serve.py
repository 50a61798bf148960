"""The command `serve` as a user runs it: in a process of its own, ended by signals."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from codepretrain.cli.main import main
from tests.conftest import ROOT, TINY

READY = re.compile(r"tiny-trunk-\d+: ready at (http://\S+)/v1 \(window 64 tokens")
ENDS_S = 60.0  # on a loaded machine; it takes one to three seconds


@contextmanager
def started(*arguments: str | Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "codepretrain", "serve", *map(str, arguments)]
    variables = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"} | environment
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=variables
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def address_of(process: subprocess.Popen[str]) -> tuple[str, list[str]]:
    """Waits until a server is ready; returns its address and what it has printed."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if found := READY.match(line):
            return found[1], lines
    pytest.fail(f"not ready: {lines} {process.communicate()[1]}")


def complete(address: str, **values: Any) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"{address}/v1/completions",
        data=json.dumps(values).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.fixture
def study(trained: Path, tiny_overrides: list[str]) -> list[str | Path]:
    return ["--config", TINY, "--workdir", trained, *tiny_overrides]


def test_serves_until_ctrl_c_on_several_devices(study: list[str | Path]) -> None:
    where = ["--phase", "trunk", "--step", "20", "--port", "0", "--cpu-devices", "2"]
    with started(*where, "--config.execution.mesh.data=2", *study) as process:
        address, lines = address_of(process)
        assert "mesh data 2" in lines[0]
        assert lines[1].startswith("compiling: log-probabilities and the top 1, 64 tokens")
        status, reply = complete(address, prompt="Page 7.", max_tokens=5, temperature=0)
        assert status == 200
        assert reply["model"] == "tiny-trunk-20"
        assert reply["usage"]["completion_tokens"] <= 5
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=ENDS_S)
    assert process.returncode == 130
    assert err.startswith("codepretrain: stopped. To start again, run: codepretrain serve --phase")
    assert err.count("\n") == 1
    assert "Traceback" not in out + err


def test_a_request_that_is_open_at_the_end_gets_an_answer(study: list[str | Path]) -> None:
    """They are too many for the slots, so the last ones still wait when the signal comes."""
    with started("--phase", "trunk", "--port", "0", *study) as process:
        address, _ = address_of(process)
        replies: list[tuple[int, Any]] = []
        threads = [
            threading.Thread(
                target=lambda: replies.append(
                    complete(address, prompt="a", max_tokens=60, temperature=1, n=128)
                )
            )
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        while not replies:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=ENDS_S) == 143
        for thread in threads:
            thread.join(ENDS_S)
    refused = [reply for status, reply in replies if status == 503]
    assert len(replies) == 20
    assert {status for status, _ in replies} <= {200, 503}
    assert refused
    assert refused[0]["error"]["message"] == "the server is stopping"


def test_another_address_is_warned_of_and_a_key_is_asked_for(study: list[str | Path]) -> None:
    key = "0123456789abcdef"
    where = ["--phase", "trunk", "--host", "0.0.0.0", "--port", "0", "--key-env", "MY_KEY"]
    with started(*where, *study, MY_KEY=key) as process:
        address, lines = address_of(process)
        port = address.rpartition(":")[2]
        status, reply = complete(f"http://127.0.0.1:{port}", prompt="a")
        assert status == 401
        process.terminate()
        _, err = process.communicate(timeout=ENDS_S)
    warning = err.splitlines()[0]
    assert warning.startswith(f"codepretrain: warning: {address} is not a loopback address")
    assert "everybody who has the key, without encryption" in warning
    assert key not in err + "".join(lines) + str(reply)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "the following arguments are required: --phase"),
        ("--phase trnk", "--phase: there is no phase 'trnk'; did you mean trunk?"),
        ("--phase trunk --prot 1", "unknown argument '--prot'; did you mean --port?"),
        ("--phase trunk --port 65536", "--port: expected a whole number, at least 0, at most"),
        ("--phase trunk --step -1", "--step: expected a whole number, at least 0"),
        ("--phase trunk --step 7", "no complete checkpoint at step 7; available steps: 20, 40"),
        ("--phase cooldown", "phase 'cooldown' is not trained yet: run codepretrain train"),
        ("--phase trunk --host 203.0.113.7", "--host: '203.0.113.7' is no address of this machine"),
        ("--phase trunk --distributed", "serve runs on one process, with all devices of this host"),
        ("--phase trunk --key-env NO_KEY", "in the environment variable 'NO_KEY', found nothing"),
        ("--phase trunk --key-env SHORT", "found 5 characters"),
        ("--phase trunk --max-tokens-per-request 0", "--max-tokens-per-request: expected a whole"),
    ],
)
def test_a_mistake_is_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    study: list[str | Path],
    arguments: str,
    message: str,
) -> None:
    monkeypatch.setenv("SHORT", "short")
    assert main(["serve", *arguments.split(), *map(str, study)]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1, captured.err
    assert message in captured.err
    assert "compiling" not in captured.out
    assert "short" not in captured.err.replace("SHORT", "")


def test_a_port_in_use(capsys: pytest.CaptureFixture[str], study: list[str | Path]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        arguments = ["serve", "--phase", "trunk", "--port", str(port), *map(str, study)]
        assert main(arguments) == 2
    assert capsys.readouterr().err == (
        f"codepretrain: --port: {port} is in use on 127.0.0.1: choose another one, or 0 for any\n"
    )


def test_without_the_packages(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, study: list[str | Path]
) -> None:
    find: Callable[[str], object] = lambda name: None if name == "uvicorn" else object()  # noqa: E731
    monkeypatch.setattr("codepretrain.cli.serve.find_spec", find)
    assert main(["serve", "--phase", "trunk", *map(str, study)]) == 2
    assert capsys.readouterr().err == (
        "codepretrain: serve needs `uvicorn`: not installed; run `pip install "
        "'codepretrain[serve]'`\n"
    )
