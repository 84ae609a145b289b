"""The game form of an event, answered `{code, message, data, trace_id}`."""

from fastapi import APIRouter, Request

from ingest_api.deps import HttpDeps
from ingest_api.game_form import event_of_form
from ingest_api.http.answers import JsonResponse, coded
from ingest_api.http.describe import GAME
from ingest_api.http.raw_route import RawRoute
from ingest_api.http.tenants import tenant_of
from ingest_api.http.track_routes import answer
from ingest_api.tracing import traceparent
from ingest_api.track import TrackService


def game_router(deps: HttpDeps, service: TrackService) -> APIRouter:
    """The one call of the form."""
    router = APIRouter(prefix="/api/v1/behavior", tags=["behaviours"], route_class=RawRoute)

    @router.post("/track", **GAME)
    async def track_game(request: Request) -> JsonResponse:
        tenant = tenant_of(request, deps.settings.default_tenant)
        event = event_of_form(await request.body(), tenant, request.headers.get("user-agent", ""))
        receipt = await service.track(event, tenant, traceparent())
        if receipt.failure is not None:
            return answer(receipt, request.url.path)
        return coded({"event_id": receipt.event_id})

    return router
