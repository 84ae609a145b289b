"""Liveness, readiness and metrics."""

from typing import Final

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from ingest_api.deps import HttpDeps
from ingest_api.http.answers import JsonResponse
from ingest_api.http.raw_route import RawRoute
from ingest_api.probes import run_probes

METRICS_TYPE: Final = {"Content-Type": CONTENT_TYPE_LATEST}


def health_router(deps: HttpDeps) -> APIRouter:
    """/healthz answers while the process can; /readyz, and /health as it, only while every server does."""
    router = APIRouter(tags=["health"], route_class=RawRoute)

    @router.get("/healthz", summary="The process lives", response_model=None)
    async def healthz(_: Request) -> JsonResponse:
        return JsonResponse({"status": "alive"})

    @router.get("/readyz", summary="Every server behind the door answers; else 503", response_model=None)
    async def readyz(_: Request) -> JsonResponse:
        checks = await run_probes(deps.probes, deps.settings.probe_timeout_s)
        ready = all(checks.values())
        return JsonResponse({"status": "ready" if ready else "not_ready", "checks": checks}, 200 if ready else 503)

    router.get("/health", summary="As /readyz", response_model=None)(readyz)

    @router.get("/metrics", summary="Prometheus metrics", response_model=None)
    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), headers=METRICS_TYPE)

    return router
