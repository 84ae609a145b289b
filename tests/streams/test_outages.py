"""Servers that go away and come back, some of them with less than they had."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import clickhouse_connect
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import OperationalError
from redis.asyncio import Redis

from infra.stack.kinds import STACK_KINDS
from infra.stack.ports import free_ports
from infra.stack.server import Server
from infra.stack.servers import build_server
from schemas.keys import KeySpace
from schemas.topics import raw_topic, validated_topic
from schemas.validated import decode_event, encode_event
from streams.features.model import ScenarioSignals
from streams.features.sink import RedisFeatureSink
from streams.migrations import migrate
from streams.workers import run_analytics, run_features, run_judge
from tests.factories import make_event
from tests.streams.fakes import FakeJudge
from tests.streams.live import committed, fill, make_config, make_topic, producer_client, role
from tests.streams.test_judge_agent import read

HALF_HOUR_MS = 30 * 60 * 1000
WAIT_S = 60


@asynccontextmanager
async def own_server(name: str, kind: str, folder: Path) -> AsyncIterator[tuple[Server, int]]:
    """A server of the test's own, which it may kill and start again."""
    if kind == "docker":
        pytest.skip("a container gets another port when it is started again")
    (port,) = free_ports(1)
    server = build_server(name, next(known for known in STACK_KINDS if known == kind), folder, port)
    await server.start()
    await server.wait_ready()
    try:
        yield server, port
    finally:
        await server.stop()


async def rows_of_tenant(client: AsyncClient, tenant: str) -> int:
    """0 while the server is not back: the first query may meet a connection of before."""
    try:
        answer = await client.query(f"SELECT count() FROM user_behaviors FINAL WHERE tenant_id = '{tenant}'")
    except OperationalError:
        return 0
    return int(answer.result_rows[0][0])


async def kill(server: Server) -> None:
    server.signal(signal.SIGKILL)
    await server.wait()


async def test_the_judge_outlasts_a_broker_that_dies(stack_kind: str, tenant: str, tmp_path: Path) -> None:
    async with own_server("kafka", stack_kind, tmp_path) as (server, port):
        kafka = f"127.0.0.1:{port}"
        await make_topic(kafka, raw_topic(tenant), partitions=1)
        async with role(lambda stop, ready: run_judge(make_config(kafka), FakeJudge(), stop, ready)):
            await fill(kafka, raw_topic(tenant), 200, partitions=1)
            await read(kafka, validated_topic(tenant), 0, 200)
            await kill(server)
            await asyncio.sleep(2)
            await server.start()
            await server.wait_ready()
            await fill(kafka, raw_topic(tenant), 200, partitions=1)
            async with asyncio.timeout(WAIT_S):
                offsets: list[int] = []
                while 399 not in offsets:
                    records = await read(kafka, validated_topic(tenant), 0, 201)
                    offsets = [decode_event(record.value).offset for record in records]
        assert list(dict.fromkeys(offsets)) == list(range(400)), "first occurrences are in raw order"


@pytest.mark.parametrize("settled", [True, False], ids=["idle", "at work"])
async def test_a_worker_stops_within_ten_seconds_while_kafka_is_away(
    stack_kind: str, tenant: str, tmp_path: Path, settled: bool
) -> None:
    async with own_server("kafka", stack_kind, tmp_path) as (server, port):
        kafka = f"127.0.0.1:{port}"
        await make_topic(kafka, raw_topic(tenant), partitions=1)
        stop, ready = asyncio.Event(), asyncio.Event()
        config = make_config(kafka)
        worker = asyncio.ensure_future(run_judge(config, FakeJudge(), stop, ready))
        await asyncio.wait_for(ready.wait(), WAIT_S)
        await fill(kafka, raw_topic(tenant), 2000, partitions=1)
        if settled:
            async with asyncio.timeout(WAIT_S):
                while await committed(kafka, config.group("judge"), raw_topic(tenant)) != {0: 2000}:
                    await asyncio.sleep(0.1)
        await kill(server)
        stop.set()
        await asyncio.wait_for(worker, 10)


async def test_analytics_waits_for_clickhouse(kafka: str, stack_kind: str, tenant: str, tmp_path: Path) -> None:
    async with own_server("clickhouse", stack_kind, tmp_path) as (server, port):
        client = await clickhouse_connect.get_async_client(dsn=f"http://127.0.0.1:{port}")
        await migrate(client)
        await make_topic(kafka, validated_topic(tenant), partitions=1)
        config = make_config(kafka)
        async with role(lambda stop, ready: run_analytics(config, client, stop, ready)):
            await kill(server)
            async with producer_client(kafka) as producer:
                for n in range(100):
                    value = encode_event(make_event(event_id=f"e{n}", tenant_id=tenant, offset=n))
                    await producer.send(validated_topic(tenant), value, partition=0)
            await asyncio.sleep(2)
            await server.start()
            await server.wait_ready()
            async with asyncio.timeout(WAIT_S):
                while await rows_of_tenant(client, tenant) < 100:
                    await asyncio.sleep(0.2)
        rows = await rows_of_tenant(client, tenant)
        await client.close()
        assert rows == 100


async def test_a_redis_that_lost_everything_is_filled_again(kafka: str, redis_client: Redis, tenant: str) -> None:
    sink = RedisFeatureSink(redis_client, lambda *_: ScenarioSignals(HALF_HOUR_MS, HALF_HOUR_MS))
    session = KeySpace(tenant).key("user:session", "ann")
    await make_topic(kafka, raw_topic(tenant), partitions=1)

    async def send(count: int) -> None:
        async with producer_client(kafka) as producer:
            for _ in range(count):
                await producer.send(raw_topic(tenant), b"ann", partition=0)

    async def events_reach(count: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while int(await redis_client.hget(session, "events") or 0) != count:
                await asyncio.sleep(0.05)

    async with role(lambda stop, ready: run_features(make_config(kafka), sink, FakeJudge(), stop, ready)):
        await send(50)
        await events_reach(50)
        keys = [key async for key in redis_client.scan_iter(f"{tenant}:*")]
        await redis_client.delete(*keys)
        await send(1)
        await events_reach(51)
