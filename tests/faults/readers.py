"""What reads behind the judge: ClickHouse's tables and the recommender, beside a scene; and what they must hold."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError
from redis.asyncio import Redis

from infra.connections import open_clickhouse
from infra.stack.ports import free_ports
from infra.stack.server import Server
from infra.stack.servers import SERVERS, build_server
from recommenders.read import read_list
from recommenders.tenant import TenantSettings, TenantState
from schemas.clock import system_clock
from schemas.event import Event
from schemas.topics import raw_topic, rejected_topic, validated_topic
from streams.migrations import migrate
from tests.e2e.recompute import Expected
from tests.faults.scene import Scene, eventually, last_offsets
from tests.recommenders.factories import no_mix

READER = Path(__file__).with_name("reader.py")
DAY_MS = 24 * 60 * 60 * 1000
NEIGHBOURS = 50  # of an item, in Redis
MANY = 10_000


@dataclass(frozen=True)
class Tables:
    """A ClickHouse that a test may kill, and a client of it."""

    server: Server
    dsn: str
    client: AsyncClient

    async def ask(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Nothing while it is away."""
        try:
            return list((await self.client.query(query, parameters=parameters)).result_rows)
        except (ClickHouseError, OSError):
            return []

    async def fences(self, topic: str) -> dict[int, int]:
        """The last offset that is in the tables, by partition."""
        rows = await self.ask(
            "SELECT kafka_partition, max(next_offset) FROM fences WHERE kafka_topic = {topic:String} GROUP BY ALL",
            topic=topic,
        )
        return {int(partition): int(offset) - 1 for partition, offset in rows}

    async def stored(self, tenant: str) -> int:
        """Validated records that are in the tables."""
        return sum(offset + 1 for offset in (await self.fences(validated_topic(tenant))).values())

    async def wait_stored(self, tenant: str, more_than: int) -> int:
        found = await eventually(lambda: self.stored(tenant), lambda count: count > more_than)
        assert found > more_than, f"no progress: {found} records are stored"
        return found

    async def wait_all_stored(self, kafka: str, topic: str) -> None:
        last = await last_offsets(kafka, topic)
        assert await eventually(lambda: self.fences(topic), lambda found: found == last) == last

    async def assert_exact(self, scene: Scene, expected: Expected) -> None:
        """Events and dead letters, and the views over them, once all is worked off."""
        for topic in (validated_topic(scene.tenant), rejected_topic(scene.tenant)):
            await self.wait_all_stored(scene.kafka_dsn, topic)
        await self._assert_events(scene.tenant, expected)
        letters = await self.ask(
            "SELECT kafka_partition, kafka_offset FROM rejected_behaviors FINAL WHERE kafka_topic = {topic:String}",
            topic=raw_topic(scene.tenant),
        )
        assert sorted(letters) == sorted(expected.rejected)
        days = await self.ask(
            "SELECT user_id, toString(day) FROM user_days FINAL WHERE tenant_id = {tenant:String}", tenant=scene.tenant
        )
        assert sorted(days) == sorted({(event.user_id, day_of(event)) for event in expected.accepted})

    async def _assert_events(self, tenant: str, expected: Expected) -> None:
        rows = await self.ask(
            "SELECT event_id, scenario_id, user_id, item_id, action_type, toUnixTimestamp64Milli(timestamp),"
            " toUnixTimestamp64Milli(received_at), context, weight, positive, kafka_partition, kafka_offset"
            " FROM user_behaviors FINAL WHERE tenant_id = {tenant:String}",
            tenant=tenant,
        )
        sent = {(event.partition, event.offset): row_of(event) for event in expected.accepted}
        assert [row for row in rows if sent.get(row[-2:]) != row] == []
        assert sorted(map(identity, rows)) == sorted(set(map(identity, sent.values())))
        times: Any = "SELECT sum(impressions), sum(clicks) FROM ctr_hourly WHERE tenant_id = {tenant:String}"
        counted = [sum(row[4] == action for row in rows) for action in ("impression", "click")]
        assert await self.ask(times, tenant=tenant) == [tuple(counted)]


@asynccontextmanager
async def native_tables(folder: Path) -> AsyncIterator[Tables]:
    """An engine of the test's own, its tables made."""
    (port,) = free_ports(1)
    server, dsn = build_server("clickhouse", "native", folder, port), SERVERS["clickhouse"].dsn(port)
    await server.run()
    try:
        client = await open_clickhouse(dsn)
        await migrate(client)
        yield Tables(server, dsn, client)
        await client.close()
    finally:
        await server.stop(1)


def reader(kind: str, scene: Scene, dsn: str, folder: Path) -> Server:
    """A worker that is a process, to be killed; `dsn`: of what it writes to."""
    command = [sys.executable, str(READER), kind, scene.kafka_dsn, dsn, scene.config.group_prefix]
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return Server(kind, command, folder / f"{kind}.log", lambda: asyncio.sleep(0), environment=environment)


def row_of(event: Event) -> tuple[Any, ...]:
    what = (event.event_id, event.scenario_id, event.user_id, event.item_id, event.action_type)
    times = (event.timestamp, event.received_at)
    return (*what, *times, event.context_json, event.weight, event.positive, event.partition, event.offset)


def identity(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """By which rows collapse."""
    return row[0], row[1], row[5] // DAY_MS


def day_of(event: Event) -> str:
    return datetime.fromtimestamp(event.timestamp // 1000, UTC).date().isoformat()


async def assert_recommended(scene: Scene, expected: Expected) -> None:
    """Items' neighbours, and for each user a list without what they have seen, by the events folded one by one."""
    state = TenantState(scene.tenant, TenantSettings(), no_mix, system_clock)
    for event in expected.accepted:
        state.fold(event)
    async with Redis.from_url(scene.redis_dsn) as redis:
        wrong = await eventually(lambda: wrong_neighbours(redis, state), lambda items: not items)
        assert wrong == []
        stale = await eventually(lambda: stale_lists(redis, state, expected), lambda users: not users)
        assert stale == []


async def wrong_neighbours(redis: Any, state: TenantState) -> list[str]:
    """Items whose neighbours in Redis are others than the best by the state, or have another score."""
    wrong = []
    for number, item in enumerate(state.stores.items.ids):
        held = {other.decode(): float(score) for other, score in (await redis.hgetall(sim_key(state, item))).items()}
        scores = {state.stores.items.ids[other]: score for other, score in state.stores.item_cf.similar(number, MANY)}
        best = sorted(scores.values())[-NEIGHBOURS:]  # of equal ones any
        if sorted(held.values()) != close(best) or held != close({other: scores.get(other, 0.0) for other in held}):
            wrong.append(item)
    return wrong


def close(scores: Any) -> Any:
    """Sums of floats in another order, written with six digits."""
    return pytest.approx(scores, rel=1e-4)


def sim_key(state: TenantState, item: str) -> str:
    return state.keys.key("game:sim", item)


async def stale_lists(redis: Any, state: TenantState, expected: Expected) -> list[str]:
    """Users who have no list, or one with an item that they had seen by their last event."""
    stale = []
    for user in sorted({event.user_id for event in expected.accepted}):
        stored, history = await read_list(redis, state.keys, user, "home"), state.histories.get(user)
        seen = {state.stores.items.ids[item] for item in (history.seen if history else ())}
        if stored is None or seen & set(stored.items):
            stale.append(user)
    return stale
