"""The HTTP side: routes, keys, sizes. It never computes: it waits for the engine.

GET  /health              whether the server answers
GET  /v1/models           the one model, with its window
GET  /v1/models/NAME
POST /v1/completions
"""

import asyncio
import hmac
import ipaddress
import json
import time
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from codepretrain.errors import quoted
from codepretrain.serve.answer import response
from codepretrain.serve.api_error import ApiError
from codepretrain.serve.engine import Engine
from codepretrain.serve.fields import parse_object
from codepretrain.serve.job import Answer, Job
from codepretrain.serve.pieces import Pieces
from codepretrain.serve.request import CompletionRequest, Limits, Tokenizer, read_request

MAX_BODY_BYTES = 32 << 20
_CLIENT_GONE = 499  # nobody reads it


@dataclass(frozen=True, kw_only=True)
class Served:
    """What is served, and to whom.

    Attributes:
      details: more fields of the model in `/v1/models`.
      key: the bearer token that requests must carry; None: none is needed.
      hosts: the names in a request's Host header; None: any. A web page cannot reach a server on
        loopback through a name of its own then (DNS rebinding).
    """

    name: str
    tokenizer: Tokenizer
    pieces: Pieces
    limits: Limits
    details: dict[str, Any] = field(default_factory=dict)
    key: str | None = None
    hosts: tuple[str, ...] | None = None


def make_app(served: Served, engine: Engine) -> Starlette:
    """Returns the ASGI application."""
    endpoints = _Endpoints(served, engine)
    return Starlette(
        routes=[
            Route("/health", endpoints.health),
            Route("/v1/models", endpoints.models),
            Route("/v1/models/{name:path}", endpoints.model),
            Route("/v1/completions", endpoints.completions, methods=["POST"]),
        ],
        exception_handlers={
            ApiError: _refused,
            HTTPException: _no_route,
            Exception: _defect,  # Starlette raises it again, and uvicorn prints its traceback
        },
    )


class _Endpoints:
    """The functions behind the routes."""

    def __init__(self, served: Served, engine: Engine) -> None:
        self._served = served
        self._engine = engine
        self._created = int(time.time())

    async def health(self, request: Request) -> Response:
        self._check_host(request)
        return _json(200, {"status": "ok", "model": self._served.name})

    async def models(self, request: Request) -> Response:
        self._check_client(request)
        return _json(200, {"object": "list", "data": [self._model()]})

    async def model(self, request: Request) -> Response:
        self._check_client(request)
        self._check_name(request.path_params["name"])
        return _json(200, self._model())

    async def completions(self, request: Request) -> Response:
        self._check_client(request)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":  # a web page may send other types without being asked
            raise ApiError(
                415,
                f"expected Content-Type: application/json, found {quoted(kind)}; with curl, give "
                "--json instead of -d",
            )
        body = await _body(request)
        wanted = await asyncio.to_thread(self._read, body)
        answer = await _first_of(self._engine.submit(wanted), request)
        if answer is None:
            return Response(status_code=_CLIENT_GONE)
        return await asyncio.to_thread(self._response, wanted, answer)

    def _read(self, body: bytes) -> CompletionRequest:
        served = self._served
        wanted = read_request(parse_object(body), served.tokenizer, served.limits)
        if wanted.model is not None:
            self._check_name(wanted.model)
        return wanted

    def _response(self, wanted: CompletionRequest, answer: Answer) -> Response:
        pieces, name = self._served.pieces, self._served.name
        return _json(200, response(wanted, *answer, pieces=pieces, model=name))

    def _model(self) -> dict[str, Any]:
        return {
            "id": self._served.name,
            "object": "model",
            "created": self._created,
            "owned_by": "codepretrain",
            "max_model_len": self._served.limits.window,
            **self._served.details,
        }

    def _check_name(self, name: str) -> None:
        if name != self._served.name:
            raise ApiError(
                404,
                f"there is no model {quoted(name)}: this server has {quoted(self._served.name)}",
                field="model",
                code="model_not_found",
            )

    def _check_client(self, request: Request) -> None:
        self._check_host(request)
        key = self._served.key
        if key is None:
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        is_bearer = scheme.lower() == "bearer"
        if not is_bearer or not hmac.compare_digest(given.strip().encode(), key.encode()):
            found = "another key" if is_bearer else "none"
            raise ApiError(
                401,
                f"expected the server's key in the header Authorization: Bearer KEY, found {found}",
                code="invalid_api_key",
            )

    def _check_host(self, request: Request) -> None:
        hosts, name = self._served.hosts, _host_name(request.headers.get("host", ""))
        if hosts is not None and name not in hosts and not _is_loopback(name):
            raise ApiError(
                403,
                f"Host: expected one of {', '.join(hosts)} or a loopback address, found "
                f"{quoted(name)}",
            )


def _host_name(header: str) -> str:
    """Returns the name in a Host header, without port and brackets.

    >>> _host_name("[::1]:8000"), _host_name("localhost:8000")
    ('::1', 'localhost')
    """
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].lower()


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


async def _body(request: Request) -> bytes:
    """Returns the body of a request. Raises ApiError if it is too large."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise ApiError(413, f"the body: expected at most {MAX_BODY_BYTES:,} bytes")
    return bytes(body)


async def _first_of(job: Job, request: Request) -> Answer | None:
    """Returns the answer; None if the client is gone first, and then the job is abandoned."""
    answer = asyncio.wrap_future(job.future)
    gone = asyncio.ensure_future(_gone(request))
    waiting: set[asyncio.Future[Any]] = {answer, gone}
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        job.is_abandoned = True
        answer.cancel()
        return None
    finally:
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _json(status: int, value: Any) -> Response:
    content = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(content + "\n", status, media_type="application/json")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return _json(error.status, error.body())


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = f"{request.method} {quoted(request.url.path)}"
    if request.url.path.rstrip("/").endswith("/chat/completions"):
        text = f"{what}: the model knows no chat format: use POST /v1/completions"
    elif error.status_code == 405:
        text = f"{what}: another method is needed: POST for /v1/completions, GET for the others"
    else:
        text = f"{what}: there are only /v1/completions, /v1/models and /health"
    return _json(error.status_code, ApiError(error.status_code, text).body())


async def _defect(request: Request, error: Exception) -> Response:
    text = f"a defect of the server, whose log has the details: {type(error).__name__}"
    return _json(500, ApiError(500, text).body())
