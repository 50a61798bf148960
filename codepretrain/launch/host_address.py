"""The address at which other hosts reach this one, and a port that is free here.

The port is held until the next one is chosen: bound, with SO_REUSEPORT, and not listening. So no
other program gets it, while the coordinator of a gang, which sets the same option (gRPC does by
default), can listen at it. Each attempt gets a new port: a worker of an earlier one that is still
alive finds nothing there.
"""

import socket

_LOOPBACK = "127.0.0.1"
_ANYWHERE = "192.0.2.1"  # TEST-NET-1 of RFC 5737: a route is looked up, nothing is sent


class HostAddress:
    """This host's address with a port that is held; `renew` chooses another port."""

    def __init__(self, *, is_local: bool) -> None:
        """is_local: all hosts of the job are on this machine."""
        self._host = _LOOPBACK if is_local else own_address()
        self._held: socket.socket | None = None
        self.address = ""
        self.renew()

    def renew(self) -> None:
        """Chooses a free port other than the current one."""
        new = _held_port()
        if self._held is not None:
            self._held.close()
        self._held = new
        self.address = f"{self._host}:{new.getsockname()[1]}"

    def close(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None


def own_address() -> str:
    """Returns the address of this host on the network of its default route.

    A host without such a route is known by its name.
    """
    for family, target in ((socket.AF_INET, _ANYWHERE), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((target, 9))
                found = str(probe.getsockname()[0])
        except OSError:
            continue
        return f"[{found}]" if family == socket.AF_INET6 else found
    return socket.gethostname()


def _held_port() -> socket.socket:
    held = socket.socket()
    if hasattr(socket, "SO_REUSEPORT"):
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind(("", 0))
    return held
