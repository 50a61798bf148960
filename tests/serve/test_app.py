"""Routes, keys, sizes and clients that leave, over real connections."""

import contextlib
import dataclasses
import http.client
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from codepretrain.serve import app
from codepretrain.serve.app import Served, make_app
from codepretrain.serve.compute import Compute
from codepretrain.serve.engine import Engine
from codepretrain.serve.job import Job
from codepretrain.serve.request import CompletionRequest
from codepretrain.serve.server import bind, running
from tests.serve.conftest import NAME, Endpoint, serving

KEY = "a key of 16 characters"


def test_health_and_models(endpoint: Endpoint) -> None:
    assert endpoint.get("/health").json == {"status": "ok", "model": NAME}
    listed = endpoint.get("/v1/models").json
    assert listed["object"] == "list"
    [model] = listed["data"]
    assert (model["id"], model["object"], model["max_model_len"]) == (NAME, "model", 64)
    assert endpoint.get(f"/v1/models/{NAME}").json == model
    missing = endpoint.get("/v1/models/gpt")
    assert missing.status == 404
    assert missing.message == f"there is no model 'gpt': this server has '{NAME}'"


def test_the_model_may_be_named_and_must_be_this_one(endpoint: Endpoint) -> None:
    assert endpoint.choices(prompt="a", max_tokens=1, model=NAME)
    reply = endpoint.complete(prompt="a", max_tokens=1, model="gpt")
    assert reply.status == 404
    assert reply.json["error"]["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/", 404, "GET '/': there are only /v1/completions, /v1/models and /health"),
        ("/v1/completion", 404, "there are only /v1/completions"),
        ("/v1/completions", 405, "another method is needed: POST for /v1/completions"),
        ("/v1/chat/completions", 404, "the model knows no chat format: use POST /v1/completions"),
    ],
)
def test_other_paths_and_methods(endpoint: Endpoint, path: str, status: int, message: str) -> None:
    reply = endpoint.get(path)
    assert reply.status == status
    assert message in reply.message


def test_a_wrong_request_is_400_with_one_sentence(endpoint: Endpoint) -> None:
    reply = endpoint.complete(prompt="a", max_tokens=64)
    assert reply.status == 400
    assert reply.json["error"] == {
        "message": "the prompt has 2 tokens and max_tokens is 64, together 66: expected at most "
        "64, the model's window; shorten the prompt or lower max_tokens",
        "type": "invalid_request_error",
        "param": "prompt",
        "code": "context_length_exceeded",
    }
    assert endpoint.post("/v1/completions", b"{").status == 400


def test_a_field_that_is_no_unicode_text_is_a_wrong_request(endpoint: Endpoint) -> None:
    reply = endpoint.post("/v1/completions", b'{"prompt": "a", "\\ud800": 1}')
    assert (reply.status, reply.json["error"]["param"]) == (400, r"\ud800")
    assert "unknown field" in reply.message


def test_only_json_is_read(endpoint: Endpoint) -> None:
    """A web page may send a form or plain text to this machine without being asked."""
    body = b'{"prompt": "a", "max_tokens": 1}'
    reply = endpoint.post("/v1/completions", body, **{"Content-Type": "text/plain"})
    assert reply.status == 415
    assert "expected Content-Type: application/json, found 'text/plain'" in reply.message
    charset = {"Content-Type": "application/json; charset=utf-8"}
    assert endpoint.post("/v1/completions", body, **charset).status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 403),
        ("evil.example:80", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost:9000", 200),
        ("127.0.0.1", 200),
        ("[::1]:9000", 200),
    ],
)
def test_a_name_that_leads_here_from_elsewhere_is_refused(
    endpoint: Endpoint, host: str, status: int
) -> None:
    for path in ("/health", "/v1/models"):
        assert endpoint.get(path, Host=host).status == status


def test_a_body_that_is_too_large(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "MAX_BODY_BYTES", 1000)
    reply = endpoint.post("/v1/completions", b" " * 1001)
    assert reply.status == 413
    assert reply.message == "the body: expected at most 1,000 bytes"


def test_a_key_must_be_given_and_right(compute: Compute, served: Served) -> None:
    secured = dataclasses.replace(served, key=KEY)
    with serving(Engine(compute), secured) as endpoint:
        assert endpoint.get("/health").status == 200
        for headers, found in [
            ({}, "none"),
            ({"Authorization": f"Basic {KEY}"}, "none"),
            ({"Authorization": "Bearer "}, "another key"),
            ({"Authorization": "Bearer an\xe9other"}, "another key"),
            ({"Authorization": f"Bearer {KEY}x"}, "another key"),
        ]:
            for reply in (
                endpoint.get("/v1/models", **headers),
                endpoint.post("/v1/completions", b'{"prompt": "a"}', **headers),
            ):
                assert reply.status == 401
                assert reply.message.endswith(f"found {found}")
                assert KEY not in reply.message
        right = {"Authorization": f"Bearer {KEY}"}
        assert endpoint.get("/v1/models", **right).status == 200
        body = b'{"prompt": "a", "max_tokens": 1, "temperature": 0}'
        assert endpoint.post("/v1/completions", body, **right).status == 200


def test_many_clients_get_what_each_gets_alone(endpoint: Endpoint) -> None:
    """Mixed requests at once: scored, greedy and sampled, with and without log-probabilities."""
    requests: list[dict[str, Any]] = []
    for number in range(6):
        prompt = f"The river {number} is " * (1 + number % 3)
        requests += [
            {"prompt": prompt, "max_tokens": 1, "echo": True, "logprobs": 1},
            {"prompt": prompt, "max_tokens": 3 + number, "logprobs": number % 3},
            {"prompt": [prompt, "x"], "max_tokens": 8, "stop": "e"},
            {"prompt": prompt, "max_tokens": 4, "temperature": 0.7, "seed": number, "n": 2},
        ]
    alone = [endpoint.choices(**values) for values in requests]
    with ThreadPoolExecutor(len(requests)) as pool:
        together = [*pool.map(lambda values: endpoint.choices(**values), requests)]
    for values, one, other in zip(requests, alone, together, strict=True):
        assert [c["text"] for c in other] == [c["text"] for c in one], values
        for ours, theirs in zip(one, other, strict=True):
            if ours["logprobs"]:
                ours, theirs = ours["logprobs"], theirs["logprobs"]
                assert ours["tokens"] == theirs["tokens"]
                assert ours["token_logprobs"] == theirs["token_logprobs"], "the same bits"


def test_a_client_that_leaves_abandons_its_request(compute: Compute, served: Served) -> None:
    """The engine does not run yet when the client closes the connection."""
    engine = Engine(compute)
    jobs: list[Job] = []
    submit = engine.submit

    def watched(request: CompletionRequest) -> Job:
        jobs.append(submit(request))
        return jobs[-1]

    engine.submit = watched  # type: ignore[method-assign]
    with (
        contextlib.closing(bind("127.0.0.1", 0)) as sock,
        running(make_app(served, engine), sock, on_end=lambda: None),
    ):
        connection = http.client.HTTPConnection(*sock.getsockname())
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/completions", b'{"prompt": "a"}', headers)
        _wait_until(lambda: bool(jobs))
        assert not jobs[0].is_abandoned
        connection.close()
        _wait_until(lambda: jobs[0].is_abandoned)
    engine.stop()
    engine.run()
    assert jobs[0].future.cancelled()


def _wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_half_a_request_keeps_nobody_waiting(endpoint: Endpoint) -> None:
    host, port = endpoint.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as half:
        half.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Le")
        assert endpoint.choices(prompt="a", max_tokens=2)
