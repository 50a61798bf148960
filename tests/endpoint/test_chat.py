"""One request against a real server on loopback that misbehaves."""

import json
from typing import Any

import pytest

from codepretrain.endpoint.chat import (
    Answer,
    BadAnswerError,
    BusyError,
    Endpoint,
    RefusedError,
    ask,
    make_client,
)
from codepretrain.errors import UserError
from tests.endpoint.loopback import (
    Reply,
    answer,
    content,
    dripping,
    dropped,
    endpoint,
    raw,
    stalled,
    truncated,
)

KEY = "sk-hunter2-0123456789"


def send(*replies: Reply, timeout_s: float = 20.0) -> Answer:
    with endpoint(*replies) as server:
        chosen = Endpoint(url=server.url, model="m", key=KEY, timeout_s=timeout_s)
        with make_client(chosen, num_connections=1) as client:
            return ask(client, chosen, "Add.", request_id="r1")


def test_a_request_and_its_answer() -> None:
    with endpoint(answer("x = 1")) as server:
        chosen = Endpoint(url=f"{server.url}/", model="m", key=KEY, max_tokens=7)
        with make_client(chosen, num_connections=1) as client:
            found = ask(client, chosen, "Add.", request_id="r1")
    assert found == Answer("x = 1", "m-1", 100, 20, False)
    headers, body = server.seen[0]
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["Idempotency-Key"] == "r1"
    assert body["messages"] == [{"role": "user", "content": "Add."}]
    assert (body["model"], body["max_tokens"]) == ("m", 7)


@pytest.mark.parametrize(
    "usage",
    [None, 3, {}, {"prompt_tokens": -1}, {"prompt_tokens": "9"}, {"prompt_tokens": True},
     {"prompt_tokens": 1e3}, {"prompt_tokens": 10**30}, {"prompt_tokens": 0}],
)  # fmt: skip
def test_counts_that_are_not_credible_are_not_believed(usage: Any) -> None:
    assert send(answer("x", usage=usage)).prompt_tokens is None


@pytest.mark.parametrize(
    "reply",
    [
        raw(b""), raw(b"<html>"), raw(b"null"), raw(b"[]"), raw(b"{}"), raw(b'{"choices": []}'),
        raw(b'{"choices": [{"message": null}]}'), raw(b"[" * 100_000), raw(b"\xff\xfe"),
        answer(None), answer(""), answer(" \n"), answer(3), answer(["x"]), answer("\ud800"),
        raw(b" " * (9 << 20)), raw(content("x"), Content_Encoding="gzip"),
        raw(b'{"error": {"message": "model is loading"}}'),
    ],
)  # fmt: skip
def test_other_answers_are_bad(reply: Reply) -> None:
    with pytest.raises(BadAnswerError):
        send(reply)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 529])
def test_an_endpoint_that_is_busy(status: int) -> None:
    with pytest.raises(BusyError, match=f"HTTP {status}: later") as caught:
        send(raw(b"later", status))
    assert caught.value.after_s is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0), ("0", 0.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("soon", None),
        ("-3", None), ("Mon, 01 Jan 99999999999 00:00:00 GMT", None),
    ],
)  # fmt: skip
def test_retry_after(text: str, seconds: float | None) -> None:
    with pytest.raises(BusyError) as caught:
        send(raw(b"", 429, Retry_After=text))
    assert caught.value.after_s == seconds


@pytest.mark.parametrize("reply", [dropped, truncated])
def test_a_lost_connection_is_busy(reply: Reply) -> None:
    with pytest.raises(BusyError):
        send(reply)


@pytest.mark.parametrize("reply", [stalled, dripping])
def test_an_answer_has_a_time_limit(reply: Reply) -> None:
    with pytest.raises(BusyError, match=r"ReadTimeout|did not end in time"):
        send(reply, timeout_s=0.3)


def test_a_refused_prompt() -> None:
    with pytest.raises(RefusedError, match="HTTP 400: too long"):
        send(raw(b"too long", 400))


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_is_a_users_mistake_and_is_not_shown(status: int) -> None:
    with pytest.raises(UserError, match=f"HTTP {status}: no such key") as caught:
        send(raw(f"no such key: {KEY}".encode(), status))
    assert KEY not in str(caught.value)


def test_a_redirect_is_not_followed() -> None:
    with endpoint(answer()) as other:
        with pytest.raises(UserError, match="HTTP 307"):
            send(raw(b"", 307, Location=f"{other.url}/chat/completions"))
        assert other.seen == []


def test_no_error_shows_the_key() -> None:
    echo = json.dumps({"echo": KEY}).encode()
    for reply in (raw(echo), raw(echo, 500), raw(echo, 400)):
        with pytest.raises((BadAnswerError, BusyError, RefusedError)) as caught:
            send(reply)
        assert KEY not in str(caught.value)
        assert "[key]" in str(caught.value)
    assert KEY not in repr(Endpoint(url="https://h/v1", model="m", key=KEY))


def test_no_error_shows_a_part_of_the_key() -> None:
    """Where a message is cut within the key."""
    for num_spaces in range(470, 510):
        with pytest.raises(BadAnswerError) as caught:
            send(raw(b" " * num_spaces + KEY.encode()))
        assert KEY[:4] not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://example.org/v1", "http is for this machine; use https"),
        ("ftp://example.org", "expected https://HOST/PATH"),
        ("https://user:hunter2@example.org", "example.org: expected an address without user"),
        ("https://example.org/v1?key=hunter2", "without user and query"),
        ("example", "expected https://HOST/PATH"),
        ("https://[", "endpoint"),
    ],
)
def test_addresses_that_are_refused(url: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        Endpoint(url=url, model="m").check()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("key", ["a\nb", "a b", "ключ", "a\x00"])
def test_a_damaged_key_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(UserError, match="characters that no key has") as caught:
        Endpoint(url="https://h/v1", model="m", key=key).check()
    assert key not in str(caught.value)


def test_an_account_without_credit_is_a_users_mistake() -> None:
    """It is sent with 429, but waiting does not help."""
    body = json.dumps({"error": {"message": "x" * 400, "type": "insufficient_quota"}}).encode()
    with pytest.raises(UserError, match="check address, model, key and credit"):
        send(raw(body, 429))


def test_the_seed_is_sent_if_there_is_one() -> None:
    for seed, expected in ((None, {}), (7, {"seed": 7})):
        with endpoint(answer("x")) as server:
            chosen = Endpoint(url=server.url, model="m", seed=seed)
            with make_client(chosen, num_connections=1) as client:
                ask(client, chosen, "Add.", request_id="r1")
        (_, body), *_ = server.seen
        assert {name: body[name] for name in body if name == "seed"} == expected


def test_a_key_that_an_endpoint_echoes_is_not_in_the_answer() -> None:
    found = send(answer(f"your key is {KEY}", model=f"m {KEY}"))
    assert (found.text, found.model) == ("your key is [key]", "m [key]")
