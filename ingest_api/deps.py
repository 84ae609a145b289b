"""What the doors are built from. Infra opens the connections; a door opens none."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pymongo.asynchronous.database import AsyncDatabase
from redis.asyncio import Redis

from ingest_api.config_insights import ConfigInsights
from ingest_api.dead_letters import DeadLetters
from ingest_api.publisher import Publisher
from schemas.clock import Clock, system_clock
from schemas.limits import MAX_BATCH_EVENTS, MAX_EVENT_BYTES
from tracking_configs.judge import Judge
from tracking_configs.service import ConfigService

MAX_BATCH_BYTES: Final = MAX_BATCH_EVENTS * (MAX_EVENT_BYTES + 1) + 1024  # the largest events, and what is around them

Probe = Callable[[], Awaitable[bool]]  # whether a server answers; may raise when it does not


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """`default_tenant`: of calls that name none. Sizes in bytes. `pipelines_dir`: tenants' own pipeline files."""

    default_tenant: str | None = None
    redis_cluster: bool = False
    pipelines_dir: Path | None = None
    max_body_bytes: int = 8 * 1024 * 1024  # of calls that carry no events: configs, items
    max_batch_bytes: int = MAX_BATCH_BYTES
    probe_timeout_s: float = 2.0
    page_ttl_s: int = 1800  # how long a ranked list can be paged through


@dataclass(frozen=True, kw_only=True)
class DoorDeps:
    """What every door needs.

    `probes`: by the name of a server, whether it answers. Without one of `needed` no event can be taken, and the door
    is not ready; without another it is degraded: events are taken, by the last known configs.
    """

    judge: Judge
    publisher: Publisher
    clock: Clock = system_clock
    settings: DoorSettings = field(default_factory=DoorSettings)
    probes: Mapping[str, Probe] = field(default_factory=dict)
    needed: frozenset[str] = frozenset({"kafka"})


@dataclass(frozen=True, kw_only=True)
class HttpDeps(DoorDeps):
    """What the HTTP door needs besides. Redis answers bytes; `mongo` is the database `millrace`.

    Without `dead_letters` there are no calls about them.
    """

    config_service: ConfigService
    config_insights: ConfigInsights
    redis: Redis
    mongo: AsyncDatabase[dict[str, Any]]
    dead_letters: DeadLetters | None = None
