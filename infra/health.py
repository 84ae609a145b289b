"""Liveness, readiness and metrics of a process that has no HTTP door."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class EmbeddedServer(uvicorn.Server):
    """uvicorn without its signal handlers: the role decides when to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


Checks = Mapping[str, Callable[[], bool]]


def health_app(is_ready: Callable[[], bool], checks: Checks) -> Starlette:
    """`checks`: what the process can go on without for a while; one that fails makes it degraded, not unready."""

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_: Request) -> Response:
        found = {name: check() for name, check in checks.items()}
        if not is_ready():
            return JSONResponse({"status": "not_ready", "checks": found}, 503)
        return JSONResponse({"status": "ready" if all(found.values()) else "degraded", "checks": found})

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])


@asynccontextmanager
async def serve_health(host: str, port: int, is_ready: Callable[[], bool], checks: Checks) -> AsyncIterator[None]:
    """Serves while the block runs; port 0 serves nothing."""
    if not port:
        yield
        return
    async with serving(health_app(is_ready, checks), host, port):
        yield


@asynccontextmanager
async def serving(app: Any, host: str, port: int, *, grace_s: int = 2) -> AsyncIterator[None]:
    """An ASGI application served while the block runs. Raises OSError when the port is taken."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=grace_s,
        http="httptools",
        ws="none",
    )
    server = EmbeddedServer(config)
    # Listening before uvicorn runs: a port that is taken is an error here, not an exit in there.
    with socket.create_server((host, port), backlog=2048) as listener:
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield
        finally:
            server.should_exit = True
            await asyncio.gather(task, return_exceptions=True)
