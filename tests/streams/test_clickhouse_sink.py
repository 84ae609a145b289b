"""The ClickHouse sink and the analytics worker, on real servers."""

import asyncio
from typing import Any

from clickhouse_connect.driver.asyncclient import AsyncClient
from faust.types import TP

from schemas.dead_letter import dead_letter, encode_dead_letter
from schemas.topics import rejected_topic, validated_topic
from schemas.validated import encode_event
from schemas.verdict import Code, Issue
from streams.clickhouse_sink import ClickHouseSink
from streams.migrations import migrate
from streams.rows import rows_of
from streams.transport import Batch
from streams.workers import run_analytics
from tests.factories import NOON, make_event
from tests.streams.fakes import FakeRecord, batch_of
from tests.streams.live import make_config, make_topic, producer_client, role

MONTH_MS = 31 * 24 * 60 * 60 * 1000


def validated_batch(first: int, count: int, **fields: Any) -> Batch:
    def record(offset: int) -> FakeRecord:
        event = make_event(event_id=f"e{offset}", offset=offset, **fields)
        return FakeRecord(offset, encode_event(event), topic="validated-behaviors-acme")

    return batch_of(*(record(offset) for offset in range(first, first + count)))


async def count(client: AsyncClient, table: str, where: str = "1") -> int:
    answer = await client.query(f"SELECT count() FROM {table} FINAL WHERE {where}")
    return int(answer.result_rows[0][0])


async def test_migrating_twice_changes_nothing(clickhouse: AsyncClient) -> None:
    await migrate(clickhouse)
    await migrate(clickhouse)
    assert await count(clickhouse, "user_behaviors") == 0


async def test_rows_come_back_as_they_were(clickhouse: AsyncClient) -> None:
    await migrate(clickhouse)
    event = make_event(
        position=3,
        scenario_data='{"duration":30}',
        validation_warnings=(Issue("a", Code.MISSING, "b"),),
        offset=7,
        dwell_ms=30_000,
    )
    batch = batch_of(FakeRecord(0, encode_event(event), topic="validated-behaviors-acme"))
    await ClickHouseSink(clickhouse).insert([batch], [rows_of(batch)])
    answer = await clickhouse.query(
        "SELECT event_id, position, scenario_data, validation_warnings, toUnixTimestamp64Milli(timestamp),"
        " toUnixTimestamp64Milli(received_at), category, dwell_ms, kafka_offset FROM user_behaviors"
    )
    (row,) = answer.result_rows
    warning = row[3][0]
    assert tuple(warning.values() if isinstance(warning, dict) else warning) == ("a", "missing", "b")
    assert (row[0], row[1], row[2], *row[4:]) == (
        *(event.event_id, 3, '{"duration":30}', NOON, NOON + 5, None, 30_000, 7),
    )


async def test_the_same_insert_made_again_adds_nothing(clickhouse: AsyncClient) -> None:
    await migrate(clickhouse)
    sink, batch = ClickHouseSink(clickhouse), validated_batch(0, 100)
    for _ in range(3):
        await sink.insert([batch], [rows_of(batch)])
    assert await count(clickhouse, "user_behaviors") == 100
    raw = await clickhouse.query("SELECT count() FROM user_behaviors SETTINGS final = 0")
    assert raw.result_rows[0][0] == 100


async def test_rows_inserted_again_in_another_group_collapse(clickhouse: AsyncClient) -> None:
    await migrate(clickhouse)
    sink = ClickHouseSink(clickhouse)
    for first, size in ((0, 60), (30, 70)):
        batch = validated_batch(first, size)
        await sink.insert([batch], [rows_of(batch)])
    assert await count(clickhouse, "user_behaviors") == 100


async def test_an_insert_may_span_two_hundred_months(clickhouse: AsyncClient) -> None:
    await migrate(clickhouse)
    batch = batch_of(
        *(
            FakeRecord(n, encode_event(make_event(event_id=f"e{n}", offset=n, timestamp=NOON - n * MONTH_MS)))
            for n in range(200)
        )
    )
    batch = Batch(TP("validated-behaviors-acme", 0), batch.records, 1, 1)
    await ClickHouseSink(clickhouse).insert([batch], [rows_of(batch)])
    assert await count(clickhouse, "user_behaviors") == 200


async def test_a_row_that_is_refused_is_parked_and_the_others_stay(clickhouse: AsyncClient) -> None:
    await migrate(clickhouse)
    batch = validated_batch(0, 20)
    rows = rows_of(batch)
    rows.events[13].config_version = -(2**40)  # no UInt32
    await ClickHouseSink(clickhouse).insert([batch], [rows])
    assert await count(clickhouse, "user_behaviors") == 19
    assert await count(clickhouse, "rejected_behaviors", "has(reason_codes, 'not_storable')") == 1


async def test_the_fence_says_where_to_begin(clickhouse: AsyncClient) -> None:
    await migrate(clickhouse)
    sink, tp, other = ClickHouseSink(clickhouse), TP("validated-behaviors-acme", 0), TP("validated-behaviors-acme", 1)
    assert await sink.where([tp, other], 1) == {}
    await sink.move_fences([validated_batch(0, 10), validated_batch(10, 5)])
    assert await sink.where([tp, other], 1) == {tp: 15}
    assert await ClickHouseSink(clickhouse, consumer="another").where([tp], 1) == {}


async def test_validated_and_rejected_topics_become_rows(kafka: str, clickhouse: AsyncClient, tenant: str) -> None:
    config, total = make_config(kafka), 500
    for topic in (validated_topic(tenant), rejected_topic(tenant)):
        await make_topic(kafka, topic)
    letter = dead_letter(b"x", (Issue("", Code.EMPTY, "no"),), topic="t", partition=0, offset=4, timestamp=NOON)
    async with producer_client(kafka) as producer:
        for n in range(total):
            event = make_event(event_id=f"e{n}", tenant_id=tenant, offset=n)
            await producer.send(validated_topic(tenant), encode_event(event), partition=n % 2)
        await producer.send(rejected_topic(tenant), encode_dead_letter(letter), partition=0)

    async def arrived() -> bool:
        events = await count(clickhouse, "user_behaviors", f"tenant_id = '{tenant}'")
        return events == total and await count(clickhouse, "rejected_behaviors", f"tenant_id = '{tenant}'") == 1

    async with role(lambda stop, ready: run_analytics(config, clickhouse, stop, ready)), asyncio.timeout(30):
        while not await arrived():
            await asyncio.sleep(0.1)
    sink = ClickHouseSink(clickhouse)
    tps = [TP(validated_topic(tenant), partition) for partition in range(2)]
    assert await sink.where(tps, 1) == dict.fromkeys(tps, total // 2)
