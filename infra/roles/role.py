"""What every role has: settings in force, logs, traces, connections, a stop signal and, but for HTTP, a health port."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import structlog
from redis.asyncio import Redis

from infra.connections import Deps, open_deps
from infra.health import serve_health
from infra.logs import configure_logging
from infra.settings import Settings
from infra.tracing import tracing

log = structlog.get_logger()


@dataclass(frozen=True)
class Role:
    """A running role. `stop` is set by SIGTERM or Ctrl-C, `ready` by the role once it can work.

    `checks`: what it can go on without for a while, by name; /readyz says how they stand.
    """

    name: str
    settings: Settings
    deps: Deps
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    checks: dict[str, Callable[[], bool]] = field(default_factory=dict)

    @property
    def redis(self) -> Redis:
        """A cluster's client has the same commands."""
        return cast(Redis, self.deps.redis)

    async def until_stopped(self, work: Awaitable[Any]) -> None:
        """Wait for the work or for the stop, whichever comes first; the work is cancelled then."""
        working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(self.stop.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            for task in (working, stopping):
                task.cancel()
            await asyncio.gather(working, stopping, return_exceptions=True)


@asynccontextmanager
async def open_role(name: str, settings: Settings, *, own_health: bool = True) -> AsyncIterator[Role]:
    """The role with its connections, which need not answer yet; `own_health` serves /readyz on the metrics port."""
    configure_logging(settings, role=name)
    with tracing(name):
        async with open_deps(settings) as deps:
            role = Role(name, settings, deps)
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, role.stop.set)
            log.info("role_started", profile=settings.profile)
            port = settings.metrics_port if own_health else 0
            async with serve_health(settings.http_host, port, role.ready.is_set, role.checks):
                yield role
            log.info("role_stopped")


RoleMain = Callable[[Role], Awaitable[None]]
