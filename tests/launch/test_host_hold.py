"""Two supervisors never have the number of one host."""

import os
import threading
from pathlib import Path

import pytest
from etils import epath

from codepretrain.files import storage
from codepretrain.files.atomic import write_bytes
from codepretrain.files.hold_errors import InUseError
from codepretrain.files.object_lease import ObjectLease
from codepretrain.launch.host_hold import HostHold, held, hold_folder
from codepretrain.launch.job_folder import job_folder
from tests.launch.supervised import wait_for


def test_the_second_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = job_folder(storage.parse(tmp_path), "job")
    with held(folder, 3, announce=print) as hold:
        hold.check()
        with (
            pytest.raises(InUseError, match=rf"3\.lease is in use by process {os.getpid()} on "),
            held(folder, 3, announce=print),
        ):
            pytest.fail("two supervisors of a host")
        with held(folder, 4, announce=print):
            pass
    with held(folder, 3, announce=print):
        pass


def lease_of(hold: HostHold) -> ObjectLease:
    lease = hold._lease
    found = getattr(lease, "_lease", None)
    assert isinstance(found, ObjectLease)
    return found


def test_a_lease_that_expired_is_taken_again(memory: epath.Path) -> None:
    """The store could not be reached for a while. The supervisor goes on meanwhile."""
    folder = job_folder(memory, "job")
    notes: list[str] = []
    with held(folder, 0, announce=notes.append, ttl_s=0.4) as hold:
        first = lease_of(hold)
        first._problem = "it could not be renewed for 30 s"
        hold.check()  # notices, and takes it again in the background
        hold.check()
        wait_for(lambda: hold._lease is not None)
        assert lease_of(hold) is not first
        hold.check()
    assert "lost its hold" in notes[0]


def test_one_that_another_supervisor_took_is_left(memory: epath.Path) -> None:
    folder = job_folder(memory, "job")
    with held(folder, 0, announce=print, ttl_s=0.4) as hold:
        ours = lease_of(hold)
        ours._problem = "another process took it over"
        is_over = threading.Event()

        def renew() -> None:
            beat = 0
            while not is_over.wait(0.05):
                beat += 1
                content = b'{"state": "held", "host": "other", "ttl_s": 0.4, "beat": %d}' % beat
                write_bytes(hold_folder(folder, 0) / ".lease" / "00000009", content)

        thread = threading.Thread(target=renew)
        thread.start()
        try:
            hold.check()
            wait_for(lambda: hold._taken is not None)
            with pytest.raises(InUseError):
                hold.check()
        finally:
            is_over.set()
            thread.join()
