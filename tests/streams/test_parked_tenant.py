"""A tenant whose release is bad, on a real broker: parked, the others served, and afterwards on where it stood."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.dead_letter import decode_dead_letter
from schemas.topics import raw_topic, rejected_topic, validated_topic
from schemas.validated import decode_event
from streams.breaker import BreakerSettings
from streams.config import StreamConfig
from streams.judge_agent import JudgeStep
from streams.parking import Parking
from tests.factories import make_body
from tests.streams.live import committed, make_config, make_topic, producer_client, running
from tests.tracking_configs.factories import make_registry, template_config
from tracking_configs.judge import Judge
from tracking_configs.model import TrackingConfig
from tracking_configs.registry import ConfigRegistry

PARTITIONS = 2
EVENTS = 8000  # of the bad release
BATCH = 500
WAIT_S = 30


def strict(tenant: str) -> TrackingConfig:
    return msgspec.structs.replace(template_config("video", enforcement="reject"), tenant_id=tenant)


def lenient(tenant: str) -> TrackingConfig:
    return msgspec.structs.replace(template_config("video"), tenant_id=tenant, version=2)


def event(tenant: str, number: int) -> bytes:
    """An event whose duration only a lenient config takes."""
    data = {"video_data": {"duration": 0, "watch_duration": 1, "completion_rate": 0.5}}
    body = make_body(event_id=f"e{number}", tenant_id=tenant, action_type="play_end", scenario_data=data)
    return msgspec.json.encode(body)


async def send(kafka: str, tenant: str, numbers: Iterable[int]) -> None:
    async with producer_client(kafka) as producer:
        for number in numbers:
            await producer.send(raw_topic(tenant), event(tenant, number), partition=number % PARTITIONS)
        await producer.flush()


async def read_all(kafka: str, topic: str) -> list[tuple[int, bytes]]:
    """(partition, value) of what the topic holds now."""
    places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        found: list[tuple[int, bytes]] = []
        while any([await consumer.position(place) < ends[place] for place in places]):
            for place, records in (await consumer.getmany(timeout_ms=1000)).items():
                found += [(place.partition, record.value) for record in records]
        return found
    finally:
        await consumer.stop()


async def validated(kafka: str, tenant: str) -> list[tuple[int, int]]:
    """(raw partition, raw offset)"""
    return [(place, decode_event(value).offset) for place, value in await read_all(kafka, validated_topic(tenant))]


async def letters(kafka: str, tenant: str) -> list[tuple[int, int]]:
    """(partition, raw offset), partition by partition."""
    found = await read_all(kafka, rejected_topic(tenant))
    return sorted((place, decode_dead_letter(value).offset) for place, value in found)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.05)


async def until_validated(kafka: str, tenant: str, count: int) -> list[tuple[int, int]]:
    async with asyncio.timeout(WAIT_S):
        while len(found := await validated(kafka, tenant)) < count:
            await asyncio.sleep(0.2)
    return found


@asynccontextmanager
async def judging(config: StreamConfig, registry: ConfigRegistry, parking: Parking) -> AsyncIterator[None]:
    """A judge worker at work."""
    step = JudgeStep(config, Judge(registry), parking=parking)
    try:
        async with running(config, step):
            yield
    finally:
        await step.stop()


async def test_one_tenant_is_parked_and_goes_on_where_it_stood_while_the_other_is_judged(
    kafka: str, tenant: str
) -> None:
    bad, good = f"{tenant}-bad", f"{tenant}-good"
    registry = make_registry(strict(bad))
    config = make_config(kafka, max_batch_records=BATCH)
    parking = Parking("judge")
    for name in (bad, good):
        for topic in (raw_topic(name), validated_topic(name), rejected_topic(name)):
            await make_topic(kafka, topic, PARTITIONS)
    await send(kafka, bad, range(EVENTS))

    async with judging(config, registry, parking):
        started = time.monotonic()
        await until(lambda: parking.is_parked(bad))
        assert time.monotonic() - started < 5
        await send(kafka, good, range(1000))
        await until_validated(kafka, good, 1000)
        written = await letters(kafka, bad)
        assert BreakerSettings().min_events <= len(written) <= 2 * BATCH
        await send(kafka, good, range(1000, 2000))
        assert len(await until_validated(kafka, good, 2000)) == 2000
        assert await letters(kafka, bad) == written
        assert await validated(kafka, bad) == []
        await offsets_are(kafka, config, bad, written)

        registry.apply(lenient(bad))
        taken = await until_validated(kafka, bad, EVENTS - len(written))
        assert not parking.is_parked(bad)

    assert await letters(kafka, bad) == written
    everything = {(partition, offset) for partition in range(PARTITIONS) for offset in range(EVENTS // PARTITIONS)}
    assert len(taken) + len(written) == EVENTS
    assert {*taken, *written} == everything


async def offsets_are(kafka: str, config: StreamConfig, tenant: str, written: list[tuple[int, int]]) -> None:
    """No further than what was written has the group committed."""
    offsets = await committed(kafka, config.group("judge"), raw_topic(tenant))
    for partition, offset in offsets.items():
        assert offset <= max((found + 1 for place, found in written if place == partition), default=0)


async def test_a_worker_that_is_stopped_while_a_tenant_is_parked_loses_and_repeats_nothing(
    kafka: str, tenant: str
) -> None:
    registry = make_registry(strict(tenant))
    config = make_config(kafka, max_batch_records=BATCH)
    for topic in (raw_topic(tenant), validated_topic(tenant), rejected_topic(tenant)):
        await make_topic(kafka, topic, PARTITIONS)
    await send(kafka, tenant, range(EVENTS))

    first = Parking("judge")
    async with judging(config, registry, first):
        await until(lambda: first.is_parked(tenant))
        await asyncio.sleep(0.5)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < config.drain_timeout_s
    registry.apply(lenient(tenant))
    written = await letters(kafka, tenant)
    async with judging(config, registry, Parking("judge")):
        taken = await until_validated(kafka, tenant, EVENTS - len(written))
    assert sorted([*taken, *written]) == sorted(
        (partition, offset) for partition in range(PARTITIONS) for offset in range(EVENTS // PARTITIONS)
    )
