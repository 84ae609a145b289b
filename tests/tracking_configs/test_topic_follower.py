"""A follower of a compacted topic on real brokers."""

import asyncio
from collections.abc import AsyncIterator, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from infra.stack.kinds import NotSetUpError, StackKind
from infra.stack.ports import free_ports
from infra.stack.servers import build_server
from schemas.kafka import KafkaDsn
from tests.conftest import unavailable
from tracking_configs.compacted_topic import ensure_compacted_topic
from tracking_configs.topic_follower import TopicFollower

pytestmark = pytest.mark.stack

PATIENCE_S = 30.0
CHUNK = 10


@pytest.fixture
def dsn(kafka: str) -> KafkaDsn:
    return KafkaDsn.parse(kafka)


class StoreAwayError(Exception):
    """What a `take` may say of its own store."""


class Taker:
    """Keeps what it is given. `errors`: raised by the next calls, instead of taking."""

    def __init__(self, *errors: Exception) -> None:
        self.chunks: list[list[bytes | None]] = []
        self.told: list[bool] = []
        self._errors = list(errors)

    async def take(self, records: Sequence[ConsumerRecord]) -> None:
        if self._errors:
            raise self._errors.pop(0)
        self.chunks.append([record.value for record in records])

    @property
    def values(self) -> list[bytes | None]:
        return [value for chunk in self.chunks for value in chunk]


def make_follower(dsn: KafkaDsn, topic: str, taker: Taker) -> TopicFollower:
    return TopicFollower(
        dsn,
        topic,
        taker.take,
        name="test_feed",
        chunk=CHUNK,
        ensure=lambda: ensure_compacted_topic(dsn, topic, 1, {}),
        away=(StoreAwayError,),
        on_following=taker.told.append,
    )


@asynccontextmanager
async def following(dsn: KafkaDsn, topic: str, taker: Taker) -> AsyncIterator[TopicFollower]:
    follower = make_follower(dsn, topic, taker)
    try:
        await asyncio.wait_for(follower.start(), PATIENCE_S)
        yield follower
    finally:
        await follower.stop()


async def write(dsn: KafkaDsn, topic: str, values: Sequence[bytes | None]) -> None:
    async with AIOKafkaProducer(**dsn.client_options()) as producer:
        for number, value in enumerate(values):
            await producer.send(topic, value, key=b"%d" % number, partition=0)
        await producer.flush()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():
            await asyncio.sleep(0.02)


def of_follower(logs: Sequence[MutableMapping[str, Any]]) -> list[MutableMapping[str, Any]]:
    return [entry for entry in logs if entry["event"].startswith("test_feed")]


def numbered(first: int, end: int) -> list[bytes | None]:
    return [b"%d" % number for number in range(first, end)]


async def test_is_ready_with_all_that_was_there_and_takes_on(dsn: KafkaDsn, tenant: str) -> None:
    await ensure_compacted_topic(dsn, tenant, 1, {})
    await write(dsn, tenant, numbered(0, 35))
    taker = Taker()
    async with following(dsn, tenant, taker) as follower:
        assert taker.values == numbered(0, 35)
        assert follower.following
        await write(dsn, tenant, [*numbered(35, 40), None])
        await until(lambda: len(taker.values) == 41)
    assert taker.values == [*numbered(0, 40), None]
    assert max(map(len, taker.chunks)) <= CHUNK
    assert not follower.following
    assert taker.told == [True, False]


async def test_an_empty_topic_is_made_and_ready_at_once(dsn: KafkaDsn, tenant: str) -> None:
    async with following(dsn, tenant, Taker()) as follower:
        assert follower.following
    admin = AIOKafkaAdminClient(**dsn.client_options())
    await admin.start()
    try:
        (topic,) = await admin.describe_topics([tenant])
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, tenant)])
    finally:
        await admin.close()
    assert len(topic["partitions"]) == 1
    assert {entry[0]: entry[1] for entry in answer.resources[0][4]}["cleanup.policy"] == "compact"


async def test_two_followers_each_take_all_and_leave_no_group(dsn: KafkaDsn, tenant: str) -> None:
    await ensure_compacted_topic(dsn, tenant, 1, {})
    await write(dsn, tenant, numbered(0, 5))
    one, other = Taker(), Taker()
    async with following(dsn, tenant, one), following(dsn, tenant, other):
        assert one.values == other.values == numbered(0, 5)
    async with following(dsn, tenant, again := Taker()):
        assert again.values == numbered(0, 5), "nothing was committed"


async def test_an_outage_of_the_takers_store_is_waited_out_and_said_once(dsn: KafkaDsn, tenant: str) -> None:
    await ensure_compacted_topic(dsn, tenant, 1, {})
    await write(dsn, tenant, numbered(0, 5))
    taker = Taker(StoreAwayError("away"), StoreAwayError("still"))
    with structlog.testing.capture_logs() as logs:
        async with following(dsn, tenant, taker):
            assert taker.values == numbered(0, 5)
    assert [(entry["event"], entry["error"]) for entry in of_follower(logs)] == [("test_feed_lost", "away")]


async def test_any_other_error_of_the_taker_is_raised_to_who_waits(dsn: KafkaDsn, tenant: str) -> None:
    await ensure_compacted_topic(dsn, tenant, 1, {})
    await write(dsn, tenant, numbered(0, 5))
    with pytest.raises(ZeroDivisionError):
        async with following(dsn, tenant, Taker(ZeroDivisionError())):
            raise AssertionError("it was never ready")


@pytest.mark.parametrize("kind", ["embedded", pytest.param("native", marks=pytest.mark.native)])
async def test_a_broker_that_goes_is_noticed_and_waited_for_and_all_is_taken_again(
    kind: StackKind, tmp_path: Path
) -> None:
    port = free_ports(1)[0]
    dsn, topic, taker = KafkaDsn.parse(f"127.0.0.1:{port}"), "all-must-know", Taker()
    try:
        broker = build_server("kafka", kind, tmp_path, port)
        await broker.run()
    except NotSetUpError as error:
        unavailable(kind, str(error))
    try:
        with structlog.testing.capture_logs() as logs:
            async with following(dsn, topic, taker) as follower:
                await write(dsn, topic, numbered(0, 3))
                await until(lambda: len(taker.values) == 3)
                await broker.stop()  # killed, it would be let in again 9 s later
                await until(lambda: not follower.following)
                await asyncio.sleep(2.5)  # long enough for more attempts than one
                await broker.run()
                await until(lambda: follower.following)
                assert taker.values == [*numbered(0, 3), *numbered(0, 3)]
                await write(dsn, topic, numbered(3, 4))
                await until(lambda: taker.values[-1:] == numbered(3, 4))
        assert taker.told == [True, False, True, False]
        assert [entry["event"] for entry in of_follower(logs)] == ["test_feed_lost"]
    finally:
        await broker.stop(0)


async def test_waits_for_a_broker_that_is_away_and_stops_meanwhile() -> None:
    follower = make_follower(KafkaDsn.parse("127.0.0.1:1"), "all-must-know", Taker())
    starting = asyncio.create_task(follower.start())
    await asyncio.wait({starting}, timeout=1.5)
    assert not starting.done()
    assert not follower.following
    starting.cancel()
    await follower.stop()
