"""The HTTP server, in a thread of its own: the main thread computes and gets the signals."""

import contextlib
import errno
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn
from starlette.applications import Starlette

from codepretrain.errors import UserError, quoted

_BACKLOG = 128
_POLL_S = 0.02
_KEEP_ALIVE_S = 60  # clients that keep connections should be the ones to close them
_CLOSE_S = 1  # for responses on their way; the signal watch ends the process after 3 s


def bind(host: str, port: int) -> socket.socket:
    """Returns a socket that listens; who connects now waits until the server starts.

    Raises:
      UserError: the host is unknown or not this machine's, or the port is in use.
    """
    try:
        if not host:
            raise OSError("it is empty")  # which would mean every address
        found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_ADDRCONFIG
        )
    except (OSError, UnicodeError) as error:
        raise UserError(f"--host: {quoted(host)} is no address of this machine: {error}") from error
    family, kind, protocol, _, address = found[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise _refusal(host, port, error) from error
    return sock


def _refusal(host: str, port: int, error: OSError) -> UserError:
    if error.errno == errno.EADDRINUSE:
        return UserError(f"--port: {port} is in use on {host}: choose another one, or 0 for any")
    if error.errno == errno.EADDRNOTAVAIL:
        return UserError(f"--host: {quoted(host)} is no address of this machine")
    return UserError(f"--host {host} --port {port}: cannot listen: {error.strerror or error}")


def url(sock: socket.socket) -> str:
    """Returns the address of a bound socket for a browser or curl."""
    host, port = sock.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@contextlib.contextmanager
def running(app: Starlette, sock: socket.socket, *, on_end: Callable[[], None]) -> Iterator[None]:
    """Serves `app` within the block, and closes the socket after it.

    Args:
      on_end: is called in the server's thread when it ends, whatever the reason.
    """
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_CLOSE_S,
    )
    server = uvicorn.Server(config)

    def serve() -> None:
        try:
            server.run(sockets=[sock])
        finally:
            on_end()

    thread = threading.Thread(target=serve, name="http", daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            thread.join(_POLL_S)
        yield
    finally:
        server.should_exit = True
        thread.join(2 * _CLOSE_S)
        sock.close()
