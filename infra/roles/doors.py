"""The roles `serve http` and `serve grpc`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from infra.errors import OperatorError
from infra.health import serving
from infra.roles.erasing import erasure_secret
from infra.roles.judging import Judging, open_judging
from infra.roles.role import Role
from ingest_api.config_insights import ConfigInsights
from ingest_api.dead_letters import DeadLetters
from ingest_api.deps import DoorDeps, DoorSettings, HttpDeps, Probe
from ingest_api.erased_list import ErasedList
from ingest_api.erased_rows import ErasedRows
from ingest_api.erasure import Erasure
from ingest_api.event_store import EventStore
from ingest_api.grpc_door.server import create_server
from ingest_api.http.app import create_app
from ingest_api.letter_store import LetterStore
from ingest_api.publisher import EventPublisher, PublisherSettings
from ingest_api.replay_producer import ReplayProducer
from ingest_api.tenant_topics import TopicSettings
from schemas.clock import system_clock
from tracking_configs.feed import ConfigPublisher
from tracking_configs.outbox import ConfigOutbox
from tracking_configs.service import ConfigService
from tracking_configs.store import ConfigStore
from tracking_configs.template import load_templates


async def serve_http(role: Role) -> None:
    """Until stopped: then requests in flight are answered, events in hand acknowledged, connections closed."""
    async with open_judging(role) as judging, _publisher(role) as publisher:
        if role.stop.is_set():
            return
        configs = ConfigPublisher(role.deps.kafka, replication=role.settings.replication)
        store = ConfigStore(role.deps.mongo)
        outbox = ConfigOutbox(store, configs)
        service = ConfigService(store, outbox, load_templates(), judging.registry, system_clock)
        events = EventStore(role.deps.open_clickhouse)
        letters = LetterStore(role.deps.open_clickhouse)
        erased_rows = ErasedRows(role.deps.open_clickhouse)
        deps = HttpDeps(
            judge=judging.judge,
            publisher=publisher,
            settings=_door_settings(role),
            probes={
                **_probes(judging, publisher),
                "redis": lambda: _answers(role.redis.ping()),
                "mongo": lambda: _answers(role.deps.mongo.command("ping")),
            },
            config_service=service,
            config_insights=ConfigInsights(
                service,
                events,
                role.deps.kafka,
                refuse_unknown_scenarios=role.settings.refuse_unknown_scenarios,
            ),
            redis=role.redis,
            mongo=role.deps.mongo,
            dead_letters=DeadLetters(letters, ReplayProducer(role.deps.kafka), judging.judge),
        )
        keeping = asyncio.create_task(outbox.keep_published())
        try:
            await _serve(role, deps, _erasure(role, erased_rows))
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await configs.stop()
            await events.close()
            await letters.close()
            await erased_rows.close()


async def serve_grpc(role: Role) -> None:
    """Until stopped: then calls in flight are answered and events in hand acknowledged."""
    async with open_judging(role) as judging, _publisher(role) as publisher:
        if role.stop.is_set():
            return
        deps = DoorDeps(
            judge=judging.judge,
            publisher=publisher,
            settings=_door_settings(role),
            probes=_probes(judging, publisher),
        )
        host, port = role.settings.grpc_host, role.settings.grpc_port
        try:
            door, _ = await create_server(deps, port, host)
        except RuntimeError as error:
            raise OperatorError(f"cannot listen on {host}:{port}: choose another MILLRACE_GRPC_PORT") from error
        role.ready.set()
        await role.stop.wait()
        await door.stop()


async def _serve(role: Role, deps: HttpDeps, erasure: Erasure) -> None:
    host, port = role.settings.http_host, role.settings.http_port
    try:
        async with serving(create_app(deps, erasure), host, port):
            role.ready.set()
            await role.stop.wait()
    except OSError as error:
        raise OperatorError(f"cannot listen on {host}:{port} ({error}): choose another MILLRACE_HTTP_PORT") from error


@asynccontextmanager
async def _publisher(role: Role) -> AsyncIterator[EventPublisher]:
    settings = role.settings
    topics = TopicSettings(settings.raw_partitions, settings.replication, settings.max_tenants, settings.open_tenants)
    publisher = EventPublisher(role.deps.kafka, PublisherSettings(topics=topics))
    await publisher.start()
    try:
        yield publisher
    finally:
        await publisher.stop()


def _erasure(role: Role, rows: ErasedRows) -> Erasure:
    secret = erasure_secret(role.settings)
    erased_list = ErasedList(role.deps.kafka, replication=role.settings.replication)
    return Erasure(role.deps.mongo, role.redis, rows, _door_settings(role), key=secret, erased_list=erased_list)


def _door_settings(role: Role) -> DoorSettings:
    settings = role.settings
    return DoorSettings(
        default_tenant=settings.default_tenant,
        redis_cluster=settings.redis_cluster,
        pipelines_dir=settings.pipelines_dir,
    )


def _probes(judging: Judging, publisher: EventPublisher) -> dict[str, Probe]:
    async def configs() -> bool:
        return judging.feed.healthy

    return {"kafka": publisher.is_available, "configs": configs}


async def _answers(call: object) -> bool:
    await call  # type: ignore[misc]
    return True
