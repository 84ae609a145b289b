"""What the calls about one config share: its address, the guard of a change, and an answer with its version."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from fastapi import Depends, Header, Path, Query

from ingest_api.api_codes import ApiCode
from ingest_api.errors import RequestRefused
from ingest_api.http.answers import JsonResponse
from ingest_api.http.config_bodies import Signed
from schemas.limits import MAX_SCENARIO_ID
from schemas.verdict import Code, Issue
from tracking_configs.model import TrackingConfig
from tracking_configs.service import Applied, Authorship, Guard

_ETAG: Final = re.compile(r'(?:W/)?"?([1-9][0-9]{0,8})"?')

Tenant = Annotated[str, Path(max_length=63, examples=["acme"])]
Scenario = Annotated[str, Path(max_length=MAX_SCENARIO_ID, examples=["vlog_feed"])]
Version = Annotated[int | None, Query(ge=1, lt=2**31, examples=[1])]


def _seen(
    if_match: Annotated[
        str | None,
        Header(
            description="The version the caller saw: 412 when it is not the current one; `*`: whichever is",
            examples=["*", "3"],
            json_schema_extra={"pattern": rf"^(\*|{_ETAG.pattern})$"},
        ),
    ] = None,
) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    found = _ETAG.fullmatch(if_match.strip())
    if found is None:
        why = "expected a version, for example 3"
        raise RequestRefused(ApiCode.INVALID_REQUEST, f"If-Match: {why}", (Issue("If-Match", Code.WRONG_TYPE, why),))
    return int(found[1])


Seen = Annotated[int | None, Depends(_seen)]


def _guard(
    expected: Seen,
    allow_breaking: Annotated[
        bool | None,
        Query(description="false: 409 for a change that breaks clients; true: apply it even under enforcement reject"),
    ] = None,
) -> Guard:
    return Guard(expected, allow_breaking)


Guarded = Annotated[Guard, Depends(_guard)]


def signed_by(body: Signed) -> Authorship:
    return Authorship(body.author, body.reason)


def answer(config: TrackingConfig, added: Mapping[str, Any] | None = None, status: int = 200) -> JsonResponse:
    """The plain config, its version as ETag, and what is added to it."""
    body: Any = msgspec.structs.asdict(config) | dict(added) if added else config
    return JsonResponse(body, status, {"ETag": f'"{config.version}"'})


def applied_answer(applied: Applied, status: int = 200) -> JsonResponse:
    """The new version; what it changes, where it is not the first; and that it waits for Kafka, where it does."""
    added: dict[str, Any] = {} if applied.change is None else {"change": applied.change}
    return answer(applied.config, added if applied.published else added | {"published": False}, status)
