"""What past events say about a config: preview, suggestion and its draft, data quality."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query

from ingest_api.api_codes import ApiCode
from ingest_api.deps import HttpDeps
from ingest_api.errors import RequestRefused
from ingest_api.http.answers import JsonResponse
from ingest_api.http.config_bodies import PreviewBody, PublishBody, SuggestBody
from ingest_api.http.config_describe import one
from ingest_api.http.config_params import Guarded, Scenario, Tenant, applied_answer, signed_by
from ingest_api.http.config_routes import ONE, ROOT, TAG, add_call
from ingest_api.http.strict_route import StrictRoute
from tracking_configs.suggest import Suggestion

MAX_QUALITY_HOURS = 24 * 7


def config_insight_router(deps: HttpDeps) -> APIRouter:
    router = APIRouter(tags=[TAG], prefix=ROOT, route_class=StrictRoute)
    insights, service = deps.config_insights, deps.config_service

    async def preview(tenant: Tenant, scenario: Scenario, body: PreviewBody) -> JsonResponse:
        parts = await _candidate_parts(tenant, scenario, body)
        return JsonResponse(await insights.preview(tenant, scenario, parts, body.last))

    async def _candidate_parts(tenant: str, scenario: str, body: PreviewBody) -> dict[str, Any]:
        given = [body.config is not None, body.template_id is not None, body.draft]
        if sum(given) != 1:
            why = "name one candidate: config, template_id (with overrides), or draft: true"
            raise RequestRefused(ApiCode.INVALID_REQUEST, why)
        if body.config is not None:
            return body.config.given()
        if body.template_id is not None:
            return await insights.parts_of(tenant, scenario, body.template_id, body.overrides)
        return await insights.draft_parts(tenant, scenario)

    async def suggest(tenant: Tenant, scenario: Scenario, body: SuggestBody | None = None) -> JsonResponse:
        wanted = body or SuggestBody()
        return JsonResponse(await insights.suggest(tenant, scenario, wanted.source, wanted.hours, wanted.last))

    async def get_draft(tenant: Tenant, scenario: Scenario) -> JsonResponse:
        draft = await service.store.get_draft(tenant, scenario)
        suggestion = msgspec.json.decode(draft.text, type=Suggestion)
        return JsonResponse({"created_at": draft.created_at, "suggestion": suggestion})

    async def publish_draft(
        tenant: Tenant, scenario: Scenario, guard: Guarded, body: PublishBody | None = None
    ) -> JsonResponse:
        return applied_answer(await insights.publish_draft(tenant, scenario, guard, signed_by(body or PublishBody())))

    async def quality(
        tenant: Tenant, scenario: Scenario, hours: Annotated[int, Query(ge=1, le=MAX_QUALITY_HOURS)] = 1
    ) -> JsonResponse:
        return JsonResponse(await insights.quality(tenant, scenario, hours))

    previewed, draft = one("PreviewAnswer"), one("DraftAnswer")
    published = one("ChangedConfig")
    add_call(router, "POST", ONE + "/preview", preview, "A candidate against the newest events", previewed, 404)
    add_call(router, "POST", ONE + "/suggest", suggest, "Propose a config, and save it", one("Suggestion"), 404)
    add_call(router, "GET", ONE + "/draft", get_draft, "The proposed config that was saved", draft, 404)
    add_call(router, "POST", ONE + "/draft/publish", publish_draft, "Put the draft in force", published, 404, 409, 412)
    add_call(router, "GET", ONE + "/quality", quality, "What went wrong of late", one("Quality"))
    return router
