import contextlib
import socket
import threading

import pytest
from starlette.applications import Starlette

from codepretrain.errors import UserError
from codepretrain.serve.server import bind, running, url


def test_a_port_in_use_is_refused() -> None:
    with contextlib.closing(bind("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        with pytest.raises(UserError, match=f"--port: {port} is in use on 127.0.0.1: choose"):
            bind("127.0.0.1", port)
    bind("127.0.0.1", port).close()  # free at once


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-host.invalid", "a" * 70, ""])
def test_a_host_that_is_not_here(host: str) -> None:
    with pytest.raises(UserError, match=r"--host: .* is no address of this machine"):
        bind(host, 0).close()


def test_urls() -> None:
    with contextlib.closing(bind("127.0.0.1", 0)) as sock:
        assert url(sock) == f"http://127.0.0.1:{sock.getsockname()[1]}"
    try:
        sock = bind("::1", 0)
    except UserError:
        pytest.skip("no IPv6 here")
    with contextlib.closing(sock):
        assert url(sock) == f"http://[::1]:{sock.getsockname()[1]}"


def test_it_serves_within_the_block_only_and_says_when_it_ends() -> None:
    ended = threading.Event()
    with contextlib.closing(bind("127.0.0.1", 0)) as sock:
        address = sock.getsockname()
        with running(Starlette(), sock, on_end=ended.set):
            with socket.create_connection(address, timeout=10) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert client.recv(100).startswith(b"HTTP/1.1 404")
            assert not ended.is_set()
        assert ended.wait(10)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=10)
