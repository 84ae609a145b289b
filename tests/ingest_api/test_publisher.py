"""The publisher over a real broker."""

import asyncio
import itertools
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from infra.stack.kafka import kafka_server
from infra.stack.ports import free_ports
from ingest_api.errors import BrokerUnavailable, TenantUnknown
from ingest_api.publisher import EventPublisher, PublisherSettings
from ingest_api.tenant_topics import TopicSettings
from schemas.kafka import KafkaDsn
from schemas.topics import raw_topic

UP_TIMEOUT_S = 60.0
DEADLINE_S = 1.0


@asynccontextmanager
async def publishing(
    kafka: str, *, deadline_s: float = 3.0, max_pending: int = 100, **topics: Any
) -> AsyncIterator[EventPublisher]:
    settings = PublisherSettings(
        deadline_s=deadline_s, max_pending=max_pending, topics=TopicSettings(partitions=4, **topics)
    )
    publisher = EventPublisher(KafkaDsn.parse(kafka), settings)
    await publisher.start()
    try:
        await until_up(publisher)
        yield publisher
    finally:
        await publisher.stop()


async def until_up(publisher: EventPublisher) -> None:
    async with asyncio.timeout(UP_TIMEOUT_S):
        while not await publisher.is_available():
            pass  # the probe itself waits


async def records_of(kafka: str, tenant: str) -> list[Any]:
    """Everything on the tenant's raw topic, partition by partition."""
    consumer = AIOKafkaConsumer(
        raw_topic(tenant), bootstrap_servers=kafka, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        found: list[Any] = []
        while len(found) < sum(ends.values()):
            for batch in (await consumer.getmany(timeout_ms=1000)).values():
                found += batch
        return found
    finally:
        await consumer.stop()


async def test_an_acknowledged_event_stands_on_the_tenants_topic(kafka: str, tenant: str) -> None:
    async with publishing(kafka) as publisher:
        assert not publisher.knows(tenant)
        await publisher.publish(tenant, "用户", b'{"n":1}', "http", "00-aa-bb-01")
        assert publisher.knows(tenant)
    (record,) = await records_of(kafka, tenant)
    assert (record.key.decode(), record.value) == ("用户", b'{"n":1}')
    assert dict(record.headers) == {"millrace-source": b"http", "traceparent": b"00-aa-bb-01"}
    assert record.timestamp_type == 1  # LogAppendTime: when it arrived, whoever sent it


async def test_makes_the_topic_as_it_was_told_to(kafka: str, tenant: str) -> None:
    async with publishing(kafka) as publisher:
        await asyncio.gather(*(publisher.publish(tenant, f"u{n}", b"{}", "http") for n in range(20)))
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        (topic,) = await admin.describe_topics([raw_topic(tenant)])
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, raw_topic(tenant))])
    finally:
        await admin.close()
    assert len(topic["partitions"]) == 4
    configs = {row[0]: row[1] for row in answer.resources[0][4]}
    assert configs["message.timestamp.type"] == "LogAppendTime"
    assert configs["retention.ms"] == str(7 * 24 * 3600 * 1000)


async def test_makes_no_more_tenants_than_it_may(kafka: str, tenant: str) -> None:
    async with publishing(kafka) as first:
        await first.publish(tenant, "u", b"{}", "http")
    async with publishing(kafka, max_tenants=1) as publisher:
        await publisher.publish(tenant, "u", b"{}", "http")
        with pytest.raises(TenantUnknown):
            await publisher.publish(f"{tenant}-too", "u", b"{}", "http")
        with pytest.raises(TenantUnknown):
            await publisher.check(f"{tenant}-too")
        assert not publisher.knows(f"{tenant}-too")


async def test_a_closed_door_serves_tenants_made_elsewhere_only(kafka: str, tenant: str) -> None:
    async with publishing(kafka, open_tenants=False) as closed, publishing(kafka) as opener:
        with pytest.raises(TenantUnknown):
            await closed.publish(tenant, "u", b"{}", "http")
        await opener.publish(tenant, "u", b"{}", "http")
        async with asyncio.timeout(5):
            while True:  # it looks again at most once a second
                try:
                    await closed.publish(tenant, "u", b"{}", "http")
                    break
                except TenantUnknown:
                    await asyncio.sleep(0.1)
    assert len(await records_of(kafka, tenant)) == 2


async def test_checking_a_tenant_makes_nothing(kafka: str, tenant: str) -> None:
    async with publishing(kafka) as publisher:
        await publisher.check(tenant)
        assert not publisher.knows(tenant)


async def test_refuses_before_it_holds_too_many(kafka: str, tenant: str) -> None:
    async with publishing(kafka, max_pending=2) as publisher:
        await publisher.publish(tenant, "u", b"{}", "http")
        answers = await asyncio.gather(
            *(publisher.publish(tenant, "u", b"{}", "http") for _ in range(5)), return_exceptions=True
        )
    refused = [answer for answer in answers if isinstance(answer, BrokerUnavailable)]
    assert len(refused) == 3
    assert not any(answer.outcome_unknown for answer in refused)
    assert len(await records_of(kafka, tenant)) == 3


async def test_nothing_is_taken_where_no_broker_is() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        publisher = EventPublisher(KafkaDsn.parse(f"127.0.0.1:{unused.getsockname()[1]}"))
        await publisher.start()
        try:
            assert not await publisher.is_available()
            with pytest.raises(BrokerUnavailable) as caught:
                await publisher.publish("acme", "u", b"{}", "http")
        finally:
            await publisher.stop()
    assert not caught.value.outcome_unknown
    assert caught.value.retry_after_s > 0


@pytest.mark.stack
@pytest.mark.parametrize("silent", [False, True], ids=["killed", "silent"])
async def test_answers_within_its_deadline_and_recovers(tmp_path: Path, tenant: str, silent: bool) -> None:
    """What was acknowledged is there, once; what was said not to be taken is not there."""
    port = free_ports(1)[0]
    broker = kafka_server("embedded", tmp_path / "data", tmp_path / "log", port)
    await broker.run()
    numbers = itertools.count()
    outcomes: dict[str, list[bytes]] = {"taken": [], "refused": [], "unknown": []}

    async def send(publisher: EventPublisher) -> None:
        value = b"%d" % next(numbers)
        try:
            async with asyncio.timeout(DEADLINE_S + 1):
                await publisher.publish(tenant, f"u{value!r}", value, "http")
            outcomes["taken"].append(value)
        except BrokerUnavailable as error:
            outcomes["unknown" if error.outcome_unknown else "refused"].append(value)

    async def send_until(publisher: EventPublisher, outcome: str) -> None:
        before = len(outcomes[outcome])
        async with asyncio.timeout(UP_TIMEOUT_S):
            while len(outcomes[outcome]) == before:
                await asyncio.gather(*(send(publisher) for _ in range(5)))

    try:
        async with publishing(f"127.0.0.1:{port}", deadline_s=DEADLINE_S) as publisher:
            for _ in range(10):
                await send_until(publisher, "taken")
            broker.signal(signal.SIGSTOP if silent else signal.SIGKILL)
            await send_until(publisher, "refused")
            if silent:
                broker.signal(signal.SIGCONT)
            else:
                await broker.wait()
                await broker.run()
            await send_until(publisher, "taken")
        found = [record.value for record in await records_of(f"127.0.0.1:{port}", tenant)]
    finally:
        broker.signal(signal.SIGCONT)
        await broker.stop()
    assert sorted(set(found) - set(outcomes["unknown"])) == sorted(outcomes["taken"])
    assert len(found) == len(set(found))
