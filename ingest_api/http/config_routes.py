"""Templates, and tracking configs: make, read, change, take out of service, go back."""

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query
from msgspec import structs

from ingest_api.deps import HttpDeps
from ingest_api.http.answers import JsonResponse
from ingest_api.http.config_bodies import CreateBody, FromTemplateBody, RollbackBody, UpdateBody
from ingest_api.http.config_describe import one, page, refusals
from ingest_api.http.config_params import Guarded, Scenario, Tenant, Version, answer, applied_answer, signed_by
from ingest_api.http.strict_route import StrictRoute
from tracking_configs.model import parse_draft
from tracking_configs.service import Authorship, Step

MAX_PAGE: Final = 200
ROOT: Final = "/api/v1/tracking-configs"
ONE: Final = "/{tenant}/{scenario}"
TAG: Final = "tracking configs"

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]


def config_router(deps: HttpDeps) -> APIRouter:
    """Every path is there with and without a slash at its end."""
    router = APIRouter(tags=[TAG], prefix=ROOT, route_class=StrictRoute)
    service = deps.config_service

    async def list_templates() -> JsonResponse:
        return JsonResponse({"items": list(service.templates.values()), "next_cursor": None})

    async def get_template(template_id: Annotated[str, Path(examples=["video"])]) -> JsonResponse:
        return JsonResponse(service.template(template_id))

    async def from_template(body: FromTemplateBody) -> JsonResponse:
        made = await service.from_template(
            body.tenant_id, body.scenario_id, body.template_id, body.name, body.overrides, signed_by(body)
        )
        return applied_answer(made, 201)

    async def create(body: CreateBody) -> JsonResponse:
        parts = body.given()
        by = Authorship(parts.pop("author", ""), parts.pop("reason", ""))
        return applied_answer(await service.create(parse_draft(parts), by), 201)

    async def list_configs(
        tenant_id: Annotated[str | None, Query()] = None,
        scenario_type: Annotated[str | None, Query()] = None,
        include_inactive: bool = False,
        limit: Limit = 50,
        cursor: Annotated[str | None, Query()] = None,
    ) -> JsonResponse:
        found = await service.list_page(
            tenant=tenant_id,
            scenario_type=scenario_type,
            include_inactive=include_inactive,
            limit=limit,
            cursor=cursor,
        )
        return JsonResponse(found)

    async def get_config(tenant: Tenant, scenario: Scenario, version: Version = None) -> JsonResponse:
        return answer(await service.get(tenant, scenario, version))

    async def update(tenant: Tenant, scenario: Scenario, body: UpdateBody, guard: Guarded) -> JsonResponse:
        parts = body.given()
        by = Authorship(parts.pop("author", ""), parts.pop("reason", ""))
        guard = structs.replace(guard, expected=guard.expected or body.version)
        return applied_answer(await service.update(tenant, scenario, parts, guard, by))

    async def delete(
        tenant: Tenant,
        scenario: Scenario,
        guard: Guarded,
        author: Annotated[str, Query(max_length=200)] = "",
        reason: Annotated[str, Query(max_length=1000)] = "",
    ) -> JsonResponse:
        return applied_answer(await service.delete(tenant, scenario, guard, Authorship(author, reason)))

    async def versions(tenant: Tenant, scenario: Scenario, limit: Limit = 50, cursor: Version = None) -> JsonResponse:
        history = await service.versions(tenant, scenario, limit, cursor)
        older = str(history.before) if history.before is not None else None
        return JsonResponse({"items": [_shown(step) for step in history.items], "next_cursor": older})

    async def rollback(tenant: Tenant, scenario: Scenario, body: RollbackBody, guard: Guarded) -> JsonResponse:
        return applied_answer(await service.rollback(tenant, scenario, body.version, guard, signed_by(body)))

    async def diff(
        tenant: Tenant,
        scenario: Scenario,
        old: Annotated[int, Query(alias="from", ge=1, lt=2**31, examples=[1])],
        new: Annotated[int, Query(alias="to", ge=1, lt=2**31, examples=[2])],
    ) -> JsonResponse:
        return JsonResponse(await service.compare(tenant, scenario, old, new))

    made, changed = one("TrackingConfig", 201), one("ChangedConfig")
    read = one("TrackingConfig")
    add_call(router, "GET", "/templates", list_templates, "Every template", page("Template"))
    add_call(router, "GET", "/templates/{template_id}", get_template, "A template", one("Template"), 404)
    add_call(router, "POST", "/from-template", from_template, "Make a config from a template", made, 404, 409)
    add_call(router, "POST", "", create, "Make a config", made, 409)
    add_call(router, "GET", "", list_configs, "Configs, page by page", page("TrackingConfig"))
    add_call(router, "GET", ONE, get_config, "A config, or an older version of it", read, 404)
    add_call(router, "PUT", ONE, update, "Replace parts of a config; the next version", changed, 404, 409, 412)
    add_call(router, "DELETE", ONE, delete, "Take a config out of service", changed, 404, 409, 412)
    add_call(router, "GET", ONE + "/versions", versions, "Who changed what, when and why", page("ConfigVersion"), 404)
    add_call(router, "POST", ONE + "/rollback", rollback, "Go back to an older version", changed, 404, 409, 412)
    add_call(router, "GET", ONE + "/diff", diff, "What one version changes against another", one("Change"), 404)
    return router


def add_call(
    router: APIRouter,
    method: str,
    path: str,
    function: Callable[..., Any],
    summary: str,
    good: dict[int | str, dict[str, Any]],
    *statuses: int,
) -> None:
    """A route, with and without a slash at its end; OpenAPI has it once, as CONTRACTS §3 writes it."""
    refused = refusals(*statuses, *((413, 415) if method in {"POST", "PUT"} else ()))
    listed = "/" if path in {"", "/templates"} else ""
    for end in ("/", ""):
        router.add_api_route(
            path + end,
            function,
            methods=[method],
            summary=summary,
            responses=good | refused,
            response_model=None,
            status_code=next(status for status in good if isinstance(status, int)),
            include_in_schema=end == listed,
        )


def _shown(step: Step) -> dict[str, Any]:
    shown = ("version", "is_active", "updated_at", "author", "reason", "name", "enforcement")
    return {name: getattr(step.config, name) for name in shown} | {"change": step.change}
