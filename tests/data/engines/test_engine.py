import os
import signal

import pytest

from codepretrain.data.engines.engine import local_engine
from codepretrain.errors import UserError


def _square(number: int) -> int:
    return number * number


def _refuse(number: int) -> int:
    raise UserError(f"part {number} cannot be read")


def _die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("num_workers", [1, 2])
def test_summaries_come_in_the_order_of_the_tasks(num_workers):
    with local_engine(num_workers) as engine:
        assert list(engine.map(_square, range(20))) == [n * n for n in range(20)]


@pytest.mark.parametrize("num_workers", [1, 2])
def test_summaries_may_be_left_untaken(num_workers):
    with local_engine(num_workers) as engine:
        summaries = engine.map(_square, iter(range(10**9)))
        assert [next(summaries) for _ in range(3)] == [0, 1, 4]


@pytest.mark.parametrize("num_workers", [1, 2])
def test_an_error_of_a_task_is_raised(num_workers):
    with local_engine(num_workers) as engine, pytest.raises(UserError, match="part 3 cannot"):
        list(engine.map(_refuse, [3]))


def test_a_killed_worker_is_one_error():
    with local_engine(2) as engine, pytest.raises(UserError, match="fewer --num-workers"):
        list(engine.map(_die, [1]))
