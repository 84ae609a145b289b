"""Liveness, readiness and metrics."""

from typing import Final

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from ingest_api.deps import HttpDeps
from ingest_api.http.answers import JsonResponse
from ingest_api.http.health_describe import HEALTH, HEALTHZ, METRICS, READYZ
from ingest_api.http.raw_route import RawRoute
from ingest_api.probes import run_probes

METRICS_TYPE: Final = {"Content-Type": CONTENT_TYPE_LATEST}


def health_router(deps: HttpDeps) -> APIRouter:
    """/healthz answers while the process can; /readyz, and /health as it, says which servers do."""
    router = APIRouter(tags=["health"], route_class=RawRoute)

    @router.get("/healthz", **HEALTHZ)
    async def healthz(_: Request) -> JsonResponse:
        return JsonResponse({"status": "alive"})

    @router.get("/readyz", **READYZ)
    async def readyz(_: Request) -> JsonResponse:
        checks = await run_probes(deps.probes, deps.settings.probe_timeout_s)
        status = _status({name for name, answers in checks.items() if not answers}, deps.needed)
        return JsonResponse({"status": status, "checks": checks}, 503 if status == "not_ready" else 200)

    router.get("/health", **HEALTH)(readyz)

    @router.get("/metrics", **METRICS)
    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), headers=METRICS_TYPE)

    return router


def _status(away: set[str], needed: frozenset[str]) -> str:
    if away & needed:
        return "not_ready"
    return "degraded" if away else "ready"
