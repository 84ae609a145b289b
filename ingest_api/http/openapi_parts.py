"""Parts of which OpenAPI descriptions are put together; the error answers, each with an example."""

from typing import Any, Final

from ingest_api.api_codes import ApiCode

Schema = dict[str, Any]

_NULL: Final = "␀"

TRACE_ID: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
ISSUE_EXAMPLE: Final[Schema] = {"field": "user_id", "code": "missing", "message": "user_id is required"}

TENANT_HEADER: Final[Schema] = {
    "name": "X-Tenant-ID",
    "in": "header",
    "description": "the tenant of a call that names none; else the setting default_tenant",
    "schema": {"type": "string"},
    "example": "acme",
}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def json_body(schema: Schema, example: Any, description: str = "") -> Schema:
    """A request body or an answer in JSON."""
    content = {"application/json": {"schema": schema, "example": _exchanged(example, None, _NULL)}}
    return {"content": content, "description": description} if description else {"content": content}


def with_nulls(document: Schema) -> Schema:
    """The document with the nulls of its examples. FastAPI drops every null, so a mark stands in their place."""
    found: Schema = _exchanged(document, _NULL, None)
    return found


def _exchanged(value: Any, old: Any, new: Any) -> Any:
    if isinstance(value, dict):
        return {name: _exchanged(each, old, new) for name, each in value.items()}
    if isinstance(value, list):
        return [_exchanged(each, old, new) for each in value]
    return new if value == old else value


def coded_answer(data: Schema) -> Schema:
    """The schema of `{code, message, data, trace_id}` that says success."""
    return {
        "type": "object",
        "required": ["code", "message", "data", "trace_id"],
        "properties": {
            "code": {"const": 0},
            "message": {"const": ApiCode.SUCCESS.meaning},
            "data": data,
            "trace_id": {"type": "string"},
        },
    }


def coded_example(data: Any) -> Schema:
    return {"code": 0, "message": ApiCode.SUCCESS.meaning, "data": data, "trace_id": TRACE_ID}


_STATUSES: Final = {
    400: "Bad base fields, or not an event at all",
    404: "No such thing",
    405: "The call has another method",
    409: "It exists already, or the change would break clients and is not applied",
    412: "The version in If-Match is not the current one, or another writer was faster",
    413: "The body, or the event, is too large",
    415: "The body is not JSON, or is compressed",
    500: "An error of the platform",
    503: "A server behind the door is away; `Retry-After` says when to come back. The event was not taken, or the"
    " message says that this is not known",
}
_EXAMPLES: Final[dict[int, tuple[ApiCode, str, str]]] = {  # the number, the issue's code, the message
    404: (ApiCode.NOT_FOUND, "config_not_found", "tenant 'acme' has no tracking config for scenario 'vlog_feed'"),
    409: (ApiCode.INVALID_REQUEST, "config_exists", "tenant 'acme' already has a tracking config for 'vlog_feed'"),
    412: (ApiCode.INVALID_REQUEST, "version_conflict", "the config is at version 4: read it and try again"),
    413: (ApiCode.TOO_LARGE, "too_large", "the body is larger than 65536 bytes"),
    415: (ApiCode.UNSUPPORTED_MEDIA_TYPE, "", "the content type must be application/json, not text/plain"),
    500: (ApiCode.INTERNAL, "", "an error of the platform"),
    503: (ApiCode.STORE_UNAVAILABLE, "", "Redis is unavailable: make the same call again"),
}


def errors(*statuses: int, form: str = "Error") -> dict[int | str, Schema]:
    """The error answers of a call."""
    found: dict[int | str, Schema] = {}
    for status in statuses:
        found[status] = json_body(ref(form), _example(status, form), _STATUSES[status])
        if status == 503:
            found[status]["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
    return found


def _example(status: int, form: str) -> Schema:
    number, code, message = _EXAMPLES.get(status, (ApiCode.INVALID_REQUEST, "", "user_id: user_id is required"))
    issues = [{"field": "", "code": code, "message": message}] if code else []
    body = {"message": message, "errors": [ISSUE_EXAMPLE] if status == 400 else issues, "trace_id": TRACE_ID}
    return {"success": False, **body} if form == "Error" else {"code": int(number), "data": None, **body}
