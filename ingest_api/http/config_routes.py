"""Tracking configs and the templates they are made from."""

from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar

import msgspec
from fastapi import APIRouter, Path, Query, Request

from ingest_api.api_codes import ApiCode
from ingest_api.deps import HttpDeps
from ingest_api.errors import RequestRefused
from ingest_api.http.answers import JsonResponse
from ingest_api.http.describe import errors, json_body, ref
from ingest_api.http.raw_route import RawRoute
from schemas.limits import MAX_SCENARIO_ID
from schemas.verdict import Code, Issue
from tracking_configs.model import ConfigDraft, TrackingConfig, parse_draft
from tracking_configs.template import Template

T = TypeVar("T")

MAX_PAGE: Final = 200
ROOT: Final = "/api/v1/tracking-configs"


class FromTemplate(msgspec.Struct, forbid_unknown_fields=True):
    """A template for one tenant and scenario; `overrides` changes its fields, actions or enforcement."""

    tenant_id: str
    scenario_id: str
    template_id: str
    name: str
    overrides: dict[str, Any] | None = None


_decode_from_template = msgspec.json.Decoder(FromTemplate).decode
SCHEMAS: Final = msgspec.json.schema_components(
    [Template, ConfigDraft, TrackingConfig, FromTemplate], ref_template="#/components/schemas/{name}"
)[1]
_EXAMPLE: Final = {"tenant_id": "acme", "scenario_id": "vlog_feed", "template_id": "video", "name": "Vlog feed"}
_DRAFT: Final[dict[str, Any]] = {
    "tenant_id": "acme",
    "scenario_id": "parking",
    "scenario_type": "custom",
    "name": "Parking",
    "required_fields": [{"field_name": "minutes", "field_type": "integer", "required": True, "min_value": 1}],
    "actions": ["park"],
    "enforcement": "reject",
}


def _one(schema: str, status: int = 200) -> dict[int | str, dict[str, Any]]:
    content = {"application/json": {"schema": ref(schema)}}
    return {status: {"description": f"The {schema}", "content": content}}


def _page(schema: str) -> dict[int | str, dict[str, Any]]:
    items = {"type": "array", "items": ref(schema)}
    properties = {"items": items, "next_cursor": {"type": ["string", "null"]}}
    content = {"application/json": {"schema": {"type": "object", "properties": properties}}}
    return {200: {"description": "A page; `next_cursor` is null on the last one", "content": content}}


_FROM_TEMPLATE: Final = json_body(ref("FromTemplate"), _EXAMPLE)
_CREATE: Final = json_body(ref("ConfigDraft"), _DRAFT)


def config_router(deps: HttpDeps) -> APIRouter:
    """Templates; create, get and list configs."""
    router = APIRouter(tags=["tracking configs"])
    raw = APIRouter(tags=["tracking configs"], route_class=RawRoute)
    service = deps.config_service

    async def list_templates() -> JsonResponse:
        return JsonResponse({"items": list(service.templates.values()), "next_cursor": None})

    async def get_template(template_id: str) -> JsonResponse:
        return JsonResponse(service.template(template_id))

    async def from_template(request: Request) -> JsonResponse:
        wanted = _read(await request.body(), _decode_from_template)
        config = await service.from_template(
            wanted.tenant_id, wanted.scenario_id, wanted.template_id, wanted.name, wanted.overrides
        )
        return JsonResponse(config, 201)

    async def create(request: Request) -> JsonResponse:
        config = await service.create(parse_draft(_read(await request.body(), msgspec.json.decode)))
        return JsonResponse(config, 201)

    async def list_configs(
        tenant_id: Annotated[str | None, Query()] = None,
        scenario_type: Annotated[str | None, Query()] = None,
        include_inactive: bool = False,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
        cursor: Annotated[str | None, Query()] = None,
    ) -> JsonResponse:
        page = await service.list_page(
            tenant=tenant_id,
            scenario_type=scenario_type,
            include_inactive=include_inactive,
            limit=limit,
            cursor=cursor,
        )
        return JsonResponse(page)

    async def get_config(
        tenant: str,
        scenario: Annotated[str, Path(max_length=MAX_SCENARIO_ID)],
        version: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
    ) -> JsonResponse:
        return JsonResponse(await service.get(tenant, scenario, version))

    _add(
        router,
        "/templates",
        list_templates,
        "Every template, with its fields, actions and an example",
        _page("Template"),
    )
    _add(router, "/templates/{template_id}", get_template, "A template", _one("Template"), 404)
    made = _one("TrackingConfig", 201)
    _add(raw, "/from-template", from_template, "Make a config from a template", made, 404, 409, body=_FROM_TEMPLATE)
    _add(raw, "", create, "Make a config", made, 409, body=_CREATE)
    _add(router, "", list_configs, "Configs, page by page", _page("TrackingConfig"))
    _add(router, "/{tenant}/{scenario}", get_config, "A config, or an older version", _one("TrackingConfig"), 404)
    router.include_router(raw)
    return router


def _add(
    router: APIRouter,
    path: str,
    function: Callable[..., Any],
    summary: str,
    answer: dict[int | str, dict[str, Any]],
    *statuses: int,
    body: dict[str, Any] | None = None,
) -> None:
    """The route, with and without a slash at its end; a `body` makes it a POST."""
    refusals = errors(400, *statuses, *([413, 415] if body else []), 500, 503)
    for end in ("/", ""):
        router.add_api_route(
            ROOT + path + end,
            function,
            methods=["POST" if body else "GET"],
            summary=summary,
            responses=answer | refusals,
            response_model=None,
            status_code=next(status for status in answer if isinstance(status, int)),
            openapi_extra={"requestBody": {"required": True, **body}} if body else None,
            include_in_schema=end == ("" if path.endswith("}") or path == "/from-template" else "/"),
        )


def _read(body: bytes, decode: Callable[[bytes], T]) -> T:
    try:
        return decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        code = Code.WRONG_TYPE if isinstance(error, msgspec.ValidationError) else Code.INVALID_JSON
        raise RequestRefused(ApiCode.INVALID_REQUEST, str(error), (Issue("", code, str(error)),)) from error
