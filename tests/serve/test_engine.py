"""The engine without HTTP: what happens to requests when something fails or ends."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from codepretrain.evals.harness.tokenizer import TextTokenizer
from codepretrain.serve import batch as batch_module
from codepretrain.serve import engine as engine_module
from codepretrain.serve.api_error import ApiError
from codepretrain.serve.compute import Compute
from codepretrain.serve.engine import Engine
from codepretrain.serve.request import CompletionRequest, Limits, read_request
from tests.serve.conftest import request_values


@pytest.fixture
def request_of(tokenizer: TextTokenizer, limits: Limits) -> Any:
    def read(**values: Any) -> CompletionRequest:
        return read_request(request_values(**{"temperature": 0, **values}), tokenizer, limits)

    return read


def run_to_end(engine: Engine) -> None:
    """Answers what was submitted, and ends."""
    engine.stop()
    engine.run()


@pytest.mark.parametrize("values", [{}, {"max_tokens": 1}, {"temperature": 0.5}])
def test_an_error_of_a_computation_goes_to_its_requests_and_the_next_are_answered(
    compute: Compute,
    request_of: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    values: dict[str, Any],
) -> None:
    engine = Engine(compute)
    thread = threading.Thread(target=engine.run)
    thread.start()
    with monkeypatch.context() as patch:
        for name in ("complete", "answer_scored"):
            patch.setattr(compute, name, _out_of_memory)
        for _ in range(2):
            error = engine.submit(request_of(**values)).future.exception(60)
            assert isinstance(error, ApiError)
            assert error.status == 500
            assert error.message == "the computation failed: RuntimeError: out of memory"
    assert engine.submit(request_of(**values)).future.result(60)
    engine.stop()
    thread.join(60)
    assert "RuntimeError: out of memory" in capsys.readouterr().err


def _out_of_memory(*_: object, **__: object) -> None:
    raise RuntimeError("out of memory")


def test_an_interruption_refuses_what_is_open_and_what_comes(
    compute: Compute, request_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    engine = Engine(compute)
    jobs = [engine.submit(request_of(max_tokens=1)), engine.submit(request_of())]
    monkeypatch.setattr(compute, "answer_scored", interrupt)
    with pytest.raises(KeyboardInterrupt):
        engine.run()
    for job in jobs:
        error = job.future.exception(0)
        assert isinstance(error, ApiError)
        assert (error.status, error.message) == (503, "the server is stopping")
    with pytest.raises(ApiError, match="the server is stopping"):
        engine.submit(request_of())


def test_too_many_that_wait(
    compute: Compute, request_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "MAX_WAITING", 2)
    engine = Engine(compute)
    jobs = [engine.submit(request_of(max_tokens=1)) for _ in range(2)]
    with pytest.raises(ApiError, match="2 requests wait already: try again later") as caught:
        engine.submit(request_of())
    assert caught.value.status == 429
    run_to_end(engine)
    assert all(job.future.result(0) for job in jobs)
    assert not engine._open


def test_an_abandoned_request_is_not_computed(
    compute: Compute, request_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[CompletionRequest] = []
    prompts, scored = compute.prompts, compute.answer_scored

    def watched(request: CompletionRequest, sampling: Any) -> Any:
        computed.append(request)
        return prompts(request, sampling)

    def watched_scores(requests: Sequence[CompletionRequest]) -> Any:
        computed.extend(requests)
        return scored(requests)

    monkeypatch.setattr(compute, "prompts", watched)
    monkeypatch.setattr(compute, "answer_scored", watched_scores)
    engine = Engine(compute)
    jobs = [engine.submit(request_of(max_tokens=count)) for count in (1, 4, 5)]
    for job in jobs:
        job.is_abandoned = True
    wanted = engine.submit(request_of(max_tokens=6))
    thread = threading.Thread(target=engine.run)
    thread.start()
    assert wanted.future.result(60)
    engine.stop()
    thread.join(60)
    assert computed == [wanted.request]
    assert all(isinstance(job.future.exception(0), ApiError) for job in jobs)


def test_a_request_joins_the_batch_that_runs(
    compute: Compute, request_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes while the first one is written; both are of one call of the language model."""
    calls: list[int] = []
    complete = compute.complete
    late: list[Any] = []

    def counted(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        for finished in complete(*arguments, **named):
            if not late:
                late.append(engine.submit(request_of(prompt="def", max_tokens=3)))
                late.append(engine.submit(request_of(prompt="def", max_tokens=1)))
            yield finished

    monkeypatch.setattr(compute, "complete", counted)
    engine = Engine(compute)
    first = engine.submit(request_of(prompt="The river", max_tokens=50))
    thread = threading.Thread(target=engine.run)
    thread.start()
    first.future.result(60)
    assert late[0].future.result(60)
    assert late[1].future.result(60), "a quick one does not wait for the batch"
    engine.stop()
    thread.join(60)
    assert calls == [1]


def answers_of(
    compute: Compute, requests: Sequence[CompletionRequest], monkeypatch: pytest.MonkeyPatch
) -> tuple[list[Any], int]:
    """Returns the completions of requests that wait together, and the number of batches."""
    calls: list[int] = []
    complete = compute.complete

    def counted(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        return complete(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(compute, "complete", counted)
        engine = Engine(compute)
        jobs = [engine.submit(request) for request in requests]
        thread = threading.Thread(target=engine.run)
        thread.start()
        answers = [job.future.result(60).completions for job in jobs]
        engine.stop()
        thread.join(60)
    return answers, len(calls)


def test_sampled_requests_of_one_seed_share_a_batch_and_get_what_they_get_alone(
    compute: Compute, request_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = {"temperature": 0.8, "seed": 3, "max_tokens": 6}
    requests = [
        request_of(prompt="The river", **same),
        request_of(prompt=["def", "The river"], n=2, **same),
        request_of(prompt="The river", **same),
    ]
    alone = [answers_of(compute, [request], monkeypatch)[0][0] for request in requests]
    together, num_batches = answers_of(compute, requests, monkeypatch)
    assert num_batches == 1
    assert together == alone
    assert together[0] == together[2]
    assert together[1][0][0] != together[1][0][1]


def test_settings_that_differ_do_not_share_a_batch(
    compute: Compute, request_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: list[dict[str, Any]] = [
        {"temperature": 0.8, "seed": 3},
        {"temperature": 0.8, "seed": 4},
        {"temperature": 0.9, "seed": 4},
        {"temperature": 0.9, "seed": 4, "top_p": 0.5},
        {},
    ]
    requests = [request_of(max_tokens=4, **one) for one in settings]
    assert answers_of(compute, requests, monkeypatch)[1] == 5


def test_requests_without_a_seed_share_a_batch_and_differ(
    compute: Compute, request_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeded = request_of(max_tokens=8, temperature=1, seed=3)
    unseeded = [request_of(max_tokens=8, temperature=1) for _ in range(3)]
    answers, num_batches = answers_of(compute, [seeded, *unseeded], monkeypatch)
    assert num_batches == 1
    assert len({str(answer) for answer in answers}) == 4


def test_a_batch_of_many_prompts_ends(
    compute: Compute, request_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a busy server does not remember every prompt of its life."""
    monkeypatch.setattr(batch_module, "_MAX_PROMPTS", 2)
    requests = [request_of(max_tokens=3 + number) for number in range(5)]
    assert answers_of(compute, requests, monkeypatch)[1] == 3


def test_a_batch_that_everybody_has_abandoned_ends_at_its_next_step(
    compute: Compute, request_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    complete = compute.complete

    def counted(*arguments: Any, **named: Any) -> Any:
        for finished in complete(*arguments, **named):
            job.is_abandoned = True
            steps.append(len(finished))
            yield finished

    monkeypatch.setattr(compute, "complete", counted)
    engine = Engine(compute)
    job = engine.submit(request_of(max_tokens=60))
    thread = threading.Thread(target=engine.run)
    thread.start()
    error = job.future.exception(60)
    assert isinstance(error, ApiError)
    assert error.message == "the client has closed the connection"
    monkeypatch.setattr(compute, "complete", complete)
    assert engine.submit(request_of()).future.result(60)
    engine.stop()
    thread.join(60)
    assert steps == [0]
