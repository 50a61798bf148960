"""A teacher on loopback: what is asked, kept, paid, and asked again."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from codepretrain.data.synthetic.answers import Terms, request_id
from codepretrain.data.synthetic.generate import generate
from codepretrain.data.synthetic.problem import Problem, Step
from codepretrain.data.synthetic.teacher import ask_teacher
from codepretrain.endpoint.account import Account
from codepretrain.endpoint.chat import Endpoint
from codepretrain.endpoint.pace import Pace
from codepretrain.errors import UserError
from codepretrain.files import journal as journals
from codepretrain.files.lease import exclusive
from tests.data.readers.reading import read, reader
from tests.endpoint.loopback import (
    Clock,
    Handler,
    Reply,
    answer,
    dropped,
    endpoint,
    raw,
    truncated,
)

KEY = "sk-hunter2-0123456789"
ROOT = Path(__file__).parents[3]


def problems(count: int) -> Iterator[Problem]:
    for i in range(count):
        yield Problem(
            statement=f"Add {i}.",
            name="add",
            tests=((Step("add(1, 2)", check="result == 3"),),),
        )


class Run:
    """Asks a server whose n-th reply is given, with a clock on which waiting takes no time."""

    def __init__(self, folder: Path, *replies: Reply) -> None:
        self.path = folder / "answers.jsonl"
        self.replies = replies or (answer(),)
        self.clock = Clock()
        self.messages: list[str] = []
        self.requests: list[str] = []

    def __call__(self, count: int, **terms: Any) -> Account:
        terms = {"concurrency": 1, "prompt_price": 10.0, "completion_price": 100.0, **terms}
        rate = terms.get("requests_per_minute")
        with endpoint(*self.replies) as server:
            try:
                return ask_teacher(
                    problems(count),
                    Endpoint(url=server.url, model="m", key=KEY, max_tokens=50),
                    Terms(**terms),
                    journal=self.path,
                    pace=Pace(rate, now=self.clock.now, wait=self.clock.wait),
                    announce=self.messages.append,
                )
            finally:
                self.requests = [headers["Idempotency-Key"] for headers, _ in server.seen]

    @property
    def records(self) -> list[dict[str, Any]]:
        return journals.read(self.path)


def test_every_answer_is_kept_and_counted(tmp_path: Path) -> None:
    run = Run(tmp_path)
    account = run(3, samples=2, license="MIT")
    assert account.cost == pytest.approx(0.018)
    assert account == Account(
        num_answers=6, prompt_tokens=600, completion_tokens=120, cost=account.cost
    )
    assert len(set(run.requests)) == 6
    first = run.records[0]
    assert first["solution"] == "def add(a, b):\n    return a + b\n"
    assert (first["teacher"], first["license"], first["answered_by"]) == ("m", "MIT", "m-1")
    assert (first["prompt_tokens"], first["completion_tokens"]) == (100, 20)


def test_what_is_answered_is_not_asked_again(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run(3)
    account = run(5)
    assert len(run.requests) == 2
    assert (account.num_answers, account.num_kept) == (5, 3)
    assert account.cost == pytest.approx(0.015)
    run(5)
    assert run.requests == []
    assert len({record["request"] for record in run.records}) == 5


def test_failures_are_tried_again(tmp_path: Path) -> None:
    run = Run(tmp_path, raw(b"", 500), dropped, raw(b"", 503), answer())
    assert run(1).num_answers == 1
    assert len(run.requests) == 4
    assert len(set(run.requests)) == 1  # one request, one idempotency key
    for wait, longest in zip(run.clock.waits, (1, 2, 4), strict=True):
        assert longest / 2 <= wait <= longest


def test_retry_after_holds_back_all_requests(tmp_path: Path) -> None:
    run = Run(tmp_path, raw(b"", 429, Retry_After="40"), answer())
    assert run(2).num_answers == 2
    assert run.clock.time >= 40


def test_a_retry_after_of_a_day_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"asks to wait 86,400 seconds .*rerun the same command"):
        Run(tmp_path, raw(b"", 429, Retry_After="86400"))(1)


def test_the_rate_is_kept(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run(4, requests_per_minute=6)
    assert run.clock.time == pytest.approx(30)


def test_an_endpoint_that_stays_busy_fails_the_request_which_the_next_run_repeats(
    tmp_path: Path,
) -> None:
    run = Run(tmp_path, raw(b"full", 503))
    assert run(1) == Account(num_failed=1)
    assert len(run.requests) == 8
    assert "HTTP 503: full (8 attempts)" in run.messages[-1]
    run.replies = (answer(),)
    assert run(1).num_answers == 1


@pytest.mark.parametrize(
    ("reply", "error", "num_requests"),
    [
        (answer("```python\nx = 1\n```"), "no code", 1),
        (answer("Sorry."), "no code", 1),
        (
            answer(choices=[{"message": {"content": "add"}, "finish_reason": "length"}]),
            "cut off",
            1,
        ),
    ],
)
def test_an_answer_without_a_solution_is_paid_and_not_asked_again(
    tmp_path: Path, reply: Reply, error: str, num_requests: int
) -> None:
    run = Run(tmp_path, reply)
    account = run(1)
    assert (account.num_answers, account.num_unusable) == (1, 1)
    assert account.cost > 0
    assert len(run.requests) == num_requests
    assert run.records[0]["error"].startswith(error)
    run(1)
    assert run.requests == []
    documents, skipped = read(reader("synthetic_code", candidates=str(run.path)))
    assert documents == []
    assert [item.reason for item in skipped] == ["an answer without a solution"]


@pytest.mark.parametrize("reply", [raw(b"<html>"), answer(None)])
def test_an_answer_without_text_is_paid_and_not_asked_again(tmp_path: Path, reply: Reply) -> None:
    """If the endpoint has given a valid one; `test_paid_requests.py` has the other case."""
    run = Run(tmp_path, answer(), reply)
    account = run(2)
    assert (account.num_answers, account.num_unusable) == (2, 1)
    assert len(run.requests) == 3
    assert run.records[1]["error"].startswith("no text in the answer")
    run(2)
    assert run.requests == []


def test_tokens_that_were_not_counted_are_taken_at_their_maximum(tmp_path: Path) -> None:
    run = Run(tmp_path, answer(usage={"prompt_tokens": -5, "completion_tokens": "none"}))
    account = run(1)
    assert account.num_estimated == 1
    assert account.completion_tokens == 50
    assert account.prompt_tokens > 100


@pytest.mark.parametrize("reply", [dropped, truncated])
def test_lost_answers_are_named_and_count_against_the_budget(tmp_path: Path, reply: Reply) -> None:
    """The endpoint may bill them: `max_cost` takes them at their maximum."""
    run = Run(tmp_path, reply, reply, answer())
    account = run(1)
    assert (account.num_answers, account.num_lost) == (1, 2)
    assert account.cost == pytest.approx(0.003), "of the answer alone"

    (tmp_path / "other").mkdir()
    run = Run(tmp_path / "other", reply)
    account = run(20, max_cost=0.03)
    assert account.stopped_at_cost
    assert (account.num_answers, account.cost, account.num_failed) == (0, 0, 1)
    largest = (200 * 10 + 50 * 100) / 1e6  # of one request; the prompt has fewer than 200 bytes
    assert len(run.requests) == account.num_lost <= 0.03 / largest + 2
    assert "could pass the budget" in run.messages[-1]


def test_an_endpoint_that_was_not_reached_bills_nothing(tmp_path: Path) -> None:
    clock = Clock()
    account = ask_teacher(
        problems(1),
        Endpoint(url="http://127.0.0.1:9/v1", model="m"),
        Terms(concurrency=1),
        journal=tmp_path / "answers.jsonl",
        pace=Pace(None, now=clock.now, wait=clock.wait),
    )
    assert (account.num_failed, account.num_lost) == (1, 0)


def test_a_wait_is_announced_once(tmp_path: Path) -> None:
    """Without a word, eight attempts of an endpoint that is down look like a hang."""
    run = Run(tmp_path, raw(b"full", 503), raw(b"full", 503), answer())
    assert run(2).num_failed == 0
    assert len(run.messages) == 1
    assert "HTTP 503" in run.messages[0]
    assert "up to 8 attempts" in run.messages[0]


@pytest.mark.parametrize("then", [raw(b"too long", 400), raw(b"full", 503)])
def test_a_bad_answer_is_paid_even_if_no_other_follows(tmp_path: Path, then: Reply) -> None:
    run = Run(tmp_path, raw(b"<html>"), then)
    account = run(1)
    assert (account.num_answers, account.num_unusable, account.num_failed) == (1, 1, 1)
    assert account.cost > 0.005
    run.replies = (answer(),)
    again = run(1)
    assert len(run.requests) == 1, "the request has no answer yet"
    assert (again.num_answers, again.num_unusable) == (2, 1)
    assert again.cost == pytest.approx(account.cost + 0.003)
    run(1)
    assert run.requests == []


def test_an_answer_keeps_the_price_that_was_paid(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run(2).cost == pytest.approx(0.006)
    account = run(3, prompt_price=100.0, completion_price=1000.0)
    assert account.cost == pytest.approx(0.006 + 0.03)


@pytest.mark.parametrize("concurrency", [1, 4])
def test_the_budget_is_not_passed(tmp_path: Path, concurrency: int) -> None:
    run = Run(tmp_path)
    account = run(40, max_cost=0.05, concurrency=concurrency)
    assert account.stopped_at_cost
    assert 0 < account.cost <= 0.05
    assert account.num_answers == len(run.requests) == len(run.records)
    again = run(40, max_cost=0.05)
    assert again.cost <= 0.05


def test_a_wrong_key_ends_the_run_at_once_without_being_shown(tmp_path: Path) -> None:
    run = Run(tmp_path, raw(f"bad {KEY}".encode(), 401))
    with pytest.raises(UserError, match="HTTP 401") as caught:
        run(50, concurrency=4)
    assert KEY not in str(caught.value)
    assert len(run.requests) <= 4


def test_an_endpoint_that_refuses_everything_ends_the_run(tmp_path: Path) -> None:
    run = Run(tmp_path, raw(b"unknown field max_tokens", 400))
    with pytest.raises(UserError, match=r"refused the first 10: HTTP 400: unknown field"):
        run(50)
    assert len(run.requests) == 10


def test_one_refused_prompt_does_not_end_the_run(tmp_path: Path) -> None:
    run = Run(tmp_path, answer(), *[raw(b"too long", 400)] * 12, answer())
    account = run(20)
    assert (account.num_answers, account.num_failed) == (8, 12)


def test_the_key_is_written_nowhere(tmp_path: Path) -> None:
    run = Run(tmp_path, raw(KEY.encode(), 500), raw(KEY.encode(), 400), answer(), answer(KEY))
    run(4)
    for path in tmp_path.rglob("*"):
        assert KEY.encode() not in path.read_bytes()
    assert not any(KEY in message for message in run.messages)


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.path.write_text('{"solution": "x"}\n')
    with pytest.raises(UserError, match=r"line 1 is damaged \(expected a field 'request'"):
        run(1)
    assert run.requests == []


def test_one_process_at_a_time_asks_into_a_journal(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with exclusive(tmp_path), pytest.raises(UserError, match="is in use by"):
        run(1)
    assert run.requests == []


_ASK = """
import sys
from codepretrain.data.synthetic.answers import Terms
from codepretrain.endpoint.chat import Endpoint
from codepretrain.data.synthetic.problem import Problem, Step
from codepretrain.data.synthetic.teacher import ask_teacher
tests = ((Step("add(1, 2)", check="result == 3"),),)
problems = (Problem(statement=f"Add {i}.", name="add", tests=tests) for i in range(24))
ask_teacher(problems, Endpoint(url=sys.argv[1], model="m"), Terms(concurrency=4),
            journal=sys.argv[2])
