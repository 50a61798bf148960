"""Leases in an object store: one holder at a time, whoever is killed, stopped or slow."""

import json
import os
import signal
import threading
import time
from contextlib import ExitStack
from typing import Any

import pytest
from etils import epath

from codepretrain.errors import UserError
from codepretrain.files import object_lease, storage
from codepretrain.files.atomic import write_bytes
from codepretrain.files.hold_errors import LeaseLostError
from codepretrain.files.lease import exclusive
from codepretrain.files.object_lease import ObjectLease

TTL_S = 0.6

_HOLD = """
import sys, time
from codepretrain.files import storage
from codepretrain.files.lease import exclusive
with exclusive(storage.parse(sys.argv[1]), ttl_s=float(sys.argv[2])) as lease:
    print("held", flush=True)
    for _ in range(1000):
        time.sleep(0.05)
        lease.check()
"""

# Each process adds to a counter that only exclusion keeps right.
_COUNT = """
import sys
from codepretrain.files import atomic, storage
from codepretrain.files.lease import exclusive
folder = storage.parse(sys.argv[1])
for _ in range(5):
    with exclusive(folder, ttl_s=5, waits=True) as lease:
        count = int(storage.read_text(folder / "count"))
        lease.check()
        atomic.write_text(folder / "count", str(count + 1))
"""


def die(lease: ObjectLease) -> None:
    """The holder ends without releasing."""
    lease._stop.set()
    lease._thread.join()


def test_a_released_folder_is_free_at_once(memory: epath.Path) -> None:
    for number in range(1, 4):
        with exclusive(memory, ttl_s=1000) as lease:
            lease.check()
            assert storage.names(memory / ".lease") == [f"{number:08d}"]
            assert isinstance(lease, ObjectLease)
            assert lease.watched_s == 0.0


def test_a_live_holder_is_named(memory: epath.Path) -> None:
    told: list[str] = []
    with exclusive(memory, ttl_s=TTL_S) as lease:
        with pytest.raises(UserError, match=f"folder is in use by process {os.getpid()} on"):
            ObjectLease(memory, ttl_s=TTL_S, announce=told.append)
        lease.check()
    (line,) = told
    assert f"is held by process {os.getpid()}" in line


def test_a_dead_holder_is_replaced_when_its_lease_expires(memory: epath.Path) -> None:
    dead = ObjectLease(memory, ttl_s=TTL_S)
    die(dead)
    with exclusive(memory, ttl_s=TTL_S) as lease:
        lease.check()
        with pytest.raises(LeaseLostError, match="lost its hold"):
            dead.check()
        dead.release()  # changes nothing
        assert isinstance(lease, ObjectLease)
        assert lease.watched_s > TTL_S
        lease._renew()
        lease.check()


def test_the_longer_of_two_terms_counts(memory: epath.Path) -> None:
    """A taker with a short expiry must not take a lease that is renewed less often."""
    with exclusive(memory, ttl_s=4 * TTL_S) as lease:
        with pytest.raises(UserError, match="in use"):
            ObjectLease(memory, ttl_s=TTL_S / 10)
        lease.check()


def test_one_of_many_takes_an_expired_lease(memory: epath.Path) -> None:
    die(ObjectLease(memory, ttl_s=TTL_S))
    taken: list[ObjectLease] = []
    refused: list[UserError] = []

    def take() -> None:
        try:
            taken.append(ObjectLease(memory, ttl_s=TTL_S))
        except UserError as error:
            refused.append(error)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1
    assert len(refused) == 7
    taken[0].check()
    taken[0].release()


