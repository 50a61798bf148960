"""Two hosts in network namespaces of their own, with a router between them that can drop packets.

    host 0  10.77.0.2 ──veth── 10.77.0.1  router  10.77.1.1 ──veth── 10.77.1.2  host 1

While the router does not forward, packets vanish without an answer, as in a partition. The file
system is shared, so the supervisors still see each other's records. Needs root.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.campaigns.faults.hosts import Wrap


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


class Network:
    """Names of the namespaces, and the router's switch."""

    def __init__(self, folder: Path) -> None:
        number = os.getpid()
        self._folder = folder
        self._router = f"cpf{number}r"
        self._hosts = [f"cpf{number}h{host}" for host in range(2)]

    def begin(self) -> None:
        for name in (self._router, *self._hosts):
            _run("ip", "netns", "add", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
        for host, name in enumerate(self._hosts):
            ours, theirs = f"cpf{host}", f"cpfr{host}"
            address = f"10.77.{host}"
            peer = ["peer", "name", theirs, "netns", self._router]
            _run("ip", "-n", name, "link", "add", ours, "type", "veth", *peer)
            _run("ip", "-n", name, "addr", "add", f"{address}.2/24", "dev", ours)
            _run("ip", "-n", self._router, "addr", "add", f"{address}.1/24", "dev", theirs)
            _run("ip", "-n", name, "link", "set", ours, "up")
            _run("ip", "-n", self._router, "link", "set", theirs, "up")
            _run("ip", "-n", name, "route", "add", "default", "via", f"{address}.1")
            # Gloo binds to the address of the host's own name.
            (self._folder / name).write_text(f"127.0.0.1 localhost\n{address}.2 {name}\n")
        self.connect(True)

    def connect(self, is_connected: bool) -> None:
        switch = f"echo {int(is_connected)} > /proc/sys/net/ipv4/ip_forward"
        _run("ip", "netns", "exec", self._router, "sh", "-c", switch)

    def end(self) -> None:
        for name in (self._router, *self._hosts):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)

    def wraps(self) -> dict[int, Wrap]:
        """Returns what puts each host into its namespace, under its own name."""
        return {
            host: Wrap(
                (
                    *("ip", "netns", "exec", name, "unshare", "--mount", "--uts", "sh", "-c"),
                    f"hostname {name} && mount --make-rprivate / && "
                    f'mount --bind {self._folder / name} /etc/hosts && exec "$@"',
                    "sh",
                )
            )
            for host, name in enumerate(self._hosts)
        }


@contextlib.contextmanager
def network(folder: Path) -> Iterator[Network]:
    """Yields a network; skips the test where there can be none."""
    if os.geteuid() or not shutil.which("ip") or not shutil.which("unshare"):
        pytest.skip("needs root, ip and unshare")
    made = Network(folder)
    try:
        try:
            made.begin()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces: {error.stderr.decode().strip()}")
        yield made
    finally:
        made.end()
