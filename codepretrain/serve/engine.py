"""Computes the answers to requests, in one thread, which owns the devices.

    threads of the server      submit(request) → a job, whose future gets the answer
    the thread of `run`        quick jobs      no token is written, or one greedy token: answered
                                               from the log-probabilities of their prompts, at once,
                                               also between two steps of the others
                               other jobs      in order of arrival; they join the batch that runs
                                               if it chooses tokens as they do

What a request gets does not depend on the requests beside it: rows do not see each other, and
random numbers are those of its own seed (`batch.py`).
"""

import contextlib
import functools
import queue
import threading
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import InvalidStateError

from codepretrain.errors import described
from codepretrain.evals.language_model.prompts import Prompt
from codepretrain.serve.api_error import ApiError
from codepretrain.serve.batch import Batch
from codepretrain.serve.compute import Compute
from codepretrain.serve.job import Answer, Job
from codepretrain.serve.request import CompletionRequest

MAX_WAITING = 1024  # requests; more are refused at once
_ABANDONED = ApiError(503, "the client has closed the connection")


class Engine:
    """Answers requests of many threads."""

    def __init__(self, compute: Compute) -> None:
        self._compute = compute
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # of the next two
        self._open: set[Job] = set()
        self._refusal: ApiError | None = None
        # Of the thread of `run`.
        self._quick: list[Job] = []
        self._waiting: deque[Job] = deque()
        self._is_ending = False

    def submit(self, request: CompletionRequest) -> Job:
        """Returns the job of a request; set `is_abandoned` if nobody waits for it any more.

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
        return job

    def run(self) -> None:
        """Answers requests until `stop`. However it ends, the requests that are open get an error.

        An error of a computation goes to its requests and to stderr; the others go on.
        """
        try:
            while not self._is_ending:
                self._receive(wait=not self._waiting)
                self._answer_quick()
                if self._waiting:
                    self._run_batch()
        finally:
            self.refuse(ApiError(503, "the server is stopping"))

    def stop(self) -> None:
        """Makes `run` end soon; from any thread."""
        self._queue.put(None)

    def refuse(self, error: ApiError) -> None:
        """Refuses all requests, those that are open and those to come."""
        with self._lock:
            self._refusal = error
            jobs = [*self._open]
        _fail(jobs, error)

    def _forget(self, job: Job) -> None:
        with self._lock:
            self._open.discard(job)

    def _receive(self, *, wait: bool) -> None:
        """Sorts the jobs that have come into quick and others; `wait`: until there is one."""
        while wait or not self._queue.empty():
            wait = False
            job = self._queue.get()
            if job is None:
                self._is_ending = True
            elif job.request.is_generated:
                self._waiting.append(job)
            else:
                self._quick.append(job)

    def _answer_quick(self) -> None:
        jobs, self._quick = [job for job in self._quick if not _is_gone(job)], []
        if jobs:
            with _errors_to(jobs):
                _succeed(jobs, self._compute.answer_scored([job.request for job in jobs]))

    def _run_batch(self) -> None:
        """Completes the jobs that wait, and those that come, until none is left."""
        first = self._waiting.popleft()
        if _is_gone(first):
            return
        taken = [first]
        with _errors_to(taken):
            batch = Batch(self._compute, first)
            completions = self._compute.complete(
                batch.add(first),
                sampling=batch.sampling,
                more=functools.partial(self._newcomers, batch, taken),
            )
            for finished in completions:
                done = batch.complete(finished)
                answers = self._compute.answer_completed([(j.request, c) for j, c in done])
                _succeed([job for job, _ in done], answers)
                is_wanted = not all(job.is_abandoned for job in batch.jobs)
                if self._is_ending or (batch.jobs and not is_wanted):
                    break
        if not self._is_ending:
            _fail(taken, _ABANDONED)  # those that are left, if there are any

    def _newcomers(self, batch: Batch, taken: list[Job]) -> list[Prompt]:
        """Returns the prompts of jobs that join the batch, and answers the quick ones."""
        self._receive(wait=False)
        self._answer_quick()
        prompts: list[Prompt] = []
        while self._waiting and batch.has_room(self._waiting[0]):
            job = self._waiting.popleft()
            if not _is_gone(job):
                taken.append(job)
                with _errors_to([job]):
                    prompts += batch.add(job)
        return prompts


def _is_gone(job: Job) -> bool:
    """Returns whether nobody waits for a job; ends it then."""
    if job.is_abandoned:
        _fail([job], _ABANDONED)
    return job.is_abandoned


@contextlib.contextmanager
def _errors_to(jobs: list[Job]) -> Iterator[None]:
    """Gives an error of the block to the jobs, which may change in it, and prints it."""
    try:
        yield
    except Exception as error:
        traceback.print_exc()
        _fail(jobs, ApiError(500, f"the computation failed: {described(error)}"))


def _succeed(jobs: Sequence[Job], answers: Sequence[Answer]) -> None:
    for job, answer in zip(jobs, answers, strict=True):
        with contextlib.suppress(InvalidStateError):  # it was refused in the meantime
            job.future.set_result(answer)


def _fail(jobs: Sequence[Job], error: ApiError) -> None:
    """Ends jobs with an error, unless they have ended."""
    for job in jobs:
        with contextlib.suppress(InvalidStateError):
            job.future.set_exception(error)
