"""One request to an OpenAI-compatible endpoint, and what may come back.

Nothing that an endpoint sends is trusted: the answer has a limit in bytes and in time, redirects
are not followed (they would take the key elsewhere), and token counts are checked. The key is in
one header of the request and nowhere else.
"""

import email.utils
import ipaddress
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2

from codepretrain.errors import UserError, one_line

_MAX_ANSWER_BYTES = 8 << 20
_MAX_EXCERPT = 1000  # characters of an answer that a message is made from
_MAX_TOKENS = 1 << 31  # of a count that is believed
_HOST = re.compile(r"[A-Za-z0-9.:-]+")
_BUSY = (408, 409, 425, 429, 500, 502, 503, 504, 529)
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_MISCONFIGURED = (401, 402, 403, 404, 405)
_QUOTA = b"insufficient_quota"  # sent with 429, and waiting does not help


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """`url` ends before `/chat/completions`, as in `https://host/v1`. `key` may be empty.

    seed: sent if it is given; few endpoints are deterministic with it.
    """

    url: str
    model: str
    key: str = field(default="", repr=False)
    temperature: float = 0.7
    max_tokens: int = 2048
    seed: int | None = None
    timeout_s: float = 120.0

    def check(self) -> None:
        """Raises UserError for an address or a key that cannot be used; never shows the key."""
        try:
            url = httpx2.URL(self.url)
        except httpx2.InvalidURL as error:
            raise UserError(f"the endpoint's address cannot be parsed: {error}") from None
        if url.userinfo or url.query:  # they may be a secret, so they are not shown
            raise UserError(
                f"endpoint {url.scheme}://{url.host}: expected an address without user and query; "
                "a key is given by an environment variable"
            )
        if url.scheme not in ("http", "https") or not _HOST.fullmatch(url.host):
            raise UserError(f"endpoint {self.url[:200]!r}: expected https://HOST/PATH")
        if url.scheme == "http" and not _is_loopback(url.host):
            raise UserError(f"endpoint {self.url[:200]!r}: http is for this machine; use https")
        if self.key and not (self.key.isascii() and self.key.isprintable() and " " not in self.key):
            raise UserError("the endpoint's key has characters that no key has, such as a newline")


@dataclass(frozen=True)
class Answer:
    """Text, and tokens as the endpoint counted them (None if it did not, or not credibly)."""

    text: str
    model: str
    prompt_tokens: int | None
    completion_tokens: int | None
    was_cut_off: bool


class BusyError(Exception):
    """Try again, after `after_s` seconds if the endpoint said so.

    is_lost: the request was sent, and an answer that did not arrive may be billed.
    """

    def __init__(self, reason: str, after_s: float | None = None, *, is_lost: bool = False) -> None:
        super().__init__(reason)
        self.after_s = after_s
        self.is_lost = is_lost


class BadAnswerError(Exception):
    """The endpoint accepted the request, but its answer is of no use."""


class RefusedError(Exception):
    """The endpoint does not accept this request; another may be accepted."""


def make_client(endpoint: Endpoint, *, num_connections: int) -> httpx2.Client:
    """Returns a client for any number of threads. It reads no environment variables."""
    headers = {"Accept-Encoding": "identity"}
    if endpoint.key:
        headers["Authorization"] = f"Bearer {endpoint.key}"
    return httpx2.Client(
        headers=headers,
        timeout=httpx2.Timeout(endpoint.timeout_s, connect=min(20.0, endpoint.timeout_s)),
        limits=httpx2.Limits(max_connections=num_connections),
        trust_env=False,
        follow_redirects=False,
    )


def ask(
    client: httpx2.Client,
    endpoint: Endpoint,
    prompt: str,
    *,
    request_id: str,
    now: Callable[[], float] = time.monotonic,
) -> Answer:
    """Sends one prompt and returns the answer.

    Args:
      request_id: sent as `Idempotency-Key`: an endpoint that knows it bills a repetition once.

    Raises:
      BusyError: the endpoint is overloaded or unreachable, or the connection was lost.
      BadAnswerError: an answer in no valid form.
      RefusedError: the endpoint does not accept this prompt.
      UserError: it accepts no request: the address, the model or the key is wrong.
    """
    body: dict[str, Any] = {
        "model": endpoint.model,
        "messages": [{"role": "user", "content": prompt}],
        "temperature": endpoint.temperature,
        "max_tokens": endpoint.max_tokens,
    }
    if endpoint.seed is not None:
        body["seed"] = endpoint.seed
    url = f"{endpoint.url.rstrip('/')}/chat/completions"
    headers = {"Idempotency-Key": request_id}
    deadline = now() + endpoint.timeout_s
    try:
        with client.stream("POST", url, json=body, headers=headers) as response:
            content = _read(response, deadline, now)
            status, response_headers = response.status_code, response.headers
    except httpx2.TransportError as error:
        reason = _safe(f"{type(error).__name__}: {error}", endpoint)
        raise BusyError(reason, is_lost=not isinstance(error, _NOT_SENT)) from None
    if status == 200:
        return _answer(content, endpoint)
    excerpt = _safe(content.decode(errors="replace"), endpoint)
    is_exhausted = _QUOTA in content
    if status in _BUSY and not is_exhausted:
        raise BusyError(f"HTTP {status}: {excerpt}", _retry_after(response_headers))
    if status in _MISCONFIGURED or 300 <= status < 400 or is_exhausted:
        raise UserError(
            f"endpoint {url}: HTTP {status}: {excerpt}; check address, model, key and credit"
        )
    raise RefusedError(f"HTTP {status}: {excerpt}")


def _read(response: httpx2.Response, deadline: float, now: Callable[[], float]) -> bytes:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise BadAnswerError("the answer is compressed, which was not asked for")
    content = b""
    for chunk in response.iter_raw():
        content += chunk
        if len(content) > _MAX_ANSWER_BYTES:
            raise BadAnswerError(f"the answer is longer than {_MAX_ANSWER_BYTES:,} bytes")
        if now() > deadline:
            raise BusyError("the answer did not end in time", is_lost=True)
    return content


def _answer(content: bytes, endpoint: Endpoint) -> Answer:
    try:
        value = json.loads(content)
        choice = value["choices"][0]
        text = choice["message"]["content"]
        if not isinstance(text, str) or not text.strip():
            raise TypeError("no text")
        text.encode()
        if endpoint.key:  # an answer is written to files
            text = text.replace(endpoint.key, "[key]")
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        shown = _safe(content.decode(errors="replace"), endpoint)
        raise BadAnswerError(f"no text in the answer ({type(error).__name__}): {shown}") from None
    usage = value.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    model = value.get("model")
    return Answer(
        text=text,
        model=_safe(model, endpoint) if isinstance(model, str) else endpoint.model,
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        was_cut_off=choice.get("finish_reason") == "length",
    )


def _count(value: Any) -> int | None:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 < value < _MAX_TOKENS else None


def _retry_after(headers: httpx2.Headers) -> float | None:
    """Returns the seconds of a Retry-After header, which holds seconds or a date."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, moment.timestamp() - time.time())


def _safe(text: str, endpoint: Endpoint) -> str:
    """Returns one short line without the key, which an endpoint may echo.

    The key is replaced first: a cut within it would leave a part.
    """
    hidden = text.replace(endpoint.key, "[key]") if endpoint.key else text
    return one_line(hidden[:_MAX_EXCERPT])[:300]


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
