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
from typing import Any

import httpx2
from etils import epath

from codepretrain.data.synthetic.answers import (
    Account,
    Request,
    Terms,
    answer_record,
    bad_record,
    requests,
)
from codepretrain.data.synthetic.endpoint import (
    BadAnswerError,
    BusyError,
    Endpoint,
    RefusedError,
    ask,
    make_client,
)
from codepretrain.data.synthetic.pace import Pace, StoppedError
from codepretrain.data.synthetic.problem import Problem
from codepretrain.errors import UserError
from codepretrain.files.journal import Journal
from codepretrain.files.lease import exclusive
from codepretrain.files.storage import StrPath

_FIELDS = {"request": str, "prompt_tokens": int, "completion_tokens": int}
_MAX_ATTEMPTS = 8
_MAX_BAD_ANSWERS = 2  # each may have been paid
_MAX_RETRY_AFTER_S = 3600.0
_REFUSALS_WITHOUT_ANSWER = 10


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
      announce: called with a message when a request failed for good, and when the first one is
        attempted again.

    Raises:
      UserError: the endpoint accepts no request, or the journal is in use or cannot be written.
    """
    endpoint.check()
    path = epath.Path(journal)
    with (
        exclusive(path.parent),
        Journal(path, fields=_FIELDS) as lines,
        make_client(endpoint, num_connections=terms.concurrency) as client,
    ):
        run = _Run(endpoint, terms, lines, client, pace or Pace(terms.requests_per_minute))
        run.announce = announce or (lambda _: None)
        run.requests = requests(problems, endpoint, terms.samples)
        return run.finish()


class _Run:
    """The threads of one run; `_lock` guards everything that they share."""

    announce: Callable[[str], None]
    requests: Iterator[Request]

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
        self._reserved = self._lost = 0.0
        self._num_refused = 0
        self._has_waited = False
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
                record = self._record(request)
            finally:
                with self._lock:
                    self._reserved -= reserved
            if record is not None:
                with self._lock:
                    self._journal.append(record)
                    self._journal.sync()
                    self.account.add(record, self._terms)

    def _next(self) -> Request | None:
        """Returns the next request that is not answered and that the budget allows."""
        with self._lock:
            for request in self.requests:
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
        self.requests = iter(())
        return False

    def _most(self, request: Request) -> float:
        """Returns the largest cost of a request that may be answered badly."""
        return _MAX_BAD_ANSWERS * self._most_once(request)

    def _most_once(self, request: Request) -> float:
        """Returns the largest cost of one answer: a token is at least a byte."""
        return self._terms.cost(len(request.prompt.encode()), self._endpoint.max_tokens)

    def _record(self, request: Request) -> dict[str, Any] | None:
        """Returns the journal's record of an answer; None if there was none."""
        bad_answers = 0
        for attempt in range(_MAX_ATTEMPTS):
            self._pace.turn()
            try:
                answer = ask(self._client, self._endpoint, request.prompt, request_id=request.id)
                return answer_record(request, answer, self._endpoint, self._terms, bad_answers)
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
                    return bad_record(request, reason, self._endpoint, self._terms, bad_answers)
            except RefusedError as error:
                self._refuse(str(error))
                return self._give_up(request, str(error), bad_answers)
            self._pace.back_off(attempt)
        return self._give_up(request, f"{reason} ({_MAX_ATTEMPTS} attempts)", bad_answers)

    def _lose(self, request: Request) -> bool:
        """Counts an answer that was lost; returns whether the budget allows another attempt."""
        with self._lock:
            self.account.num_lost += 1
            self._lost += self._most_once(request)
            return self._is_affordable(0.0)

    def _announce_wait(self, request: Request, reason: str) -> None:
        """Says the first time that attempts are repeated, which may take minutes."""
        with self._lock:
            if not self._has_waited:
                self._has_waited = True
                self.announce(
                    f"{request.problem.id}: {reason}; each request has up to {_MAX_ATTEMPTS} "
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

    def _give_up(self, request: Request, reason: str, bad_answers: int) -> dict[str, Any] | None:
        """Returns a record of what bad answers cost, if there were any.

        Its id is not the request's, which the next run sends again.
        """
        with self._lock:
            self.account.num_failed += 1
            self.announce(f"{request.problem.id}: {reason}")
        if not bad_answers:
            return None
        record = bad_record(request, reason, self._endpoint, self._terms, bad_answers)
        return record | {"request": f"{request.id}/unanswered"}
