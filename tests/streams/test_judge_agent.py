"""The judge on a real broker: raw topics in, validated and rejected topics out, partition for partition."""

import asyncio

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import NewPartitions

from schemas.dead_letter import decode_dead_letter
from schemas.kafka import KafkaDsn
from schemas.quality import QUALITY
from schemas.topics import raw_topic, rejected_topic, validated_topic
from schemas.validated import decode_event
from streams.publisher import Outgoing, Publisher
from streams.workers import run_judge
from tests.streams.fakes import FakeJudge
from tests.streams.live import admin_client, make_config, make_topic, producer_client, role

READ_S = 20


async def read(kafka: str, topic: str, partition: int, count: int) -> list[ConsumerRecord]:
    """The first `count` records of a partition; a topic is not asked for before it is there, or it would be made."""
    await wait_for_partitions(kafka, topic, partition + 1)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        tp = TopicPartition(topic, partition)
        consumer.assign([tp])
        records: list[ConsumerRecord] = []
        while len(records) < count:
            fetched = (await consumer.getmany(timeout_ms=READ_S * 1000)).get(tp)
            assert fetched, f"only {len(records)} of {count} records came"
            records += fetched
        return records
    finally:
        await consumer.stop()


async def partitions_of(kafka: str, topic: str) -> int:
    async with admin_client(kafka) as admin:
        described = await admin.describe_topics()
    return next((len(found["partitions"]) for found in described if found["topic"] == topic), 0)


async def wait_for_partitions(kafka: str, topic: str, count: int) -> None:
    async with asyncio.timeout(READ_S):
        while await partitions_of(kafka, topic) < count:
            await asyncio.sleep(0.1)


async def test_verdicts_go_to_the_twin_partition_in_raw_order(kafka: str, tenant: str) -> None:
    await make_topic(kafka, raw_topic(tenant), partitions=3)
    async with producer_client(kafka) as producer:
        for number in range(300):
            value = None if number % 100 == 50 else f"u{number}".encode()
            await producer.send(raw_topic(tenant), value, key=f"k{number}".encode(), partition=2)
    async with role(lambda stop, ready: run_judge(make_config(kafka), FakeJudge(), stop, ready)):
        records = await read(kafka, validated_topic(tenant), 2, 297)
        letters = await read(kafka, rejected_topic(tenant), 2, 3)
    events = [decode_event(record.value) for record in records]
    assert [event.offset for event in events] == [n for n in range(300) if n % 100 != 50]
    assert {event.tenant_id for event in events} == {tenant}
    assert [record.key for record in records[:2]] == [b"k0", b"k1"]
    assert [decode_dead_letter(letter.value).offset for letter in letters] == [50, 150, 250]
    assert [letter.key for letter in letters] == [b"k50", b"k150", b"k250"]
    assert await partitions_of(kafka, validated_topic(tenant)) == 3
    assert await partitions_of(kafka, rejected_topic(tenant)) == 3


async def test_counts_the_quality_of_each_record_once(kafka: str, tenant: str) -> None:
    await make_topic(kafka, raw_topic(tenant), partitions=1)
    async with producer_client(kafka) as producer:
        for value in (b"ann", b"bad", None, b"huge", b"bob"):
            await producer.send(raw_topic(tenant), value, key=b"k", partition=0)
    async with role(lambda stop, ready: run_judge(make_config(kafka), FakeJudge(), stop, ready)):
        await read(kafka, rejected_topic(tenant), 0, 3)
        async with asyncio.timeout(READ_S):  # counted just after both writes
            while not quality_of_stream(tenant):
                await asyncio.sleep(0.05)
    assert quality_of_stream(tenant) == {
        ("", "pass"): 2,
        ("", "warn"): 0,
        ("", "reject"): 3,
        ("user_id", "pass"): 4,
        ("user_id", "warn"): 0,
        ("user_id", "reject"): 1,
    }


def quality_of_stream(tenant: str) -> dict[tuple[str, str], float]:
    """(field, verdict) -> events, of a tenant without configs."""
    labels = {"place": "stream", "tenant": tenant, "scenario": "", "version": "0"}
    return {
        (sample.labels["field"], sample.labels["verdict"]): sample.value
        for family in QUALITY.collect()
        for sample in family.samples
        if labels.items() <= sample.labels.items()
    }


async def test_the_twins_grow_with_the_raw_topic(kafka: str, tenant: str) -> None:
    await make_topic(kafka, raw_topic(tenant), partitions=1)
    async with role(lambda stop, ready: run_judge(make_config(kafka), FakeJudge(), stop, ready)):
        async with producer_client(kafka) as producer:
            await producer.send_and_wait(raw_topic(tenant), b"first", partition=0)
            await read(kafka, validated_topic(tenant), 0, 1)
            async with admin_client(kafka) as admin:
                await admin.create_partitions({raw_topic(tenant): NewPartitions(2)})
            await producer.client.force_metadata_update()
            await producer.send_and_wait(raw_topic(tenant), b"second", partition=1)
        (record,) = await read(kafka, validated_topic(tenant), 1, 1)
    assert decode_event(record.value).user_id == "second"


async def test_a_publisher_sends_more_than_a_request_holds_in_order(kafka: str, tenant: str) -> None:
    topic = validated_topic(tenant)
    await make_topic(kafka, topic, partitions=1)
    publisher = Publisher(KafkaDsn.parse(kafka))
    values = [bytes([number % 256]) * size for number, size in enumerate([10, 600_000, 300_000, 300_000, 1, 900_000])]
    try:
        await publisher.publish(topic, 0, [Outgoing(None, value) for value in values])
    finally:
        await publisher.stop()
    assert [record.value for record in await read(kafka, topic, 0, len(values))] == values


async def test_a_publisher_that_gave_up_goes_on_with_a_new_producer(kafka: str, tenant: str) -> None:
    topic = validated_topic(tenant)
    await make_topic(kafka, topic, partitions=1)
    publisher = Publisher(KafkaDsn.parse(kafka))
    await publisher.start()
    try:
        await publisher._give_up(await publisher._current())
        await publisher.publish(topic, 0, [Outgoing(b"k", b"v")])
    finally:
        await publisher.stop()
    assert [record.value for record in await read(kafka, topic, 0, 1)] == [b"v"]