def test_a_slow_taker_of_an_old_term_gives_way(
    memory: epath.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It listed term 1, and creates term 2 when 2 was removed and 3 is held."""
    first = ObjectLease(memory, ttl_s=1000)
    first.release()
    original = object_lease.create

    def late(path: epath.Path, content: bytes) -> bool:
        monkeypatch.setattr(object_lease, "create", original)
        ObjectLease(memory, ttl_s=1000).release()  # term 2
        holders.append(ObjectLease(memory, ttl_s=TTL_S))  # term 3, removes 2
        return original(path, content)

    holders: list[ObjectLease] = []
    monkeypatch.setattr(object_lease, "create", late)
    with pytest.raises(UserError, match="in use"):
        ObjectLease(memory, ttl_s=TTL_S)
    assert storage.names(memory / ".lease") == ["00000003"]
    holders[0].check()
    holders[0].release()


def test_a_holder_that_cannot_renew_gives_up_before_others_take_over(
    memory: epath.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = ObjectLease(memory, ttl_s=TTL_S)

    def unreachable(*_: Any) -> None:
        raise OSError("network is unreachable")

    with monkeypatch.context() as patch:
        patch.setattr(object_lease, "write_bytes", unreachable)
        time.sleep(TTL_S)
        with pytest.raises(LeaseLostError, match="could not be renewed for"):
            lease.check()
    lease._renew()  # the network is back: too late
    with pytest.raises(LeaseLostError):
        lease.check()
    lease.release()


def test_a_renewal_that_takes_too_long_does_not_count(
    memory: epath.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It began in time and arrived when another process may have seen the lease expire."""
    lease = ObjectLease(memory, ttl_s=TTL_S)
    die(lease)
    clock = [object_lease.now_s()]
    monkeypatch.setattr(object_lease, "now_s", lambda: clock[0])
    lease._renewed_s = clock[0]

    def slow(path: epath.Path, content: bytes) -> None:
        write_bytes(path, content)
        clock[0] += 0.8 * TTL_S

    monkeypatch.setattr(object_lease, "write_bytes", slow)
    lease._renew()
    clock[0] -= 0.7 * TTL_S  # even if it asks later by a clock that is in time again
    with pytest.raises(LeaseLostError):
        lease.check()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"state": "held"}', b"\xff"])
def test_a_damaged_lease_expires_like_others(memory: epath.Path, content: bytes) -> None:
    write_bytes(memory / ".lease" / "00000005", content)
    with exclusive(memory, ttl_s=TTL_S / 4):
        assert storage.names(memory / ".lease") == ["00000006"]


def test_the_end_of_the_block_tells_that_the_lease_was_lost(memory: epath.Path) -> None:
    with ExitStack() as stack:
        lease = stack.enter_context(exclusive(memory, ttl_s=1000))
        write_bytes(memory / ".lease" / "00000009", b"{}")
        assert isinstance(lease, ObjectLease)
        lease._renew()
        with pytest.raises(LeaseLostError, match="another process took it over"):
            stack.close()


def test_a_holder_killed_on_this_host_is_replaced_at_once(s3: epath.Path, start: Any) -> None:
    for _ in range(3):
        process = start(_HOLD, s3, "1000")
        assert process.stdout.readline() == "held\n"
        process.kill()
        process.wait()
    with exclusive(s3, ttl_s=1000) as lease:
        lease.check()


def test_a_stopped_holder_is_replaced_and_notices(s3: epath.Path, start: Any) -> None:
    process = start(_HOLD, s3, "1")
    assert process.stdout.readline() == "held\n"
    process.send_signal(signal.SIGSTOP)
    with exclusive(s3, ttl_s=1) as lease:
        process.send_signal(signal.SIGCONT)
        assert process.wait() == 1
        assert process.stdout.read() == ""
        lease.check()


def test_holders_in_several_processes_never_overlap(s3: epath.Path, start: Any) -> None:
    write_bytes(s3 / "count", b"0")
    processes = [start(_COUNT, s3) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    assert storage.read_text(s3 / "count") == "20"


def test_this_process_lives_and_an_ended_one_does_not(start: Any) -> None:
    code = "import json; from codepretrain.files.object_lease import *; "
    code += "print(json.dumps(vars(this_process())), flush=True); input()"
    process = start(code)
    other = object_lease.Process(**json.loads(process.stdout.readline()))
    process.kill()
    process.wait()
    assert other.pid == process.pid
    assert object_lease._start(other.pid) is None
    assert object_lease._start(os.getpid()) == object_lease.this_process().start
