"""Sends requests to an endpoint; every answer is paid, so every answer is kept.

The journal has a line for each answer, written and synced as soon as the answer is there. A request
whose answer is in the journal is not sent again. When the process is killed, at most the requests
in flight are lost; they are repeated with the same `Idempotency-Key`.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any, Generic, TypeVar

import httpx2
from etils import epath

from codepretrain.endpoint.account import Account, Request, Terms
from codepretrain.endpoint.chat import (
    Answer,
    BadAnswerError,
    BusyError,
    Endpoint,
    RefusedError,
    ask,
    make_client,
)
from codepretrain.endpoint.pace import DeadlineError, Pace, StoppedError
from codepretrain.errors import UserError
from codepretrain.files.journal import Journal
from codepretrain.files.lease import exclusive
from codepretrain.files.storage import StrPath

FIELDS = {"request": str, "prompt_tokens": int, "completion_tokens": int}
_MAX_ATTEMPTS = 8
_MAX_BAD_ANSWERS = 2  # each may have been paid
_MAX_RETRY_AFTER_S = 3600.0
_REFUSALS_WITHOUT_ANSWER = 10
_FAILURES_IN_A_ROW = 3  # each after all of its attempts

R = TypeVar("R", bound=Request)


def ask_all(
    requests: Iterator[R],
    endpoint: Endpoint,
    terms: Terms,
    *,
    journal: StrPath,
    record: Callable[[R, Answer | str], Mapping[str, Any]],
    keeps_bad: bool = True,
    pace: Pace | None = None,
    announce: Callable[[str], None] | None = None,
    on_answer: Callable[[Account], None] | None = None,
) -> Account:
    """Sends the requests whose answers are not in the journal yet.

    Args:
      requests: read as they are needed.
      record: returns what the journal keeps of an answer, beside its request and its tokens; of a
        text, which says why there is no answer. Its `error` is None if the answer can be used.
      keeps_bad: an answer in no valid form (not JSON, no text) is the request's answer, after two
        of them, if this run has had a valid one: else it may be no endpoint. Otherwise the request
        has failed, and the next run sends it again.
      pace: for tests; by default it follows `terms`.
      announce: called with a message when a request failed for good, and when the first one is
        attempted again.
      on_answer: called after each answer, by one thread at a time.

    Raises:
      UserError: the endpoint accepts no request or answers none, or the journal is in use or cannot
        be written.
    """
    endpoint.check()
    path = epath.Path(journal)
    pace = pace or Pace(terms.requests_per_minute, deadline_s=terms.deadline_s)
    with (
        exclusive(path.parent),
        Journal(path, fields=FIELDS) as lines,
        make_client(endpoint, num_connections=terms.concurrency) as client,
    ):
        run = _Run(requests, endpoint, terms, lines, client, pace)
        run.record, run.keeps_bad = record, keeps_bad
        run.announce = announce or (lambda _: None)
        run.on_answer = on_answer or (lambda _: None)
        return run.finish()


class _Run(Generic[R]):
    """The threads of one run; `_lock` guards everything that they share."""

    record: Callable[[R, Answer | str], Mapping[str, Any]]
    keeps_bad: bool
    announce: Callable[[str], None]
    on_answer: Callable[[Account], None]

    def __init__(
        self,
        requests: Iterator[R],
        endpoint: Endpoint,
        terms: Terms,
        journal: Journal,
        client: httpx2.Client,
        pace: Pace,
    ) -> None:
        self._requests = requests
        self._endpoint, self._terms, self._journal = endpoint, terms, journal
        self._client, self._pace = client, pace
        self._lock = threading.Lock()
        self._answered = {record["request"] for record in journal.kept}
        self._reserved = self._lost = 0.0
        self._num_refused = self._failures_in_a_row = 0
        self._has_waited = self._has_answer = False
        self.account = Account()
        for record in journal.kept:
            self.account.add(record, self._terms)
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
                record = self._answer_record(request)
            finally:
                with self._lock:
                    self._reserved -= reserved
            if record is not None:
                self._keep(record)

    def _keep(self, record: Mapping[str, Any]) -> None:
        with self._lock:
            self._journal.append(record)
            self._journal.sync()
            self.account.add(record, self._terms)
            self.on_answer(self.account)

    def _next(self) -> R | None:
        """Returns the next request that is not answered and that the budget allows."""
        with self._lock:
            for request in self._requests:
                if request.id in self._answered:
                    continue
                most = self._most(request)
                if not self._is_affordable(most):
                    return None
                self._answered.add(request.id)
                self._reserved += most
                return request
        return None

    def _is_affordable(self, more: float) -> bool:
        """Returns whether the budget allows so much more; if not, no request is taken any more."""
        spent = self.account.cost + self._reserved + self._lost
        if self._terms.max_cost is None or spent + more <= self._terms.max_cost:
            return True
        self.account.stopped_at_cost = True
        self._requests = iter(())
        return False

    def _most(self, request: R) -> float:
        """Returns the largest cost of a request that may be answered badly."""
        return _MAX_BAD_ANSWERS * self._most_once(request)

    def _most_once(self, request: R) -> float:
        """Returns the largest cost of one answer."""
        return self._terms.most_cost(request.prompt, self._endpoint.max_tokens)

    def _answer_record(self, request: R) -> dict[str, Any] | None:
        """Returns the journal's record of an answer; None if there was none."""
        bad_answers = 0
        reason = "the deadline has passed"
        try:
            for attempt in range(_MAX_ATTEMPTS):
                self._pace.turn()
                try:
                    answer = ask(
                        self._client, self._endpoint, request.prompt, request_id=request.id
                    )
                    return self._paid(request, answer, bad_answers)
                except BusyError as error:
                    reason = str(error)
                    if error.is_lost and not self._lose(request):
                        reason = f"{reason}; another attempt could pass the budget"
                        return self._give_up(request, reason, bad_answers)
                    self._announce_wait(request, reason)
                    self._hold(error)
                except BadAnswerError as error:
                    bad_answers, reason = bad_answers + 1, str(error)
                    if bad_answers == _MAX_BAD_ANSWERS:
                        keeps = self.keeps_bad and self._has_answer
                        conclude = self._paid if keeps else self._fail
                        return conclude(request, reason, bad_answers)
                except RefusedError as error:
                    self._refuse(str(error))
                    return self._give_up(request, str(error), bad_answers)
                self._pace.back_off(attempt)
        except DeadlineError:
            self._end_at_deadline()
            return self._give_up(request, reason, bad_answers)
        return self._fail(request, f"{reason} ({_MAX_ATTEMPTS} attempts)", bad_answers)

    def _end_at_deadline(self) -> None:
        with self._lock:
            self.account.stopped_at_deadline = True
            self._requests = iter(())

    def _paid(self, request: R, answer: Answer | str, bad_answers: int) -> dict[str, Any]:
        """Returns the record of an answer, after so many bad ones, which may be paid too."""
        most = len(request.prompt.encode()), self._endpoint.max_tokens
        tokens = [bad_answers * count for count in most]
        is_counted = False
        if isinstance(answer, Answer):
            self._failures_in_a_row, self._has_answer = 0, True
            found = answer.prompt_tokens, answer.completion_tokens
            is_counted = None not in found
            last = found if is_counted else most
            tokens = [sum_ + (count or 0) for sum_, count in zip(tokens, last, strict=True)]
        return {
            "request": request.id,
            **self.record(request, answer),
            "prompt_tokens": tokens[0],
            "completion_tokens": tokens[1],
            "cost": self._terms.cost(*tokens),
            "is_estimate": bad_answers > 0 or not is_counted,
        }

    def _lose(self, request: R) -> bool:
        """Counts an answer that was lost; returns whether the budget allows another attempt."""
        with self._lock:
            self.account.num_lost += 1
            self._lost += self._most_once(request)
            return self._is_affordable(0.0)

    def _announce_wait(self, request: R, reason: str) -> None:
        """Says the first time that attempts are repeated, which may take minutes."""
        with self._lock:
            if not self._has_waited:
                self._has_waited = True
                self.announce(
                    f"{request.label}: {reason}; each request has up to {_MAX_ATTEMPTS} "
                    "attempts, some seconds apart"
                )

    def _hold(self, error: BusyError) -> None:
        if error.after_s is None:
            return
        if error.after_s > _MAX_RETRY_AFTER_S:
            raise UserError(
                f"the endpoint asks to wait {error.after_s:,.0f} seconds ({error}); rerun the same "
                "command then to resume"
            )
        self._pace.pause(error.after_s)

    def _refuse(self, reason: str) -> None:
        with self._lock:
            self._num_refused += 1
            is_hopeless = self._num_refused >= _REFUSALS_WITHOUT_ANSWER
            if is_hopeless and self.account.num_answers == self.account.num_kept:
                raise UserError(f"the endpoint refused the first {self._num_refused}: {reason}")

    def _fail(self, request: R, reason: str, bad_answers: int) -> dict[str, Any] | None:
        """Gives up; ends the run if no request is answered any more."""
        record = self._give_up(request, reason, bad_answers)
        with self._lock:
            self._failures_in_a_row += 1
            is_hopeless = self._failures_in_a_row >= _FAILURES_IN_A_ROW
        if is_hopeless:
            if record is not None:
                self._keep(record)
            raise UserError(
                f"the endpoint answered none of the last {_FAILURES_IN_A_ROW} requests: {reason}; "
                "rerun the same command to resume"
            )
        return record

    def _give_up(self, request: R, reason: str, bad_answers: int) -> dict[str, Any] | None:
        """Returns a record of what bad answers cost, if there were any.

        Its id is not the request's, which the next run sends again.
        """
        with self._lock:
            self.account.num_failed += 1
            self.announce(f"{request.label}: {reason}")
        if not bad_answers:
            return None
        record = self._paid(request, reason, bad_answers)
        return record | {"request": f"{request.id}/unanswered"}
