"""Asks a teacher for solutions; every answer is paid, so every answer is kept.

    problems  →  prompt  →  endpoint  →  journal  →  reader `synthetic_code` with `candidates=`

The journal is a file of candidates (`candidates.py`), a line for each answer, written and synced as
soon as the answer is there. A request whose answer is in the journal is not sent again. When the
process is killed, at most the requests in flight are lost; they are repeated with the same
`Idempotency-Key`.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import httpx2
from etils import epath

from codepretrain.data.synthetic.endpoint import (
    Answer,
    BadAnswerError,
    BusyError,
    Endpoint,
    RefusedError,
    ask,
    make_client,
)
from codepretrain.data.synthetic.pace import Pace, StoppedError
from codepretrain.data.synthetic.problem import Problem
from codepretrain.data.synthetic.prompt import prompt, solution_in
from codepretrain.errors import UserError
from codepretrain.files.hashing import sha256_json
from codepretrain.files.journal import Journal
from codepretrain.files.lease import exclusive
from codepretrain.files.storage import StrPath

_MAX_ATTEMPTS = 8
_MAX_BAD_ANSWERS = 2  # each may have been paid
_MAX_RETRY_AFTER_S = 3600.0
_REFUSALS_WITHOUT_ANSWER = 10


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How a teacher is asked. Prices are per million tokens, in the currency of `max_cost`."""

    samples: int = 1
    concurrency: int = 8
    requests_per_minute: float | None = None
    license: str | None = None
    prompt_price: float = 0.0
    completion_price: float = 0.0
    max_cost: float | None = None


@dataclass(kw_only=True)
class Account:
    """Sums over the journal, earlier runs included; `num_kept` is what they had answered.

    Attributes:
      num_without_solution: answers without usable code; they are paid, too.
      num_failed: requests without an answer, in this run. They are sent again by the next.
      num_estimated: answers whose tokens the endpoint did not count: taken at their maximum.
      stopped_at_cost: the next request could have passed `max_cost`.
    """

    num_answers: int = 0
    num_kept: int = 0
    num_without_solution: int = 0
    num_failed: int = 0
    num_estimated: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    stopped_at_cost: bool = False


@dataclass(frozen=True)
class _Request:
    id: str
    problem: Problem
    prompt: str


def ask_teacher(
    problems: Iterator[Problem],
    endpoint: Endpoint,
    terms: Terms,
    *,
    journal: StrPath,
    pace: Pace | None = None,
    announce: Callable[[str], None] | None = None,
) -> Account:
    """Asks for `terms.samples` solutions of each problem that are not in the journal yet.

    Args:
      problems: read as they are needed.
      pace: for tests; by default it follows `terms`.
      announce: called with a message when a request failed for good.

    Raises:
      UserError: the endpoint accepts no request, or the journal is in use or cannot be written.
    """
    endpoint.check()
    path = epath.Path(journal)
    with (
        exclusive(path.parent),
        Journal(path, fields={"request": str}) as lines,
        make_client(endpoint, num_connections=terms.concurrency) as client,
    ):
        run = _Run(endpoint, terms, lines, client, pace or Pace(terms.requests_per_minute))
        run.announce = announce or (lambda _: None)
        run.requests = _requests(problems, endpoint, terms.samples)
        return run.finish()


def request_id(problem: Problem, text: str, endpoint: Endpoint, sample: int) -> str:
    """Returns a hash of all that decides what is asked."""
    contents = {
        "problem": problem.id,
        "prompt": text,
        "model": endpoint.model,
        "temperature": endpoint.temperature,
        "max_tokens": endpoint.max_tokens,
        "sample": sample,
    }
    return sha256_json(contents)[:32]


def _requests(problems: Iterator[Problem], endpoint: Endpoint, samples: int) -> Iterator[_Request]:
    for problem in problems:
        text = prompt(problem)
        for sample in range(samples):
            yield _Request(request_id(problem, text, endpoint, sample), problem, text)


