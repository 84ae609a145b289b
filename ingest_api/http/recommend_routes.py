"""Recommendations, answered `{code, message, data, trace_id}`."""

import time
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from ingest_api.deps import HttpDeps
from ingest_api.errors import RequestRefused
from ingest_api.http.answers import JsonResponse, coded
from ingest_api.http.recommend_describe import GAMES, HOT, RECOMMEND
from ingest_api.http.strict_route import StrictRoute
from ingest_api.http.tenants import tenant_of
from ingest_api.recommend import HotKind, HotQuery, RecommendService, RecPage, RecQuery
from schemas.limits import MAX_ID, MAX_SCENARIO_ID
from schemas.metrics import REC_LATENCY, REC_REQUESTS

MAX_PAGE: Final = 50
MAX_EXCLUDED: Final = 1000
GAME_FIELDS: Final = "category sub_category provider thumbnail_url rtp volatility score recall_source reason".split()

Id = Annotated[str, Field(min_length=1, max_length=MAX_ID)]
Ids = Annotated[list[Id], Field(max_length=MAX_EXCLUDED)]


class RecommendBody(BaseModel):
    """What may be asked. Fields without a source behind them yet are taken and change nothing."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"tenant_id": "acme", "user_id": "u1", "scene": "home", "size": 10}}
    )

    tenant_id: str | None = Field(None, description="else the header X-Tenant-ID, else the setting default_tenant")
    user_id: Id
    scene: Annotated[str, Field(min_length=1, max_length=MAX_ID)] | None = Field(
        None, description="default: the tenant's"
    )
    size: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 15
    item_id: Id | None = Field(None, description="scene similar: similar to this")
    exclude: Ids = []
    seen_ids: Ids = Field([], description="left out")
    served_ids: Ids = Field([], description="left out")
    in_network_only: bool = False
    is_bottom_request: bool = False
    client_app_id: str | int | None = None
    country_code: str | None = None
    language_code: Annotated[str, Field(max_length=35)] = "en"
    request_id: Id | None = Field(None, description="of an earlier answer: goes on in the same list")
    debug: bool = Field(False, description="adds what was done")


def recommend_router(deps: HttpDeps, service: RecommendService) -> APIRouter:
    """POST recommend, GET recommend/games, GET hot/{scenario}."""
    router = APIRouter(prefix="/api/v1", tags=["recommendations"], route_class=StrictRoute)
    default = deps.settings.default_tenant

    @router.post("/recommend", **RECOMMEND)
    async def recommend(request: Request, body: RecommendBody) -> JsonResponse:
        query = RecQuery(
            tenant=tenant_of(request, default, body.tenant_id),
            user_id=body.user_id,
            scene=body.scene,
            item_id=body.item_id,
            size=body.size,
            exclude=frozenset([*body.exclude, *body.seen_ids, *body.served_ids]),
            request_id=body.request_id,
            language=body.language_code,
        )
        page = await measured(service, query)
        items = [_item(item) for item in page.items]
        data: dict[str, Any] = {"items": items, "request_id": page.request_id, "strategy": page.strategy}
        return coded(data | ({"debug": _debug(page)} if body.debug else {}))

    @router.get("/recommend/games", **GAMES)
    async def recommend_games(
        request: Request,
        user_id: Annotated[str, Query(min_length=1, max_length=MAX_ID, examples=["u1"])],
        scene: Annotated[str, Query(min_length=1, max_length=MAX_ID)] = "home",
        game_id: Annotated[str | None, Query(min_length=1, max_length=MAX_ID, description="for scene similar")] = None,
        page: Annotated[int, Query(ge=1, le=MAX_EXCLUDED)] = 1,
        page_size: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 20,
        exclude_played: bool = True,
        request_id: Annotated[str | None, Query(min_length=1, max_length=MAX_ID)] = None,
        language_code: Annotated[str, Query(max_length=35)] = "en",
        tenant_id: Annotated[str | None, Query(description="else the header X-Tenant-ID")] = None,
    ) -> JsonResponse:
        start = (page - 1) * page_size
        query = RecQuery(
            tenant=tenant_of(request, default, tenant_id),
            user_id=user_id,
            scene=scene,
            item_id=game_id,
            start=start,
            size=page_size,
            exclude_played=exclude_played,
            request_id=request_id,
            language=language_code,
        )
        found = await measured(service, query)
        return coded(
            {
                "games": [_game(item) for item in found.items],
                "total": found.total,
                "has_more": start + page_size < found.total,
                "request_id": found.request_id,
                "strategy": found.strategy,
            }
        )

    @router.get("/hot/{scenario:path}", **HOT)
    async def hot(
        request: Request,
        scenario: Annotated[
            str,
            Path(min_length=1, max_length=MAX_SCENARIO_ID, description="global: the whole tenant", examples=["game"]),
        ],
        kind: Annotated[HotKind, Query(description="rising: hotter lately than before")] = "hot",
        category: Annotated[str | None, Query(min_length=1, max_length=MAX_ID)] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        size: Annotated[int | None, Query(ge=1, le=100, deprecated=True, description="as limit")] = None,
        language_code: Annotated[str, Query(max_length=35)] = "en",
        tenant_id: Annotated[str | None, Query(description="else the header X-Tenant-ID")] = None,
    ) -> JsonResponse:
        query = HotQuery(
            tenant=tenant_of(request, default, tenant_id),
            scenario=scenario,
            kind=kind,
            category=category,
            size=size or limit,
            language=language_code,
        )
        as_of = deps.clock()
        items = await service.hot(query, as_of)
        return coded({"items": [_item(item) for item in items], "as_of": as_of})

    return router


async def measured(service: RecommendService, query: RecQuery) -> RecPage:
    """The page, counted and timed. Only scenes that exist become labels."""
    started = time.perf_counter()
    scene, status = "unknown", "error"
    try:
        scene = await service.scene_of(query.tenant, query.scene)
        page = await service.page(query)
        status = "ok"
    except RequestRefused:
        status = "refused"
        raise
    finally:
        REC_REQUESTS.labels(scene, status).inc()
        REC_LATENCY.labels(scene).observe(time.perf_counter() - started)
    return page


def _item(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "is_active"}


def _game(item: dict[str, Any]) -> dict[str, Any]:
    return {"game_id": item["item_id"], "game_name": item["name"]} | {name: item[name] for name in GAME_FIELDS}


def _debug(page: RecPage) -> dict[str, Any]:
    return {
        "scene": page.scene,
        "strategy": page.strategy,
        "model_version": page.ranked.model_version,
        "computed_at": page.ranked.computed_at,
        "total": page.total,
        "removed": page.removed,
    }
