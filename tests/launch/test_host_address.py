"""The address of a host, with a port that is free for a coordinator."""

import socket

import pytest

from codepretrain.launch import host_address
from codepretrain.launch.host_address import HostAddress, own_address


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def test_hosts_on_one_machine_meet_on_its_loopback() -> None:
    address = HostAddress(is_local=True)
    assert address.address.startswith("127.0.0.1:")
    address.close()


def test_a_host_of_a_pod_is_known_by_an_address_of_its_own() -> None:
    own = own_address()
    assert own
    assert not own.startswith("127.")


def test_a_host_without_a_route_is_known_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unreachable:
        def __init__(self, *_: object) -> None:
            raise OSError("Network is unreachable")

    monkeypatch.setattr(host_address.socket, "socket", Unreachable)
    assert own_address() == socket.gethostname()


def test_the_port_is_held_yet_a_coordinator_can_listen_at_it() -> None:
    held = HostAddress(is_local=True)
    port = port_of(held.address)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    with socket.socket() as client:
        client.settimeout(5)
        with pytest.raises(ConnectionRefusedError):  # nothing listens yet
            client.connect(("127.0.0.1", port))
    with socket.socket() as coordinator, socket.socket() as client:
        coordinator.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        coordinator.bind(("127.0.0.1", port))
        coordinator.listen()
        client.settimeout(5)
        client.connect(("127.0.0.1", port))
        coordinator.accept()[0].close()
    held.close()


def test_each_attempt_gets_another_port() -> None:
    held = HostAddress(is_local=True)
    seen = {held.address}
    for _ in range(20):
        before = held.address
        held.renew()
        assert held.address != before
        seen.add(held.address)
    assert len(seen) > 10
    held.close()
