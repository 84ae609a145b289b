"""Erasure of a user over HTTP."""

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Header, Path, Request

from ingest_api.api_codes import ApiCode
from ingest_api.deps import HttpDeps
from ingest_api.erasure import Erasure
from ingest_api.erasure_receipt import LEFT_TO_TIME, Receipt
from ingest_api.errors import RequestRefused
from ingest_api.http.answers import JsonResponse
from ingest_api.http.openapi_parts import Schema, errors, json_body, ref
from ingest_api.http.tenants import tenant_of
from schemas.limits import MAX_ID
from schemas.verdict import Code, Issue

TAG: Final = "erasure"
SCHEMAS: Final[dict[str, Schema]] = {
    **msgspec.json.schema_components((Receipt,), ref_template="#/components/schemas/{name}")[1],
}
_EXAMPLE: Final = Receipt(
    tenant_id="acme",
    user="6f4c" * 16,
    requested_at=1_790_000_000_000,
    finished_at=1_790_000_000_250,
    erased={"clickhouse_user_behaviors": 120, "mongo_users": 1, "redis_keys": 9},
    left_to_time=LEFT_TO_TIME,
    key_id="9d31" * 4,
    signature="b07e" * 16,
)
_RECEIPT: Final = json_body(ref("Receipt"), msgspec.to_builtins(_EXAMPLE), "All stores have forgotten the user")

UserIdPath = Annotated[str, Path(min_length=1, max_length=MAX_ID, examples=["u1"])]
TenantHeader = Annotated[str | None, Header(alias="X-Tenant-ID", description="else the setting default_tenant")]


def erasure_router(deps: HttpDeps, erasure: Erasure) -> APIRouter:
    """DELETE of one user."""
    router = APIRouter(prefix="/api/v1", tags=[TAG])
    answers: dict[int | str, Any] = {200: _RECEIPT, **errors(400, 500, 503)}

    @router.delete(
        "/user/{user_id:path}",
        summary="Forget a user, with a signed receipt; safe to repeat",
        responses=answers,
        response_model=None,
    )
    async def erase_user(request: Request, user_id: UserIdPath, x_tenant_id: TenantHeader = None) -> JsonResponse:
        tenant = tenant_of(request, deps.settings.default_tenant, x_tenant_id)
        if "\0" in user_id:
            message = "an id has no NUL"
            raise RequestRefused(ApiCode.INVALID_REQUEST, message, (Issue("user_id", Code.PATTERN_MISMATCH, message),))
        return JsonResponse(await erasure.erase(tenant, user_id))

    return router
