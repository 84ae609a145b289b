"""Every error in our own body, whoever raised it: the services, FastAPI, Starlette, a store's driver."""

from collections.abc import Sequence
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pymongo.errors import PyMongoError
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from ingest_api.api_codes import ApiCode
from ingest_api.errors import BrokerUnavailable, RequestRefused, StoreUnavailable
from ingest_api.http.answers import JsonResponse, failed, retry_after
from schemas.verdict import Code, Issue
from tracking_configs.errors import ConfigError

log = structlog.get_logger()

_CODES: Final = {
    400: ApiCode.INVALID_REQUEST,
    404: ApiCode.NOT_FOUND,
    405: ApiCode.METHOD_NOT_ALLOWED,
    413: ApiCode.TOO_LARGE,
    415: ApiCode.UNSUPPORTED_MEDIA_TYPE,
}
_MESSAGES: Final = {404: "there is no such call", 405: "the call has another method"}
_PYDANTIC: Final = {  # how pydantic's error types are called here; by their beginning
    "missing": Code.MISSING,
    "json_invalid": Code.INVALID_JSON,
    "extra_forbidden": Code.UNKNOWN_FIELD,
    "string_too_short": Code.TOO_SHORT,
    "string_too_long": Code.TOO_LONG,
    "string_pattern": Code.PATTERN_MISMATCH,
    "too_short": Code.TOO_SHORT,
    "too_long": Code.TOO_LONG,
    "greater_than": Code.OUT_OF_RANGE,
    "less_than": Code.OUT_OF_RANGE,
    "literal_error": Code.NOT_IN_ENUM,
    "enum": Code.NOT_IN_ENUM,
    "value_error": Code.OUT_OF_RANGE,
}


def add_error_handlers(app: FastAPI) -> None:
    """Registers all of them."""
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestRefused, _refused)
    app.add_exception_handler(ConfigError, _config)
    app.add_exception_handler(BrokerUnavailable, _broker)
    app.add_exception_handler(StoreUnavailable, _store)
    app.add_exception_handler(PyMongoError, _store)
    app.add_exception_handler(RedisError, _store)


def issues(details: Sequence[Any]) -> tuple[Issue, ...]:
    """Pydantic's errors as ours; the path is that of the body's field, or the parameter's name."""
    return tuple(Issue(_path(detail["loc"]), _code(detail["type"]), _words(detail)) for detail in details)


def _words(detail: Any) -> str:
    return "there is no such part" if detail["type"] == "extra_forbidden" else str(detail["msg"])


def internal_error(path: str, error: Exception) -> JsonResponse:
    """The answer to a fault of ours, which is logged whole and shown not at all."""
    log.error("request_failed", path=path, exc_info=error)
    return failed(path, 500, "an error of the platform", code=ApiCode.INTERNAL)


def _path(location: Sequence[Any]) -> str:
    """As the rest of the platform writes it: `optional_fields[0].max_value`."""
    parts = location[1:] if location and location[0] in {"body", "query", "path", "header"} else location
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")


def _code(kind: str) -> Code:
    return next((code for beginning, code in _PYDANTIC.items() if kind.startswith(beginning)), Code.WRONG_TYPE)


async def _malformed(request: Request, error: Any) -> JsonResponse:
    found = issues(error.errors())
    message = "; ".join(f"{issue.field or 'body'}: {issue.message}" for issue in found)
    return failed(request.url.path, 400, message, code=ApiCode.INVALID_REQUEST, errors=found)


async def _http(request: Request, error: Any) -> JsonResponse:
    status = error.status_code
    code = _CODES.get(status, ApiCode.INTERNAL if status >= 500 else ApiCode.INVALID_REQUEST)
    message = _MESSAGES.get(status, str(error.detail))
    issue = {400: Code.INVALID_JSON, 413: Code.TOO_LARGE}.get(status)
    found = (Issue("", issue, message),) if issue else ()
    headers = {"Allow": _methods(request)} if status == 405 else error.headers
    return failed(request.url.path, status, message, code=code, errors=found, headers=headers)


def _methods(request: Request) -> str:
    """Every method that the path has; the router's own error names those of one call only."""
    scopes = {method: {**request.scope, "method": method} for method in ("DELETE", "GET", "POST", "PUT")}
    routes = request.app.routes
    found = [name for name, scope in scopes.items() if any(each.matches(scope)[0] is Match.FULL for each in routes)]
    return ", ".join(found)


async def _refused(request: Request, error: Any) -> JsonResponse:
    return failed(request.url.path, error.status, str(error), code=error.code, errors=error.errors)


async def _broker(request: Request, error: Any) -> JsonResponse:
    headers = retry_after(error.retry_after_s)
    return failed(request.url.path, 503, str(error), code=ApiCode.BROKER_UNAVAILABLE, headers=headers)


async def _store(request: Request, error: Any) -> JsonResponse:
    if not isinstance(error, StoreUnavailable):
        log.warning("store_unavailable", path=request.url.path, error=str(error) or type(error).__name__)
        error = StoreUnavailable("MongoDB" if isinstance(error, PyMongoError) else "Redis")
    headers = retry_after(error.retry_after_s)
    return failed(request.url.path, 503, str(error), code=ApiCode.STORE_UNAVAILABLE, headers=headers)


async def _config(request: Request, error: Any) -> JsonResponse:
    problems = getattr(error, "problems", None) or [("", str(error))]
    return failed(
        request.url.path,
        error.status,
        str(error),
        code=ApiCode.INVALID_REQUEST,
        errors=[{"field": field, "code": error.code, "message": message} for field, message in problems],
        headers=retry_after(1) if error.retryable else None,
    )
