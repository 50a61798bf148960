"""Runs the independent parts of data preparation: in this process, or in several on this machine.

A task function is idempotent: it writes its result atomically where its task says, and returns a
small summary; called again for a part that is whole, it returns the summary at once. So a killed
preparation resumes, and the result depends neither on the engine nor on the number of workers.
"""

import abc
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from codepretrain.data.engines.workers import worker_processes
from codepretrain.errors import UserError

Task = TypeVar("Task")
Summary = TypeVar("Summary")


class Engine(abc.ABC):
    """Calls one function for many tasks."""

    @abc.abstractmethod
    def map(self, function: Callable[[Task], Summary], tasks: Iterable[Task]) -> Iterator[Summary]:
        """Yields `function(task)` of each task, in order.

        Function, tasks and summaries are pickled. A task may run more than once, and tasks beyond
        the last summary that is taken may run or not.

        Raises:
          UserError: what the function raised, or a worker was killed.
        """


class InProcess(Engine):
    """Runs every task in this process, when its summary is taken."""

    def map(self, function: Callable[[Task], Summary], tasks: Iterable[Task]) -> Iterator[Summary]:
        return map(function, tasks)


class Processes(Engine):
    """Runs tasks in processes on this machine, up to two for each ahead of the summaries."""

    def __init__(self, executor: Executor, num_workers: int) -> None:
        self._executor = executor
        self._num_ahead = 2 * num_workers

    def map(self, function: Callable[[Task], Summary], tasks: Iterable[Task]) -> Iterator[Summary]:
        remaining = iter(tasks)
        ahead: list[Future[Summary]] = []
        try:
            while True:
                missing = self._num_ahead - len(ahead)
                ahead += [
                    self._executor.submit(function, task) for task in islice(remaining, missing)
                ]
                if not ahead:
                    return
                yield _result(ahead.pop(0))
        finally:
            for future in ahead:
                future.cancel()


@contextmanager
def local_engine(num_workers: int) -> Iterator[Engine]:
    """Yields an engine of this many processes; for one, tasks run in the calling process."""
    with worker_processes(num_workers) as executor:
        yield InProcess() if executor is None else Processes(executor, num_workers)


def _result(future: Future[Summary]) -> Summary:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process was killed, most likely out of memory: prepare again with "
            "fewer --num-workers"
        ) from error
