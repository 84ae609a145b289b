"""The ClickHouse sink and the analytics worker, on real servers."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from faust.types import TP, StreamT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.dead_letter import dead_letter, encode_dead_letter
from schemas.event import Event
from schemas.topics import rejected_topic, summaries_topic, validated_topic
from schemas.validated import encode_event
from schemas.verdict import Code, Issue
from streams.app import StreamApp, run_worker
from streams.clickhouse_sink import ClickHouseSink
from streams.gathering import Gatherer
from streams.migrations import migrate
from streams.rows import TOPIC_PREFIXES, Rows, decoded_events, rows_of
from streams.transport import Batch
from streams.transport.consumer import Consumer
from streams.workers import run_analytics
from tests.factories import NOON, make_event
from tests.schemas.test_wire import events
from tests.streams.fakes import FakeRecord, batch_of
from tests.streams.live import committed, make_config, make_topic, producer_client, role
from tests.streams.test_outages import kill, own_server, rows_of_tenant
from tests.streams.test_session_rows import CODEC as SUMMARIES
from tests.streams.test_session_rows import make_summary

MONTH_MS = 31 * 24 * 60 * 60 * 1000


def validated_batch(first: int, count: int, **fields: Any) -> Batch:
    def record(offset: int) -> FakeRecord:
        event = make_event(event_id=f"e{offset}", offset=offset, **fields)
        return FakeRecord(offset, encode_event(event), topic="validated-behaviors-acme")

    return batch_of(*(record(offset) for offset in range(first, first + count)))


def record_of(event: Event) -> FakeRecord:
    return FakeRecord(event.offset, encode_event(event), topic="validated-behaviors-acme")


@pytest.fixture
async def tables(clickhouse: AsyncClient) -> AsyncClient:
    """The client of a database with all tables."""
    await migrate(clickhouse)
    return clickhouse


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
    parsed = [make_event(event_id=f"e{n}", offset=n) for n in range(20)]
    parsed[13].config_version = -(2**40)  # no UInt32
    await ClickHouseSink(clickhouse).insert([validated_batch(0, 20)], [Rows("acme", events=parsed)])
    assert await count(clickhouse, "user_behaviors") == 19
    assert await count(clickhouse, "rejected_behaviors", "has(reason_codes, 'not_storable')") == 1


async def table(client: AsyncClient) -> list[Any]:
    return list((await client.query("SELECT * FROM user_behaviors ORDER BY kafka_offset")).result_rows)


def storable(event: Event, number: int) -> None:
    """The wire holds more than the judge lets pass and the table takes."""
    event.event_id, event.offset = f"e{number}", number
    event.timestamp = NOON - event.timestamp % MONTH_MS
    event.received_at = NOON + event.received_at % MONTH_MS
    event.config_version = abs(event.config_version)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(events, min_size=1, max_size=20))
async def test_the_engine_makes_of_avro_what_python_makes_of_it(tables: AsyncClient, sent: list[Event]) -> None:
    for number, event in enumerate(sent):
        storable(event, number)
    batch = batch_of(*(record_of(event) for event in sent))
    sink = ClickHouseSink(tables)
    for rows in (rows_of(batch), Rows("acme", events=decoded_events(batch.records)[0])):
        assert len(rows) == len(sent)
        await tables.command("TRUNCATE TABLE user_behaviors")
        await sink.insert([batch], [rows])
        if rows.validated:
            of_engine = await table(tables)
    assert of_engine == await table(tables)
    assert len(of_engine) == len(sent)


@pytest.mark.parametrize("cut", [1, 10, 100, 200])
async def test_a_damaged_record_is_parked_and_its_neighbours_stay(clickhouse: AsyncClient, cut: int) -> None:
    await migrate(clickhouse)
    records = [record_of(make_event(event_id=f"e{n}", offset=n)) for n in range(5)]
    records[2] = replace(records[2], value=(records[2].value or b"")[:-cut])
    batch = batch_of(*records)
    await ClickHouseSink(clickhouse).insert([batch], [rows_of(batch)])
    assert [row[0] for row in await table(clickhouse)] == ["e0", "e1", "e3", "e4"]
    assert await count(clickhouse, "rejected_behaviors", "kafka_offset = 2 AND tenant_id = 'acme'") == 1


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(10, 150), length=st.integers(0, 40), instead=st.binary(max_size=12))
async def test_whatever_is_damaged_nothing_else_is_lost_and_nothing_waits(
    tables: AsyncClient, place: int, length: int, instead: bytes
) -> None:
    for name in ("user_behaviors", "rejected_behaviors"):
        await tables.command(f"TRUNCATE TABLE {name}")
    records = [record_of(make_event(event_id=f"e{n}", offset=n)) for n in range(3)]
    value = records[1].value or b""
    records[1] = replace(records[1], value=value[:place] + instead + value[place + length :])
    batch = batch_of(*records)
    async with asyncio.timeout(20):
        await ClickHouseSink(tables).insert([batch], [rows_of(batch)])
    assert await count(tables, "user_behaviors", "event_id IN ('e0', 'e2')") == 2
    parked = await count(tables, "rejected_behaviors")
    assert await count(tables, "user_behaviors") + parked == 3


async def test_an_insert_that_reached_some_months_only_is_completed_by_the_next_try(clickhouse: AsyncClient) -> None:
    """A crash between the parts of an insert: those of the first months are in, under its token."""
    await migrate(clickhouse)
    batch = batch_of(
        *(record_of(make_event(event_id=f"e{n}", offset=n, timestamp=NOON - n % 5 * MONTH_MS)) for n in range(100))
    )
    whole = rows_of(batch)
    begun = [record for record in whole.validated if record.offset % 5 in {1, 3}]
    sink = ClickHouseSink(clickhouse)
    await sink.insert([batch], [replace(whole, validated=begun)])
    assert await count(clickhouse, "user_behaviors") == 40
    await clickhouse.command("TRUNCATE TABLE user_days")  # nor had the view behind the table anything
    await sink.insert([batch], [whole])
    raw = await clickhouse.query("SELECT count(), uniqExact(event_id) FROM user_behaviors SETTINGS final = 0")
    assert raw.result_rows == [(100, 100)]
    assert await count(clickhouse, "user_days") == 5


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


async def test_session_summaries_become_rows_of_which_the_last_counts(
    kafka: str, clickhouse: AsyncClient, tenant: str
) -> None:
    config, topic, of_tenant = make_config(kafka), summaries_topic(tenant), f"tenant_id = '{tenant}'"
    await make_topic(kafka, topic)
    async with producer_client(kafka) as producer:
        for session in range(20):
            for events_so_far in (3, 4):
                summary = make_summary(session_id=f"ses_{session}", tenant_id=tenant, events=events_so_far)
                await producer.send_and_wait(topic, SUMMARIES.encode(summary), partition=session % 2)
        await producer.send_and_wait(topic, b"not a summary", partition=0)

    async def arrived() -> bool:
        parked = await count(clickhouse, "rejected_behaviors", of_tenant)
        return parked == 1 and await count(clickhouse, "sessions", f"{of_tenant} AND events = 4 AND ctr = 0.5") == 20

    async with role(lambda stop, ready: run_analytics(config, clickhouse, stop, ready)), asyncio.timeout(30):
        while not await arrived():
            await asyncio.sleep(0.1)
    assert await count(clickhouse, "sessions", of_tenant) == 20


async def test_while_the_engine_is_away_little_is_held_and_nothing_is_lost(
    kafka: str, stack_kind: str, tenant: str, tmp_path: Path
) -> None:
    """Ten times as many events as may be held wait in Kafka, until the engine is back."""
    total, max_rows = 20_000, 2_000
    config, topic = make_config(kafka, max_batch_records=500), validated_topic(tenant)
    await make_topic(kafka, topic)
    gatherers: list[Gatherer] = []
    async with own_server("clickhouse", stack_kind, tmp_path) as (server, port):
        client = await clickhouse_connect.get_async_client(dsn=f"http://127.0.0.1:{port}")
        await migrate(client)
        sink = ClickHouseSink(client)

        def make_gatherer(consumer: Consumer, stream: StreamT) -> Gatherer:
            gatherers.append(Gatherer("analytics", sink, consumer, stream, rows_per_insert=500, max_rows=max_rows))
            return gatherers[-1]

        def make_app() -> StreamApp:
            return StreamApp("analytics", TOPIC_PREFIXES, config, sink.where, make_gatherer, bounded=False)

        async with role(lambda stop, ready: run_worker(make_app, stop, ready)):
            await kill(server)
            async with producer_client(kafka) as producer:
                for n in range(total):
                    value = encode_event(make_event(event_id=f"e{n}", tenant_id=tenant, offset=n))
                    await producer.send(topic, value, partition=n % 2)
            for _ in range(30):
                await asyncio.sleep(0.1)
                assert gatherers[-1].held_rows < max_rows + config.max_batch_records
            assert gatherers[-1].held_rows >= max_rows, "it holds what it may"
            assert await committed(kafka, config.group("analytics"), topic) in ({}, {0: 0, 1: 0}), "nothing was done"
            await server.start()
            await server.wait_ready()
            async with asyncio.timeout(60):
                while await rows_of_tenant(client, tenant) < total:
                    await asyncio.sleep(0.2)
        assert await rows_of_tenant(client, tenant) == total
        await client.close()
