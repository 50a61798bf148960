"""Computes the answers to requests, in one thread, which owns the devices.

    threads of the server      submit(request) → a future of its answer
    the thread of `run`        takes what waits, a round at a time:
                               1. log-probabilities of prompts: no token is written, or one greedy
                               2. greedy completions of all requests together
                               3. sampled completions, a request at a time, each with its own seed

What a request gets does not depend on the requests beside it: rows do not see each other, and a
sampled request is a call of its own, so its random numbers are those of its own prompts.
"""

import contextlib
import queue
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError

from codepretrain.errors import described
from codepretrain.serve.api_error import ApiError
from codepretrain.serve.compute import Answer, Compute
from codepretrain.serve.request import CompletionRequest

MAX_WAITING = 1024  # requests; more are refused at once
_PROMPTS_PER_SLOT = 4  # in a round: more keep the slots full, and make newcomers wait longer


class Job:
    """A request that waits for its answer."""

    def __init__(self, request: CompletionRequest) -> None:
        self.request = request
        self.future: Future[Answer] = Future()

    @property
    def num_rows(self) -> int:
        return len(self.request.prompts) * self.request.num_samples


class Engine:
    """Answers requests of many threads."""

    def __init__(self, compute: Compute) -> None:
        self._compute = compute
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # of the next two
        self._open: set[Job] = set()
        self._refusal: ApiError | None = None

    def submit(self, request: CompletionRequest) -> "Future[Answer]":
        """Returns the future of an answer; cancel it if nobody waits for it any more.

        Raises:
          ApiError: too many requests wait, or the server stops.
        """
        job = Job(request)
        with self._lock:
            if self._refusal is not None:
                raise self._refusal
            if len(self._open) >= MAX_WAITING:
                raise ApiError(429, f"{MAX_WAITING:,} requests wait already: try again later")
            self._open.add(job)
        job.future.add_done_callback(lambda _: self._forget(job))
        self._queue.put(job)
        return job.future

    def run(self) -> None:
        """Answers requests until `stop`. However it ends, the requests that are open get an error.

        Errors of a computation go to its requests and to stderr, and the next round begins.
        """
        try:
            while (first := self._queue.get()) is not None:
                for group in _groups(self._round(first)):
                    self._answer(group)
        finally:
            self.refuse(ApiError(503, "the server is stopping"))

    def stop(self) -> None:
        """Makes `run` return after its round; from any thread."""
        self._queue.put(None)

    def refuse(self, error: ApiError) -> None:
        """Refuses all requests, those that are open and those to come."""
        with self._lock:
            self._refusal = error
            jobs = [*self._open]
        for job in jobs:
            _fail(job, error)

    def _forget(self, job: Job) -> None:
        with self._lock:
            self._open.discard(job)

    def _round(self, first: Job) -> list[Job]:
        """Returns the jobs of a round; those that were cancelled are left out."""
        jobs, num_rows = [first], first.num_rows
        while num_rows < _PROMPTS_PER_SLOT * self._compute.num_slots:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._queue.put(None)  # this round is the last
                break
            jobs.append(job)
            num_rows += job.num_rows
        return [job for job in jobs if job.future.set_running_or_notify_cancel()]

    def _answer(self, jobs: list[Job]) -> None:
        try:
            answers = self._compute([job.request for job in jobs])
        except Exception as error:
            traceback.print_exc()
            for job in jobs:
                _fail(job, ApiError(500, f"the computation failed: {described(error)}"))
            return
        for job, answer in zip(jobs, answers, strict=True):
            job.future.set_result(answer)


def _groups(jobs: list[Job]) -> Iterator[list[Job]]:
    """Yields the jobs that are computed together, the quick ones first."""
    kinds: dict[str, Callable[[CompletionRequest], bool]] = {
        "scored": lambda r: not r.is_generated,
        "greedy": lambda r: r.is_generated and not r.temperature,
    }
    for is_kind in kinds.values():
        if group := [job for job in jobs if is_kind(job.request)]:
            yield group
    yield from ([job] for job in jobs if job.request.is_generated and job.request.temperature)


def _fail(job: Job, error: ApiError) -> None:
    """Ends a job with an error, unless it has ended."""
    with contextlib.suppress(InvalidStateError):
        job.future.set_exception(error)
