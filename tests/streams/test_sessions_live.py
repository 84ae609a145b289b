"""From events to summaries in the topic and rows in the table, on real servers."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from typing import Any

from clickhouse_connect.driver.asyncclient import AsyncClient
from redis.asyncio import Redis

from schemas.topics import raw_topic
from streams.features.closing import sequence_key
from streams.features.sink import RedisFeatureSink
from streams.features.watermark import Closing
from streams.summaries import SEQUENCE_HEADER
from streams.workers import run_analytics, run_features
from tests.faults.scene import eventually, signals
from tests.streams.live import make_config, make_topic, role
from tests.streams.sessions import (
    CODEC,
    GAP,
    MINUTE,
    PARTITIONS,
    Sent,
    facts,
    in_order,
    make_sessions,
    partition_of,
    send,
    shipped,
    told_by,
)
from tracking_configs.judge import Judge
from tracking_configs.registry import ConfigRegistry

CLOSING = Closing(lateness_ms=MINUTE, idle_ms=2 * MINUTE)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def working(
    kafka: str, redis: Redis, tenant: str, clickhouse: AsyncClient | None = None, *, quiet_s: float = 0.5
) -> AsyncIterator[None]:
    """The features of one tenant that has a topic, and the analytics where there is a ClickHouse."""
    await make_topic(kafka, raw_topic(tenant), PARTITIONS)
    config = make_config(kafka, closing_interval_s=0.2, quiet_s=quiet_s)
    sink, judge = RedisFeatureSink(redis, signals, closing=CLOSING), Judge(ConfigRegistry())
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(role(lambda stop, ready: run_features(config, sink, judge, stop, ready)))
        if clickhouse is not None:
            await stack.enter_async_context(role(lambda stop, ready: run_analytics(config, clickhouse, stop, ready)))
        yield


async def rows(clickhouse: AsyncClient, tenant: str) -> list[dict[str, Any]]:
    """The table, each session as often as a query finds it."""
    names = ("user_id", "started_at", "ended_at", "events", "items", "actions")
    answer = await clickhouse.query(
        "SELECT user_id, toUnixTimestamp64Milli(started_at), toUnixTimestamp64Milli(ended_at), events, items, actions"
        " FROM sessions FINAL WHERE tenant_id = {tenant:String}",
        parameters={"tenant": tenant},
    )
    return in_order(dict(zip(names, row, strict=True)) for row in answer.result_rows)


async def test_each_session_is_once_in_the_topic_and_once_in_the_table(
    kafka: str, redis_client: Redis, clickhouse: AsyncClient, tenant: str
) -> None:
    """Some are replaced by their user's next one, some passed by the watermark, the last ones by the clock."""
    sent = make_sessions(now_ms() - GAP - 5 * MINUTE)
    expected = told_by(sent)
    async with working(kafka, redis_client, tenant, clickhouse):
        await send(kafka, tenant, sent)
        await eventually(lambda: rows(clickhouse, tenant), lambda found: len(found) >= len(expected))
        records = await shipped(kafka, tenant)
    assert facts(records) == expected
    assert await rows(clickhouse, tenant) == expected
    assert [record.partition for record in records] == [partition_of(record.key.decode()) for record in records]
    for one, other in pairwise(records):
        assert one.partition < other.partition or place(one) < place(other)


def place(record: Any) -> tuple[int, int]:
    return sequence_key(dict(record.headers)[SEQUENCE_HEADER].decode())


async def test_a_quiet_partition_keeps_what_may_still_go_on(kafka: str, redis_client: Redis, tenant: str) -> None:
    """By the clock only the session is over whose gap is."""
    now = now_ms()
    over, open_still = now - GAP - 5 * MINUTE, now - GAP + 5 * MINUTE
    sent = [Sent("u0", "i1", "play", over, over), Sent("u1", "i1", "play", open_still, open_still)]
    async with working(kafka, redis_client, tenant):
        await send(kafka, tenant, sent)
        found = await eventually(lambda: shipped(kafka, tenant), lambda records: len(records) >= 1)
    assert facts(found) == told_by(sent[:1])
    assert await redis_client.hget(f"{tenant}:user:session:u0", "closed") == b"1"
    assert await redis_client.hget(f"{tenant}:user:session:u1", "closed") is None


async def test_late_events_are_counted_and_begin_no_session(kafka: str, redis_client: Redis, tenant: str) -> None:
    """u0's come when its session is closed, u2's while it is open; u4 moves the watermark."""
    began = now_ms() - 6 * GAP
    at = [
        Sent(f"u{user}", "i1", "play", began + 2 * GAP * step, began + 2 * GAP * step)
        for step, user in enumerate((0, 4, 2))
    ]
    late = [Sent(user, "i2", "click", began - 2 * GAP, at[-1].arrival) for user in ("u0", "u2", "u2")]
    async with working(kafka, redis_client, tenant):
        await send(kafka, tenant, [*at, *late])
        found = await eventually(lambda: shipped(kafka, tenant), lambda records: len(records) >= 3)
    assert facts(found) == told_by(sorted(at))
    summaries = {summary["user_id"]: summary for summary in (CODEC.decode(record.value) for record in found)}
    assert {user: summary["late"] for user, summary in summaries.items()} == {"u0": 0, "u4": 0, "u2": 2}
    assert {user: summary["closed_at"] - summary["ended_at"] for user, summary in summaries.items()} == {
        "u0": GAP,
        "u4": GAP,
        "u2": GAP,
    }
    assert await redis_client.hget(f"{tenant}:user:session:u0", "late") == b"1"


async def test_events_that_come_hours_later_are_one_session(kafka: str, redis_client: Redis, tenant: str) -> None:
    """A client that was offline: by its arrival the watermark is far ahead of all of them."""
    arrival = now_ms() - GAP - 5 * MINUTE
    hours_ago = arrival - 10 * GAP
    first = [Sent("u1", "i0", "play", arrival, arrival)]
    offline = [Sent("u1", f"i{n}", "play", hours_ago + n * MINUTE, arrival) for n in range(5)]
    offline = [event._replace(user="u3") for event in offline]
    async with working(kafka, redis_client, tenant):
        await send(kafka, tenant, [*first, *offline])
        found = await eventually(lambda: shipped(kafka, tenant), lambda records: len(records) >= 2)
    assert facts(found) == told_by([*first, *offline])