class _Run:
    """The threads of one run; `_lock` guards everything that they share."""

    announce: Callable[[str], None]
    requests: Iterator[_Request]

    def __init__(
        self,
        endpoint: Endpoint,
        terms: Terms,
        journal: Journal,
        client: httpx2.Client,
        pace: Pace,
    ) -> None:
        self._endpoint, self._terms, self._journal = endpoint, terms, journal
        self._client, self._pace = client, pace
        self._lock = threading.Lock()
        self._answered = {record["request"] for record in journal.kept}
        self._reserved = 0.0
        self._num_refused = 0
        self.account = Account()
        for record in journal.kept:
            self._count(record)
        self.account.num_kept = self.account.num_answers

    def finish(self) -> Account:
        with ThreadPoolExecutor(self._terms.concurrency) as pool:
            try:
                futures = [pool.submit(self._work) for _ in range(self._terms.concurrency)]
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                self._pace.stop()
        errors = [error for future in futures if (error := future.exception()) is not None]
        causes = [error for error in errors if not isinstance(error, StoppedError)]
        if causes:
            raise causes[0]
        return self.account

    def _work(self) -> None:
        while (request := self._next()) is not None:
            reserved = self._most(request)
            try:
                record = self._record(request)
            finally:
                with self._lock:
                    self._reserved -= reserved
            if record is not None:
                with self._lock:
                    self._journal.append(record)
                    self._journal.sync()
                    self._count(record)

    def _next(self) -> _Request | None:
        """Returns the next request that is not answered and that the budget allows."""
        with self._lock:
            for request in self.requests:
                if request.id in self._answered:
                    continue
                most, budget = self._most(request), self._terms.max_cost
                if budget is not None and self.account.cost + self._reserved + most > budget:
                    self.account.stopped_at_cost = True
                    self.requests = iter(())
                    return None
                self._answered.add(request.id)
                self._reserved += most
                return request
        return None

    def _most(self, request: _Request) -> float:
        """Returns the largest cost of a request: a token is at least a byte."""
        most = self._cost(len(request.prompt.encode()), self._endpoint.max_tokens)
        return _MAX_BAD_ANSWERS * most

    def _cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        terms = self._terms
        paid = prompt_tokens * terms.prompt_price + completion_tokens * terms.completion_price
        return paid / 1e6

    def _record(self, request: _Request) -> dict[str, Any] | None:
        """Returns the journal's record of an answer; None if there was none."""
        bad_answers = 0
        for attempt in range(_MAX_ATTEMPTS):
            self._pace.turn()
            try:
                answer = ask(self._client, self._endpoint, request.prompt, request_id=request.id)
                return self._answered_record(request, answer, bad_answers)
            except BusyError as error:
                self._hold(error)
                reason = str(error)
            except BadAnswerError as error:
                bad_answers, reason = bad_answers + 1, str(error)
                if bad_answers == _MAX_BAD_ANSWERS:
                    return self._bad_record(request, reason, bad_answers)
            except RefusedError as error:
                self._refuse(request, str(error))
                return None
            self._pace.back_off(attempt)
        self._fail(request, f"{reason} ({_MAX_ATTEMPTS} attempts)")
        return None

    def _hold(self, error: BusyError) -> None:
        if error.after_s is None:
            return
        if error.after_s > _MAX_RETRY_AFTER_S:
            raise UserError(
                f"the endpoint asks to wait {error.after_s:,.0f} seconds ({error}); rerun the same "
                "command then to resume"
            )
        self._pace.pause(error.after_s)

    def _refuse(self, request: _Request, reason: str) -> None:
        self._fail(request, reason)
        with self._lock:
            self._num_refused += 1
            is_hopeless = self._num_refused >= _REFUSALS_WITHOUT_ANSWER
            if is_hopeless and self.account.num_answers == self.account.num_kept:
                raise UserError(f"the endpoint refused the first {self._num_refused}: {reason}")

    def _fail(self, request: _Request, reason: str) -> None:
        with self._lock:
            self.account.num_failed += 1
            self.announce(f"{request.problem.id}: {reason}")

    def _answered_record(
        self, request: _Request, answer: Answer, bad_answers: int
    ) -> dict[str, Any]:
        solution = solution_in(answer.text, request.problem.name)
        error = "cut off" if answer.was_cut_off else "no code"
        record = self._bad_record(request, error, bad_answers + 1)
        record["answered_by"] = answer.model
        if answer.prompt_tokens is not None and answer.completion_tokens is not None:
            bad = self._bad_record(request, error, bad_answers)
            record |= {
                "prompt_tokens": bad["prompt_tokens"] + answer.prompt_tokens,
                "completion_tokens": bad["completion_tokens"] + answer.completion_tokens,
                "is_estimate": bad_answers > 0,
            }
        if solution is not None and not answer.was_cut_off:
            record |= {"solution": solution, "error": None}
        return record

    def _bad_record(self, request: _Request, error: str, num_answers: int) -> dict[str, Any]:
        """Returns a record without a solution, with the largest count of tokens."""
        problem = request.problem.to_json()
        return {
            "request": request.id,
            "problem": {**problem, "solution": None},
            "solution": None,
            "error": error,
            "teacher": self._endpoint.model,
            "license": self._terms.license,
            "prompt_tokens": num_answers * len(request.prompt.encode()),
            "completion_tokens": num_answers * self._endpoint.max_tokens,
            "is_estimate": True,
        }

    def _count(self, record: dict[str, Any]) -> None:
        account = self.account
        account.num_answers += 1
        account.num_without_solution += record.get("solution") is None
        account.num_estimated += bool(record.get("is_estimate"))
        account.prompt_tokens += record["prompt_tokens"]
        account.completion_tokens += record["completion_tokens"]
        account.cost += self._cost(record["prompt_tokens"], record["completion_tokens"])
