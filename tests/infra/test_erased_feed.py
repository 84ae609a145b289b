"""Every process learns who was erased, by a real broker."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer

from infra.erased_feed import ErasedFeed
from ingest_api.erased_list import ErasedList
from schemas.erased import ErasedUsers, Later
from schemas.kafka import KafkaDsn
from schemas.topics import ERASED_USERS
from tests.schemas.test_erased import KEY, erasure

PATIENCE_S = 30.0
pytestmark = pytest.mark.stack


class Keys:
    """Finds the key, from the `fails`th asking on."""

    def __init__(self, fails: int = 0) -> None:
        self.asked = 0
        self._fails = fails

    async def find(self) -> bytes | None:
        self.asked += 1
        if self.asked <= self._fails:
            raise OSError("the store is away")
        return KEY


@asynccontextmanager
async def following(kafka: str, keys: Keys) -> AsyncIterator[ErasedUsers]:
    """The list of a process that has started."""
    erased = ErasedUsers(Later.REFUSE)
    feed = ErasedFeed(erased, KafkaDsn.parse(kafka), keys.find)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await feed.start()
        yield erased
    finally:
        await feed.stop()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():
            await asyncio.sleep(0.02)


def knows(erased: ErasedUsers, tenant: str, user: str) -> bool:
    erasures = erased.of(tenant)
    return erasures is not None and erasures.among([user]) == [user]


async def test_a_running_process_hears_and_one_that_starts_knows(kafka: str, tenant: str) -> None:
    told = ErasedList(KafkaDsn.parse(kafka))
    async with following(kafka, Keys()) as erased:
        assert erased.of(tenant) is None
        await told.add(erasure(tenant, "u1"))
        await until(lambda: knows(erased, tenant, "u1"))
        assert not knows(erased, tenant, "u2")
    async with following(kafka, Keys()) as erased:
        assert knows(erased, tenant, "u1")


async def test_what_is_no_record_or_of_another_key_holds_up_nothing(kafka: str, tenant: str) -> None:
    told = ErasedList(KafkaDsn.parse(kafka))
    await told.add(erasure(tenant, "u1", b"another key of the tests"))
    producer = AIOKafkaProducer(**KafkaDsn.parse(kafka).client_options())
    await producer.start()
    for value in (b"no record", None, b"\xff"):
        await producer.send_and_wait(ERASED_USERS, value, key=b"somebody's", partition=0)
    await producer.stop()
    await told.add(erasure(tenant, "u2"))
    async with following(kafka, Keys()) as erased:
        assert not knows(erased, tenant, "u1")
        assert knows(erased, tenant, "u2")


async def test_a_process_starts_once_the_key_is_found(kafka: str, tenant: str) -> None:
    await ErasedList(KafkaDsn.parse(kafka)).add(erasure(tenant, "u1"))
    keys = Keys(fails=2)
    async with following(kafka, keys) as erased:
        assert knows(erased, tenant, "u1")
    assert keys.asked == 3
