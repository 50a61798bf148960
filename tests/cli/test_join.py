"""Why a process cannot join the others."""

import argparse

import jax
import pytest

from codepretrain.cli.cause import Cause, cause_of
from codepretrain.cli.join import _absent, join
from codepretrain.errors import UserError

FLAGS = argparse.Namespace(
    coordinator="127.0.0.1:1",
    num_processes=2,
    process_id=1,
    join_timeout_s=60,
    heartbeat_timeout_s=20,
)
ABSENT = Cause("lost_host", is_cascade=True)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (RuntimeError("UNAVAILABLE: Socket closed"), ABSENT),  # process 0 was killed meanwhile
        (ValueError("Number of processes must be defined."), Cause("user_error")),
    ],
)
def test_processes_that_leave_are_no_user_error(
    monkeypatch: pytest.MonkeyPatch, error: Exception, cause: Cause
) -> None:
    def initialize(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    with pytest.raises(UserError, match="cannot join the other processes") as raised:
        join(FLAGS, end=lambda error: None)
    assert cause_of(raised.value) == cause


def test_processes_that_do_not_come_are_no_user_error() -> None:
    assert cause_of(_absent("--coordinator", FLAGS, object())) == ABSENT
