"""Runs first on a host of a pod: fetches the bundle, installs it, and becomes the supervisor.

This file alone is sent to the host, in the startup script of a TPU VM or in the command of a pod on
GKE, and runs under whatever Python is there: standard library only, nothing of this package. It
talks to the metadata server, Cloud Storage and Secret Manager, with the host's own service account.

    python3 host_start.py SETTINGS             fetch, install, `exec codepretrain launch host`
    python3 host_start.py SETTINGS --release   when the job is over: return this TPU slice

The values of secrets are read here and passed on in the environment. They are written nowhere.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

Settings = Any  # a dict: this file runs under old versions of Python too
ENDPOINTS = {
    "metadata": "http://metadata.google.internal",
    "storage": "https://storage.googleapis.com",
    "secrets": "https://secretmanager.googleapis.com",
    "tpu": "https://tpu.googleapis.com",
}
MIN_PYTHON = (3, 11)
USER_ERROR = 2  # neither systemd nor JobSet starts this host again
NUM_TRIES = 8  # over about two minutes
TIMEOUT_S = 60.0


class StartError(Exception):
    """Starting again would not help."""


def main(arguments: list[str]) -> int:
    settings = json.loads(arguments[0])
    try:
        if "--release" in arguments:
            release(settings)
            return 0
        python = install(settings, fetch_bundle(settings))
        environment = dict(os.environ, **settings["env"], **secrets(settings))
        command = supervisor_command(settings, python)
        say("starting " + " ".join(command))
        os.execve(command[0], command, environment)
    except StartError as error:
        say(str(error))
        return USER_ERROR


def supervisor_command(settings: Settings, python: str) -> list[str]:
    index = settings["hosts_per_slice"] * slice_index(settings) + worker_index(settings)
    job = [settings["job"], "--host", str(index), "--workdir", settings["workdir"]]
    return [python, "-m", "codepretrain", "launch", "host", *job]


def slice_index(settings: Settings) -> int:
    return int(os.environ["JOB_INDEX"]) if settings["kind"] == "gke" else settings["slice"]


def worker_index(settings: Settings) -> int:
    """Returns the place of this host within its slice."""
    if settings["kind"] == "gke":
        return int(os.environ["JOB_COMPLETION_INDEX"])
    return int(metadata(settings, "instance/attributes/agent-worker-number"))


def fetch_bundle(settings: Settings) -> str:
    """Returns the local folder of the bundle, whose files match its hash."""
    folder = os.path.join(settings["folder"], settings["bundle"])
    bucket, _, prefix = settings["workdir"].split("://", 1)[1].partition("/")
    parts = [prefix, "jobs", settings["job"], "bundle", settings["bundle"]]
    address = "/".join(part for part in parts if part)
    names = json.loads(stored(settings, bucket, address + "/files.json"))["files"]
    hashes = {}
    os.makedirs(folder, exist_ok=True)
    for name in names:
        content = stored(settings, bucket, address + "/" + name)
        hashes[name] = hashlib.sha256(content).hexdigest()
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)
    canonical = json.dumps(hashes, sort_keys=True, separators=(",", ":"))
    if hashlib.sha256(canonical.encode()).hexdigest() != settings["bundle"]:
        raise StartError(f"the bundle gs://{bucket}/{address} does not match its hash")
    return folder


def install(settings: Settings, folder: str) -> str:
    """Installs the wheel of a bundle, unless that is done, and returns its Python."""
    environment = os.path.join(folder, "environment")
    python = os.path.join(environment, "bin", "python")
    done = os.path.join(folder, "installed")
    if os.path.exists(done):
        return python
    for command in install_commands(settings, folder, environment):
        say("running " + " ".join(command))
        attempt(functools.partial(subprocess.run, command, check=True), command[0])
    with open(done, "w"):
        pass
    return python


def install_commands(settings: Settings, folder: str, environment: str) -> list[list[str]]:
    """Returns the commands that make a virtual environment with the wheel and its extras."""
    (wheel,) = [name for name in os.listdir(folder) if name.endswith(".whl")]
    extras = "[" + ",".join(settings["extras"]) + "]" if settings["extras"] else ""
    packages = [
        *("--constraint", os.path.join(folder, "requirements.lock")),
        os.path.join(folder, wheel) + extras,
    ]
    python = os.path.join(environment, "bin", "python")
    if sys.version_info >= MIN_PYTHON:
        return [
            [sys.executable, "-m", "venv", "--clear", environment],
            [python, "-m", "pip", "install", "--quiet", *packages],
        ]
    uv = [sys.executable, "-m", "uv"]  # it installs a Python that is recent enough
    return [
        [sys.executable, "-m", "pip", "install", "--quiet", "uv"],
        [*uv, "venv", "--quiet", "--clear", "--python", "3.12", environment],
        [*uv, "pip", "install", "--quiet", "--python", python, *packages],
    ]


def secrets(settings: Settings) -> dict[str, str]:
    """Returns environment variable → value of the secret that it is to hold."""
    found = {}
    for variable, name in settings["secrets"].items():
        address = (
            f"{endpoint(settings, 'secrets')}/v1/projects/{settings['project']}/secrets/{name}"
            "/versions/latest:access"
        )
        payload = json.loads(request(settings, address, f"secret {name}"))["payload"]["data"]
        found[variable] = base64.b64decode(payload).decode()
    return found


def release(settings: Settings) -> None:
    """Deletes the queued resource of this slice if the supervisor ended because the job is over."""
    if os.environ.get("SERVICE_RESULT") != "success" or os.environ.get("EXIT_STATUS") != "0":
        return
    address = (
        f"{endpoint(settings, 'tpu')}/v2/projects/{settings['project']}/locations/"
        f"{settings['zone']}/queuedResources/{settings['job']}-{settings['slice']}?force=true"
    )
    try:
        request(settings, address, "queued resource", method="DELETE")
    except StartError as error:  # the keeper deletes it, or another host of the slice did
        say(str(error))


def stored(settings: Settings, bucket: str, name: str) -> bytes:
    """Returns the contents of an object."""
    quoted = urllib.parse.quote(name, safe="")
    address = f"{endpoint(settings, 'storage')}/storage/v1/b/{bucket}/o/{quoted}?alt=media"
    return request(settings, address, f"gs://{bucket}/{name}")


def metadata(settings: Settings, path: str) -> str:
    address = f"{endpoint(settings, 'metadata')}/computeMetadata/v1/{path}"
    headers = {"Metadata-Flavor": "Google"}
    return attempt(lambda: read(urllib.request.Request(address, headers=headers)), path).decode()


def request(settings: Settings, address: str, what: str, method: str = "GET") -> bytes:
    """Returns an answer to a request with the token of the host's service account."""

    def once() -> bytes:
        answer = metadata(settings, "instance/service-accounts/default/token")
        headers = {"Authorization": "Bearer " + json.loads(answer)["access_token"]}
        return read(urllib.request.Request(address, headers=headers, method=method))

    return attempt(once, what)


def attempt(function: Callable[[], Any], what: str) -> Any:
    """Calls a function until it succeeds; network and server errors are tried again.

    Raises:
      StartError: the request is refused.
    """
    for number in range(NUM_TRIES):
        try:
            return function()
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code not in (408, 429):
                raise StartError(f"{what}: HTTP {error.code} {error.reason}") from None
            reason = f"HTTP {error.code}"
        except (OSError, subprocess.CalledProcessError) as error:
            reason = str(error)
        say(f"{what}: {reason}")
        if number + 1 < NUM_TRIES:
            time.sleep(pause(number))
    raise SystemExit(1)


def pause(number: int) -> float:
    return min(30.0, 2.0**number)


def read(asked: urllib.request.Request) -> bytes:
    with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:
        return answer.read()


def endpoint(settings: Settings, name: str) -> str:
    return settings.get("endpoints", {}).get(name, ENDPOINTS[name])


def say(text: str) -> None:
    print(f"codepretrain: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
