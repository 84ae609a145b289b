"""Dead letters over HTTP: listed, shown, replayed; and tenants whose raw events wait because of them."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from ingest_api.dead_letters import DeadLetters
from ingest_api.deps import HttpDeps
from ingest_api.http.answers import JsonResponse
from ingest_api.http.config_routes import add_call
from ingest_api.http.dead_letter_bodies import (
    MAX_OFFSET,
    MAX_PAGE,
    MAX_PARTITION,
    ReplayBody,
    ResumeBody,
    letter_answer,
    page_answer,
    refused,
    wanted_of,
)
from ingest_api.http.dead_letter_describe import LETTER, LETTERS, PARKED, REPORT
from ingest_api.http.strict_route import StrictRoute
from ingest_api.http.tenants import tenant_of
from ingest_api.letters import Place
from ingest_api.parked_tenants import ParkedTenants
from schemas.limits import MAX_SCENARIO_ID
from schemas.topics import raw_topic
from schemas.verdict import Code

ROOT = "/api/v1/dead-letters"
TAG = "dead letters"

Tenant = Annotated[str | None, Query(max_length=63, examples=["acme"], description="else the header X-Tenant-ID")]
When = Annotated[str | None, Query(description="ms since the Unix epoch, or ISO 8601", max_length=40)]


def dead_letter_router(deps: HttpDeps, letters: DeadLetters) -> APIRouter:
    router = APIRouter(tags=[TAG], prefix=ROOT, route_class=StrictRoute)
    parked_tenants = ParkedTenants(deps.redis, cluster=deps.settings.redis_cluster)

    def named(request: Request, tenant: str | None) -> str:
        return tenant_of(request, deps.settings.default_tenant, tenant)

    async def list_letters(
        request: Request,
        tenant: Tenant = None,
        reason: Annotated[str | None, Query(max_length=60, examples=["missing"])] = None,
        scenario: Annotated[str | None, Query(max_length=MAX_SCENARIO_ID)] = None,
        since: When = None,
        until: When = None,
        replayed: bool | None = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
        cursor: Annotated[str | None, Query(max_length=1000)] = None,
    ) -> JsonResponse:
        wanted = wanted_of(reason, scenario, since, until, replayed)
        return JsonResponse(page_answer(await letters.page(named(request, tenant), wanted, limit, cursor)))

    async def show_letter(
        request: Request,
        partition: Annotated[int, Path(ge=0, le=MAX_PARTITION, examples=[0])],
        offset: Annotated[int, Path(ge=0, le=MAX_OFFSET, examples=[15])],
        tenant: Tenant = None,
        topic: Annotated[str | None, Query(max_length=249, description="else the tenant's raw topic")] = None,
    ) -> JsonResponse:
        name = named(request, tenant)
        found = await letters.find(name, Place(topic or raw_topic(name), partition, offset))
        if found is None:
            raise refused("offset", Code.MISSING, f"there is no dead letter of {partition}:{offset}", status=404)
        return JsonResponse(letter_answer(found))

    async def replay(request: Request, body: ReplayBody) -> JsonResponse:
        return JsonResponse(await letters.replay(named(request, body.tenant), body.order()))

    async def parked(request: Request, tenant: Tenant = None) -> JsonResponse:
        name = named(request, tenant)
        return _parked_answer(name, await parked_tenants.reasons(name))

    async def resume(request: Request, body: ResumeBody | None = None) -> JsonResponse:
        tenant = named(request, body.tenant if body is not None else None)
        before = await parked_tenants.reasons(tenant)
        await parked_tenants.resume(tenant)
        return _parked_answer(tenant, before)

    add_call(router, "GET", "", list_letters, "Dead letters, the newest first, page by page", LETTERS)
    add_call(router, "GET", "/parked", parked, "Whether a tenant's raw events wait, and why", PARKED)
    add_call(
        router, "POST", "/resume", resume, "Judge the raw events of a parked tenant on; answers how it was", PARKED
    )
    add_call(router, "POST", "/replay", replay, "Mend dead letters and send them again, each once", REPORT)
    add_call(router, "GET", "/{partition}/{offset}", show_letter, "One dead letter, with what came", LETTER, 404)
    return router


def _parked_answer(tenant: str, reasons: dict[str, str]) -> JsonResponse:
    answer: dict[str, Any] = {"tenant": tenant, "is_parked": bool(reasons), "reasons": reasons}
    return JsonResponse(answer)
