"""Whether a lease is held, seen from outside and without waiting."""

import time
from dataclasses import dataclass, field

from codepretrain.files.object_lease import read_lease
from codepretrain.files.storage import StrPath


@dataclass
class LeaseWatch:
    """Looks at leases again and again, and remembers how long each has not been renewed.

    Clocks of different hosts are not compared: a lease expires when its contents have not changed
    for its time to live on this process's clock. So the first look at the lease of a holder that
    died on another host finds it held.
    """

    _seen: dict[str, tuple[bytes, float]] = field(default_factory=dict)

    def is_held(self, folder: StrPath) -> bool:
        """Returns whether another process may hold the lease of `folder`."""
        found = read_lease(folder)
        if found is None or found.is_over:
            self._seen.pop(str(folder), None)
            return False
        now_s = time.monotonic()
        content, since_s = self._seen.get(str(folder), (b"", now_s))
        if content != found.content:
            self._seen[str(folder)] = (found.content, now_s)
            return True
        return now_s - since_s <= found.ttl_s
