"""The HTTP door over real servers, as `millrace serve http` builds it but for the feed of configs."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.asyncclient import AsyncClient
from fastapi import FastAPI
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from infra.health import serving
from infra.stack.endpoints import Endpoints
from infra.stack.ports import free_ports
from ingest_api.config_insights import ConfigInsights
from ingest_api.dead_letters import DeadLetters
from ingest_api.deps import HttpDeps
from ingest_api.erased_list import ErasedList
from ingest_api.erased_rows import ErasedRows
from ingest_api.erasure import Erasure
from ingest_api.event_store import EventStore
from ingest_api.http.app import create_app
from ingest_api.letter_store import LetterStore
from ingest_api.publisher import EventPublisher, PublisherSettings
from ingest_api.replay_producer import ReplayProducer
from ingest_api.tenant_topics import TopicSettings
from schemas.clock import system_clock
from schemas.kafka import KafkaDsn
from schemas.topics import raw_topic, rejected_topic
from schemas.validated import encode_event
from streams.clickhouse_sink import ClickHouseSink
from streams.migrations import migrate
from streams.rows import rows_of
from tests.factories import make_event
from tests.ingest_api.doors import make_door_deps
from tests.streams.fakes import FakeRecord, batch_of
from tests.streams.live import make_topic
from tracking_configs.feed import ConfigPublisher
from tracking_configs.judge import Judge
from tracking_configs.outbox import ConfigOutbox
from tracking_configs.registry import ConfigRegistry
from tracking_configs.service import ConfigService
from tracking_configs.store import ConfigStore
from tracking_configs.template import load_templates

NOWHERE = Endpoints(
    kafka="127.0.0.1:1", redis="redis://127.0.0.1:1/0", clickhouse="http://127.0.0.1:1", mongo="mongodb://127.0.0.1:1"
)


@asynccontextmanager
async def real_app(stack: Endpoints, database: str, tenant: str) -> AsyncIterator[FastAPI]:
    """The application; no server need answer.

    `database`: of MongoDB and of ClickHouse. `tenant`: of calls that name none.
    """
    kafka = KafkaDsn.parse(stack.kafka)
    registry, configs = ConfigRegistry(), ConfigPublisher(kafka)
    redis = Redis.from_url(stack.redis)
    mongo: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        stack.mongo, tz_aware=True, serverSelectionTimeoutMS=1000
    )
    publisher = EventPublisher(kafka, PublisherSettings(topics=TopicSettings(open_tenants=False)))
    store = ConfigStore(mongo[database])
    service = ConfigService(store, ConfigOutbox(store, configs), load_templates(), registry)
    clickhouse = partial(_clickhouse, stack, database)
    events, letters, rows = EventStore(clickhouse), LetterStore(clickhouse), ErasedRows(clickhouse)
    judge = Judge(registry)
    parts = {
        "judge": judge,
        "publisher": publisher,
        "clock": system_clock,
        "probes": {"kafka": publisher.is_available},
        "config_service": service,
        "config_insights": ConfigInsights(service, events, kafka),
        "redis": redis,
        "mongo": mongo[database],
        "dead_letters": DeadLetters(letters, ReplayProducer(kafka), judge),
    }
    deps = HttpDeps(**vars(make_door_deps(default_tenant=tenant)) | parts)
    closing = (redis.aclose, mongo.close, events.close, letters.close, rows.close, configs.stop, publisher.stop)
    async with AsyncExitStack() as opened:
        for close in closing:
            opened.push_async_callback(close)
        await publisher.start()
        erasure = Erasure(deps.mongo, redis, rows, deps.settings, erased_list=ErasedList(kafka), settle_s=0)
        yield create_app(deps, erasure)


@asynccontextmanager
async def served_door(stack: Endpoints, tenant: str) -> AsyncIterator[str]:
    """The door's URL. The tenant has its topics, and events in ClickHouse that came in just now."""
    database = f"test_{secrets.token_hex(4)}"
    admin = await clickhouse_connect.get_async_client(dsn=stack.clickhouse)
    await admin.command(f"CREATE DATABASE {database}")
    try:
        for topic in (raw_topic(tenant), rejected_topic(tenant)):
            await make_topic(stack.kafka, topic, 1)
        await _insert_events(stack, database, tenant)
        port = free_ports(1)[0]
        async with real_app(stack, database, tenant) as app, serving(app, "127.0.0.1", port):
            yield f"http://127.0.0.1:{port}"
    finally:
        await admin.command(f"DROP DATABASE {database}")
        await admin.close()


async def _clickhouse(stack: Endpoints, database: str) -> AsyncClient:
    return await clickhouse_connect.get_async_client(
        dsn=stack.clickhouse, database=database, autogenerate_session_id=False
    )


async def _insert_events(stack: Endpoints, database: str, tenant: str) -> None:
    now = system_clock()
    data = '{"video_data":{"duration":60,"watch_duration":48,"completion_rate":0.8}}'
    place: dict[str, Any] = {"tenant_id": tenant, "received_at": now, "timestamp": now}
    events = [make_event(**place, event_id=f"e{number}", scenario_data=data, offset=number) for number in range(20)]
    records = [FakeRecord(event.offset, encode_event(event), topic=f"validated-behaviors-{tenant}") for event in events]
    batch = batch_of(*records)
    client = await _clickhouse(stack, database)
    try:
        await migrate(client)
        await ClickHouseSink(client).insert([batch], [rows_of(batch)])
    finally:
        await client.close()
