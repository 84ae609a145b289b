"""The broker's disk is full: doors and producers are refused, and nothing that was acknowledged is lost."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from ingest_api.publisher import EventPublisher, PublisherSettings
from ingest_api.tenant_topics import TopicSettings
from schemas.clock import system_clock
from schemas.kafka import KafkaDsn
from schemas.topics import raw_topic
from tests.e2e.traffic import make_traffic
from tests.faults.scene import MARKS, Scene, eventually, native_scene
from tests.faults.small_disk import small_disk
from tests.faults.traffic import Clients, make_sent
from tests.ingest_api.doors import http_door

pytestmark = [*MARKS, pytest.mark.long]
DISK_MIB = 64
BEFORE = 2_000
BY_DOOR = 120
BY_RAW = 200
AT_ONCE = 40
TAKEN, UNAVAILABLE = 200, 503

Events = Mapping[str, dict[str, Any]]


async def test_a_full_disk_refuses_and_loses_nothing_that_was_acknowledged(tenant: str, tmp_path: Path) -> None:
    now_ms = system_clock()
    by_door, by_raw = events_of(tenant, "door", BY_DOOR), events_of(tenant, "raw", BY_RAW)
    with small_disk(tmp_path / "kafka", DISK_MIB) as disk:
        async with native_scene(tenant, tmp_path) as scene, scene.worker(), door_of(scene) as door:
            async with Clients(scene.kafka_dsn, tenant) as clients:
                await clients.send(make_sent(tenant, count=BEFORE, now_ms=now_ms))
            taken = await send_by_door(door, dict(islice(by_door.items(), BY_DOOR // 2)))
            assert len(taken) == BY_DOOR // 2
            disk.fill()
            some, others = await asyncio.gather(send_by_door(door, by_door), send_raw(scene, by_raw))
            assert not by_door.keys() <= some, "all were taken by a broker whose disk is full"
            assert not by_raw.keys() <= others
            taken |= some | others
            await asyncio.wait_for(scene.kafka.wait(), 60)  # a broker that cannot write ends
            disk.free()
            await scene.kafka.run()
            assert await eventually(lambda: send_by_door(door, by_door), by_door.keys().__le__)
            assert await send_raw(scene, by_raw) == by_raw.keys()
            expected = await scene.assert_exact()
    in_kafka = {event.event_id for event in expected.accepted if event.event_id.startswith(("door", "raw"))}
    assert taken <= in_kafka
    assert in_kafka == by_door.keys() | by_raw.keys()


def events_of(tenant: str, name: str, count: int) -> Events:
    made = make_traffic(tenant, count=2 * count, now_ms=system_clock(), seed=count).good
    changed = [each | {"event_id": f"{name}-{each['event_id']}", "user_id": f"{name}-user"} for each in made]
    return dict(islice(((each["event_id"], each) for each in changed), count))


@asynccontextmanager
async def door_of(scene: Scene) -> AsyncIterator[httpx.AsyncClient]:
    """The HTTP door over this broker, in this process."""
    publisher: Any = EventPublisher(
        KafkaDsn.parse(scene.kafka_dsn), PublisherSettings(topics=TopicSettings(open_tenants=False))
    )
    await publisher.start()
    try:
        async with http_door(publisher, parts={"clock": system_clock}) as door:
            yield door
    finally:
        await publisher.stop()


async def send_by_door(door: httpx.AsyncClient, events: Events) -> set[str]:
    """Those that were taken; every other was answered with 503 and when to come back."""
    places = asyncio.Semaphore(AT_ONCE)

    async def send(event: dict[str, Any]) -> httpx.Response:
        async with places:
            return await door.post("/api/v1/behaviors/track", json=event)

    answers = dict(zip(events, await asyncio.gather(*map(send, events.values())), strict=True))
    assert {answer.status_code for answer in answers.values()} <= {TAKEN, UNAVAILABLE}
    assert all("retry-after" in answer.headers for answer in answers.values() if answer.status_code == UNAVAILABLE)
    return {event_id for event_id, answer in answers.items() if answer.status_code == TAKEN}


async def send_raw(scene: Scene, events: Events) -> set[str]:
    """Those that the broker acknowledged to a producer with acks=all that waits for a few seconds only."""
    producer = AIOKafkaProducer(bootstrap_servers=scene.kafka_dsn, acks="all", request_timeout_ms=3000)
    taken: set[str] = set()
    try:
        await producer.start()
        for event_id, event in events.items():
            value, key = msgspec.json.encode(event), event["user_id"].encode()
            await producer.send_and_wait(raw_topic(scene.tenant), value, key=key)
            taken.add(event_id)
    except KafkaError:
        pass  # what it was in the midst of may have been taken all the same
    finally:
        await producer.stop()
    return taken
