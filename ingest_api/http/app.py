"""The HTTP application: routes, error bodies and what every request passes."""

from typing import Any, Final

import structlog
from fastapi import FastAPI

from ingest_api.deps import HttpDeps
from ingest_api.erasure import Erasure
from ingest_api.http.catalogue_routes import catalogue_router
from ingest_api.http.config_describe import SCHEMAS as CONFIG_SCHEMAS
from ingest_api.http.config_export_routes import config_export_router
from ingest_api.http.config_insight_routes import config_insight_router
from ingest_api.http.config_routes import config_router
from ingest_api.http.dead_letter_describe import SCHEMAS as DEAD_LETTER_SCHEMAS
from ingest_api.http.dead_letter_routes import dead_letter_router
from ingest_api.http.describe import SCHEMAS
from ingest_api.http.erasure_routes import SCHEMAS as ERASURE_SCHEMAS
from ingest_api.http.erasure_routes import erasure_router
from ingest_api.http.error_handlers import add_error_handlers
from ingest_api.http.game_routes import game_router
from ingest_api.http.health_routes import health_router
from ingest_api.http.middleware import Bounded, Observed
from ingest_api.http.openapi_parts import with_nulls
from ingest_api.http.recommend_describe import SCHEMAS as RECOMMEND_SCHEMAS
from ingest_api.http.recommend_routes import recommend_router
from ingest_api.http.track_routes import track_router
from ingest_api.recommend import RecommendService
from ingest_api.track import TrackService
from schemas.event import Source

log = structlog.get_logger()

OPENAPI_PATH: Final = "/api/v1/openapi.json"
SCHEMA_PARTS: Final = (SCHEMAS, CONFIG_SCHEMAS, DEAD_LETTER_SCHEMAS, ERASURE_SCHEMAS, RECOMMEND_SCHEMAS)
TAGS: Final = [
    {"name": "behaviours", "description": "Events: track them, or ask what tracking them would answer."},
    {
        "name": "tracking configs",
        "description": "What a scenario's events carry: made from a template, changed version by version, in force in "
        "every process within two seconds; tried on real events first, and judged on them afterwards.",
    },
    {
        "name": "dead letters",
        "description": "Raw events that were rejected: which and why, mended and sent again; tenants parked for them.",
    },
    {"name": "catalogue", "description": "Items and user profiles, and search among items."},
    {"name": "erasure", "description": "One call forgets a user."},
    {"name": "recommendations", "description": "Lists for a user, similar items, hot items, and why."},
    {"name": "health", "description": "Liveness, readiness, metrics."},
]


def create_app(deps: HttpDeps, erasure: Erasure | None = None) -> FastAPI:
    """The application over connections that are open, or will be: it opens and closes none.

    Without `erasure` there is no call that forgets a user.
    """
    app = FastAPI(
        title="Millrace",
        version="1",
        openapi_url=OPENAPI_PATH,
        docs_url="/api/v1/docs",  # its scripts come from a CDN; the document itself is ours
        redoc_url=None,
        openapi_tags=TAGS,
        redirect_slashes=False,
        strict_content_type=False,
    )
    tracking = TrackService(deps.judge, deps.publisher, deps.clock, Source.HTTP)
    app.include_router(track_router(deps, tracking))
    app.include_router(game_router(deps, tracking))
    for router in (config_router, config_insight_router, config_export_router):
        app.include_router(router(deps))
    if deps.dead_letters is not None:
        app.include_router(dead_letter_router(deps, deps.dead_letters))
    app.include_router(catalogue_router(deps))
    if erasure is not None:
        app.include_router(erasure_router(deps, erasure))
    app.include_router(recommend_router(deps, RecommendService(deps.redis, deps.settings)))
    app.include_router(health_router(deps))
    app.add_middleware(Bounded, settings=deps.settings)
    app.add_middleware(Observed)  # added last: outermost
    add_error_handlers(app)
    _describe(app)
    log.warning("authentication_off", door="http", advice="keep the port private: any caller acts for any tenant")
    return app


def _describe(app: FastAPI) -> None:
    """FastAPI's OpenAPI with the schemas of raw bodies, and without what is never answered: 422, JSON for a text."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            for operations in document["paths"].values():
                for operation in operations.values():
                    operation["responses"].pop("422", None)
                    for answer in operation["responses"].values():
                        if len(answer.get("content", ())) > 1:
                            del answer["content"]["application/json"]
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            for part in SCHEMA_PARTS:
                schemas |= part
            app.openapi_schema = with_nulls(document)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