"""


def test_nothing_that_was_answered_is_paid_twice_after_kill_9(tmp_path: Path) -> None:
    def slow(handler: Handler, body: dict[str, Any]) -> None:
        time.sleep(0.05)
        answer()(handler, body)

    path = tmp_path / "answers.jsonl"
    with endpoint(slow) as server:
        command = [sys.executable, "-c", _ASK, server.url, str(path)]
        for num_answers in (5, 13):
            process = subprocess.Popen(command, cwd=ROOT)
            while len(journals.read(path)) < num_answers:
                assert process.poll() is None
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            process.wait()
            kept = {record["request"] for record in journals.read(path)}
            asked = len(server.seen)
            time.sleep(0.1)
            num_killed = len(server.seen)
            assert num_killed - asked <= 4
            server.seen, before = [], [h["Idempotency-Key"] for h, _ in server.seen]
            assert len(set(before) - kept) <= 4  # at most the requests in flight are lost
        subprocess.run(command, cwd=ROOT, check=True)
        repeated = {headers["Idempotency-Key"] for headers, _ in server.seen} & kept
    assert repeated == set()
    requests = [record["request"] for record in journals.read(path)]
    assert len(requests) == len(set(requests)) == 24


def test_answers_become_verified_documents(tmp_path: Path) -> None:
    """The reference, a wrong solution, and one that tries to forge its verdict."""
    problem = generate(0, 2)
    name = problem.name
    replies = [
        f"```python\n{problem.solution}```",
        f"def {name}(*x): return 0",
        f"raise SystemExit(0)  # {name}",
    ]
    with endpoint(*map(answer, replies)) as server:
        account = ask_teacher(
            iter([problem]),
            Endpoint(url=server.url, model="m"),
            Terms(samples=3, concurrency=1, license="MIT"),
            journal=tmp_path / "answers.jsonl",
        )
    assert account.num_answers == 3
    documents, skipped = read(reader("synthetic_code", candidates=f"{tmp_path}/*.jsonl"))
    assert [document.license for document in documents] == ["MIT"]
    assert documents[0].metadata["teacher"] == "m"
    assert documents[0].metadata["verdict"] == "verified"
    assert [item.reason for item in skipped] == ["not verified: wrong", "not verified: no record"]


def test_a_request_is_known_by_all_that_decides_its_answer() -> None:
    (problem,) = problems(1)
    chosen = Endpoint(url="https://h/v1", model="m")
    others = [
        request_id(problem, "p", chosen, 0),
        request_id(problem, "p", chosen, 1),
        request_id(problem, "q", chosen, 0),
        request_id(problem, "p", Endpoint(url="https://h/v1", model="n"), 0),
    ]
    assert len(set(others)) == 4
    elsewhere = Endpoint(url="https://other/v1", model="m", key="k")
    assert request_id(problem, "p", elsewhere, 0) == others[0]
