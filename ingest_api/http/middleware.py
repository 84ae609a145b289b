"""What every request passes on its way in, as plain ASGI: a span and a latency; then the bounds of its body."""

import time
from functools import cache
from typing import Final

from fastapi import HTTPException
from opentelemetry import trace
from prometheus_client import Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingest_api.deps import DoorSettings
from ingest_api.http.error_handlers import internal_error
from ingest_api.tracing import start_span
from schemas.limits import MAX_EVENT_BYTES
from schemas.metrics import DOOR_LATENCY

TRACE_ID_HEADER: Final = "X-Trace-ID"
CLOSE: Final = {"Connection": "close"}  # what is left of the body is not read, so the connection cannot go on


class Observed:
    """A span, a latency and the header X-Trace-ID for each request; an exception becomes a 500 in our own body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        span = start_span(scope["method"], Headers(scope=scope).get("traceparent"))
        trace_id = format(span.get_span_context().trace_id, "032x")
        answered = False

        async def send_traced(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                MutableHeaders(scope=message)[TRACE_ID_HEADER] = trace_id
                span.set_attribute("http.response.status_code", message["status"])
            await send(message)

        with trace.use_span(span, end_on_exit=True):
            try:
                await self._app(scope, receive, send_traced)
            except Exception as error:
                if answered:
                    raise
                await internal_error(scope["path"], error)(scope, receive, send_traced)
            call = _call(scope)
            span.update_name(call)
        _latency(call).observe(time.perf_counter() - started)


class Bounded:
    """Lets in only JSON, uncompressed, and no more of it than the call allows: the read itself stops there."""

    def __init__(self, app: ASGIApp, settings: DoorSettings) -> None:
        self._app = app
        self._default = settings.max_body_bytes
        self._bounds = {
            "/api/v1/behaviors/track": MAX_EVENT_BYTES,
            "/api/v1/behaviors/validate": MAX_EVENT_BYTES,
            "/api/v1/behavior/track": MAX_EVENT_BYTES,
            "/api/v1/behaviors/track/batch": settings.max_batch_bytes,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS", "DELETE"}:
            await self._app(scope, receive, send)
            return
        bound = self._bounds.get(scope["path"].rstrip("/"), self._default)
        refusal = _refusal(Headers(scope=scope), bound)
        left = bound

        async def receive_bounded() -> Message:
            nonlocal left
            if refusal is not None:
                raise refusal
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise _too_large(bound)
            return message

        await self._app(scope, receive_bounded, send)


def _refusal(headers: Headers, bound: int) -> HTTPException | None:
    """Why a body with these headers is not read at all. It is raised when the call reads it: 404 and 405 go first."""
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > bound:
        return _too_large(bound)
    # To close a connection while its client sends may lose the answer: a body within the bound is read and dropped.
    end = None if length.isdecimal() else CLOSE
    kind, _, parameters = headers.get("content-type", "application/json").lower().partition(";")
    if kind.strip() != "application/json" and not kind.strip().endswith("+json"):
        return HTTPException(415, f"the content type must be application/json, not {kind.strip() or 'empty'}", end)
    if "charset" in parameters and "utf-8" not in parameters and "utf8" not in parameters:
        return HTTPException(415, "JSON is sent in UTF-8", end)
    if headers.get("content-encoding", "identity").lower() != "identity":
        return HTTPException(415, "the body must not be compressed", end)
    return None


def _too_large(bound: int) -> HTTPException:
    return HTTPException(413, f"the body is larger than {bound} bytes", CLOSE)


def _call(scope: Scope) -> str:
    """The call's route, not its path: a path holds ids, and a metric's labels are bounded."""
    route = scope.get("route")
    return f"{scope['method']} {route.path}" if route is not None else "unknown"


@cache
def _latency(call: str) -> Histogram:
    return DOOR_LATENCY.labels("http", call)
