"""Many requests to a loopback endpoint; what a teacher's tests (data/synthetic) do not cover."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from codepretrain.endpoint.account import Account, Request, Terms
from codepretrain.endpoint.chat import Answer, Endpoint
from codepretrain.endpoint.pace import Pace
from codepretrain.endpoint.paid_requests import ask_all
from codepretrain.errors import UserError
from codepretrain.files import journal as journals
from tests.endpoint.loopback import Clock, Reply, answer, dropped, endpoint, raw


def record(request: Request, answer: Answer | str) -> Mapping[str, Any]:
    is_answer = isinstance(answer, Answer)
    return {"text": answer.text if is_answer else None, "error": None if is_answer else answer}


def ask(folder: Path, replies: list[Reply], count: int, **more: Any) -> tuple[Account, int, Clock]:
    clock = Clock()
    with endpoint(*replies) as server:
        try:
            account = ask_all(
                (Request(f"r{i}", f"Add {i}.", f"item {i}") for i in range(count)),
                Endpoint(url=server.url, model="m", max_tokens=50),
                Terms(concurrency=1, completion_price=1.0),
                journal=folder / "answers.jsonl",
                record=record,
                pace=Pace(None, deadline_s=more.pop("s", None), now=clock.now, wait=clock.wait),
                **more,
            )
        finally:
            num_requests = len(server.seen)
    return account, num_requests, clock


def test_a_deadline_ends_the_run_and_the_next_one_resumes(tmp_path: Path) -> None:
    replies = [answer("a"), raw(b"", 429, Retry_After="100"), answer("b")]
    account, num_requests, clock = ask(tmp_path, replies, 5, s=60)
    assert (account.num_answers, account.num_failed, num_requests) == (1, 1, 2)
    assert account.stopped_at_deadline
    assert clock.time < 60, "the pause would have passed the deadline"
    account, num_requests, _ = ask(tmp_path, [answer("c")], 5)
    assert (account.num_answers, account.num_kept, num_requests) == (5, 1, 4)
    assert not account.stopped_at_deadline


@pytest.mark.parametrize("reply", [raw(b"full", 503), dropped])
def test_an_endpoint_that_answers_nothing_any_more_ends_the_run(
    tmp_path: Path, reply: Reply
) -> None:
    with pytest.raises(UserError, match=r"none of the last 3 requests: .*8 attempts.*to resume"):
        ask(tmp_path, [answer("a"), reply], 50)
    assert len(journals.read(tmp_path / "answers.jsonl")) == 1


def test_answers_between_failures_keep_the_run_going(tmp_path: Path) -> None:
    replies = [reply for _ in range(6) for reply in (*[raw(b"full", 503)] * 8, answer("a"))]
    account, _, _ = ask(tmp_path, replies, 12)
    assert (account.num_answers, account.num_failed) == (6, 6)


def test_bad_answers_are_sent_again_by_the_next_run_if_they_are_not_kept(tmp_path: Path) -> None:
    bad = raw(b"<html>")
    account, num_requests, _ = ask(tmp_path, [bad, bad, answer("a")], 2, keeps_bad=False)
    assert (num_requests, account.num_failed, account.num_answers) == (3, 1, 2)
    assert account.cost == pytest.approx((2 * 50 + 20) / 1e6), "both bad answers may be paid"
    account, num_requests, _ = ask(tmp_path, [answer("a")], 2, keeps_bad=False)
    assert (num_requests, account.num_failed) == (1, 0)


@pytest.mark.parametrize("keeps_bad", [True, False])
def test_an_endpoint_with_bad_answers_only_ends_the_run_and_its_cost_is_kept(
    tmp_path: Path, keeps_bad: bool
) -> None:
    """The page of a proxy, say; the requests are sent again when the address is right."""
    with pytest.raises(UserError, match="none of the last 3 requests: no text in the answer"):
        ask(tmp_path, [raw(b"<html>")], 50, keeps_bad=keeps_bad)
    kept = journals.read(tmp_path / "answers.jsonl")
    assert [line["request"] for line in kept] == [f"r{i}/unanswered" for i in range(3)]
    assert sum(line["completion_tokens"] for line in kept) == 3 * 2 * 50


def test_answers_are_told_as_they_come(tmp_path: Path) -> None:
    told: list[int] = []
    ask(tmp_path, [answer("a")], 3, on_answer=lambda account: told.append(account.num_answers))
    assert told == [1, 2, 3]
