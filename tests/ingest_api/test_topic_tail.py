"""The newest records of a topic, on a real broker."""

import asyncio
import time

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.errors import KafkaError

from infra.stack.ports import free_ports
from ingest_api.topic_tail import TailRecord, last_records
from schemas.kafka import KafkaDsn
from schemas.topics import raw_topic
from tests.streams.live import admin_client, make_topic, producer_client

pytestmark = pytest.mark.stack

NOON = 1_700_000_000_000


@pytest.fixture
def dsn(kafka: str) -> KafkaDsn:
    return KafkaDsn.parse(kafka)


async def topic_of(kafka: str, tenant: str, partitions: int = 3) -> str:
    await make_topic(kafka, raw_topic(tenant), partitions)
    return raw_topic(tenant)


async def send(kafka: str, topic: str, numbers: range, partitions: int = 3, size: int = 4) -> None:
    """Record number i: key u<i>, value i, one millisecond after i - 1, round the partitions."""
    async with producer_client(kafka) as producer:
        for number in numbers:
            value = str(number).zfill(size).encode()
            place = {"partition": number % partitions, "timestamp_ms": NOON + number}
            await producer.send(topic, value, key=f"u{number}".encode(), **place)
        await producer.flush()


def numbers(records: list[TailRecord]) -> list[int]:
    return [int(record.value or b"-1") for record in records]


async def test_gives_the_newest_of_all_partitions_newest_last(kafka: str, dsn: KafkaDsn, tenant: str) -> None:
    topic = await topic_of(kafka, tenant)
    await send(kafka, topic, range(3000))
    records = await last_records(dsn, topic, 100)
    assert numbers(records) == list(range(2900, 3000))
    assert records[-1] == TailRecord(2999 % 3, 999, NOON + 2999, b"u2999", b"2999")


async def test_a_partition_that_had_no_records_lately_gives_none(kafka: str, dsn: KafkaDsn, tenant: str) -> None:
    topic = await topic_of(kafka, tenant)
    await send(kafka, topic, range(0, 300, 3))  # partition 0 alone, and then the two others
    await send(kafka, topic, range(301, 600, 3))
    await send(kafka, topic, range(602, 900, 3))
    assert {record.partition for record in await last_records(dsn, topic, 50)} == {2}
    assert numbers(await last_records(dsn, topic, 150))[0] == 301 + 50 * 3


async def test_fewer_than_asked_for_are_all(kafka: str, dsn: KafkaDsn, tenant: str) -> None:
    topic = await topic_of(kafka, tenant)
    await send(kafka, topic, range(7))
    assert numbers(await last_records(dsn, topic, 100)) == list(range(7))


async def test_begins_at_a_time_where_that_is_later(kafka: str, dsn: KafkaDsn, tenant: str) -> None:
    topic = await topic_of(kafka, tenant)
    await send(kafka, topic, range(90))
    assert numbers(await last_records(dsn, topic, 50, since_ms=NOON + 80)) == list(range(80, 90))
    assert numbers(await last_records(dsn, topic, 5, since_ms=NOON + 80)) == list(range(85, 90))
    assert await last_records(dsn, topic, 50, since_ms=NOON + 90) == []
    assert len(await last_records(dsn, topic, 50, since_ms=-1)) == 50


async def test_an_older_timestamp_behind_the_time_asked_for_is_left_out(kafka: str, dsn: KafkaDsn, tenant: str) -> None:
    topic = await topic_of(kafka, tenant, partitions=1)
    await send(kafka, topic, range(100, 110), partitions=1)
    await send(kafka, topic, range(5), partitions=1)
    assert numbers(await last_records(dsn, topic, 50, since_ms=NOON + 105)) == list(range(105, 110))


async def test_an_empty_topic_has_none(kafka: str, dsn: KafkaDsn, tenant: str) -> None:
    assert await last_records(dsn, await topic_of(kafka, tenant), 10) == []


async def test_an_absent_topic_has_none_and_is_not_made(kafka: str, dsn: KafkaDsn, tenant: str) -> None:
    assert await last_records(dsn, raw_topic(tenant), 10) == []
    async with admin_client(kafka) as admin:
        assert raw_topic(tenant) not in await admin.list_topics()


async def test_keys_and_values_come_as_they_are(kafka: str, dsn: KafkaDsn, tenant: str) -> None:
    topic = await topic_of(kafka, tenant, partitions=1)
    async with producer_client(kafka) as producer:
        await producer.send_and_wait(topic, None, key=b"tombstone")
        await producer.send_and_wait(topic, b"\xff\x00", key=None)
    first, second = await last_records(dsn, topic, 10)
    assert (first.key, first.value) == (b"tombstone", None)
    assert (second.key, second.value) == (None, b"\xff\x00")


async def test_what_was_deleted_is_not_waited_for(kafka: str, dsn: KafkaDsn, tenant: str) -> None:
    topic = await topic_of(kafka, tenant)
    await send(kafka, topic, range(300))
    deleted = {TopicPartition(topic, 0): RecordsToDelete(95), TopicPartition(topic, 1): RecordsToDelete(100)}
    async with admin_client(kafka) as admin:
        await admin.delete_records(deleted)
    records = await last_records(dsn, topic, 1000)
    assert [sum(record.partition == partition for record in records) for partition in range(3)] == [5, 0, 100]


async def test_a_transactions_markers_are_gaps_not_records(kafka: str, dsn: KafkaDsn, tenant: str) -> None:
    topic = await topic_of(kafka, tenant, partitions=1)
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=tenant)
    await producer.start()
    try:
        for number in range(3):
            async with producer.transaction():
                await producer.send_and_wait(topic, str(number).encode(), timestamp_ms=NOON + number)
    finally:
        await producer.stop()
    started = time.monotonic()
    assert numbers(await last_records(dsn, topic, 10)) == [0, 1, 2]
    assert numbers(await last_records(dsn, topic, 1)) == []  # the one offset looked at is a marker's
    assert time.monotonic() - started < 5


async def test_reads_to_the_ends_it_saw_and_not_further(kafka: str, dsn: KafkaDsn, tenant: str) -> None:
    topic = await topic_of(kafka, tenant)
    await send(kafka, topic, range(300))
    sending = asyncio.create_task(send(kafka, topic, range(300, 20_000)))
    try:
        for _ in range(5):
            assert len(await last_records(dsn, topic, 60)) == 60
    finally:
        await sending


async def test_no_more_bytes_are_held_than_allowed(kafka: str, dsn: KafkaDsn, tenant: str) -> None:
    topic = await topic_of(kafka, tenant)
    await send(kafka, topic, range(60), size=1_000)
    records = await last_records(dsn, topic, 60, max_bytes=10_500)
    assert numbers(records) == list(range(50, 60))


async def test_a_broker_that_is_away_is_said_in_time(tenant: str) -> None:
    (port,) = free_ports(1)
    started = time.monotonic()
    with pytest.raises((KafkaError, OSError, TimeoutError)):
        await last_records(KafkaDsn.parse(f"127.0.0.1:{port}"), raw_topic(tenant), 10, timeout_s=2)
    assert time.monotonic() - started < 4


async def test_a_broker_that_says_nothing_is_given_up_in_time(tenant: str) -> None:
    released = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await released.wait()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        started = time.monotonic()
        with pytest.raises((KafkaError, OSError, TimeoutError)):
            await last_records(KafkaDsn.parse(f"127.0.0.1:{port}"), raw_topic(tenant), 10, timeout_s=1)
        assert time.monotonic() - started < 3
        released.set()
