"""The bodies of answers: plain JSON, `{success, message, errors, trace_id}`, and `{code, message, data, trace_id}`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from starlette.responses import Response

from ingest_api.api_codes import ApiCode
from ingest_api.tracing import trace_id
from schemas.verdict import Issue

CODED_PREFIXES: Final = ("/api/v1/recommend", "/api/v1/behavior/", "/api/v1/hot/")  # calls that answer with codes

encode = msgspec.json.Encoder().encode


class JsonResponse(Response):
    """JSON made by msgspec."""

    media_type = "application/json"

    def __init__(self, content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(encode(content), status, headers)


def coded(
    data: Any = None, *, code: ApiCode = ApiCode.SUCCESS, message: str | None = None, status: int = 200
) -> JsonResponse:
    """`{code, message, data, trace_id}`."""
    text = code.meaning if message is None else message
    return JsonResponse({"code": int(code), "message": text, "data": data, "trace_id": trace_id()}, status)


def failed(
    path: str,
    status: int,
    message: str,
    *,
    code: ApiCode,
    errors: Sequence[Issue | dict[str, str]] = (),
    event_id: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JsonResponse:
    """An error in the form that the call at `path` answers in."""
    body: dict[str, Any]
    if path.startswith(CODED_PREFIXES):
        body = {"code": int(code), "message": message, "data": None, "errors": errors, "trace_id": trace_id()}
    else:
        body = {"success": False, "message": message, "errors": errors, "trace_id": trace_id()}
        if event_id is not None:
            body["event_id"] = event_id
    return JsonResponse(body, status, headers)


def retry_after(seconds: int) -> dict[str, str]:
    return {"Retry-After": str(seconds)}
