"""The recommender's lag, against a real broker."""

import asyncio
import secrets

import pytest

from recommenders.lag import TailLag
from recommenders.tail import ValidatedTail
from schemas.clock import system_clock
from schemas.kafka import KafkaDsn
from schemas.lag import LagBoard
from schemas.topics import validated_topic
from tests.streams.live import fill, make_topic

pytestmark = pytest.mark.stack


def records_of(board: LagBoard, tenant: str) -> list[float]:
    return [
        sample.value
        for family in board.collect()
        for sample in family.samples
        if sample.name == "millrace_consumer_lag_records" and sample.labels["tenant"] == tenant
    ]


async def test_what_was_not_read_is_behind(kafka_server: str, kafka: KafkaDsn, tenant: str) -> None:
    board, tail = LagBoard(), ValidatedTail(kafka, group=f"test-{secrets.token_hex(4)}")
    lag = TailLag(tail, "recommend", system_clock, board=board)
    await make_topic(kafka_server, validated_topic(tenant))
    await fill(kafka_server, validated_topic(tenant), 100)
    await tail.open()
    try:
        await tail.discover()
        await lag.report()
        assert records_of(board, tenant) == [200]
        async with asyncio.timeout(20):
            while sum(p for tp, p in tail.positions.items() if tp.topic == validated_topic(tenant)) < 200:
                await tail.read()
        await lag.report()
        assert records_of(board, tenant) == [0]
    finally:
        await tail.close()


async def test_a_tail_without_partitions_reports_nobody(kafka: KafkaDsn) -> None:
    board, tail = LagBoard(), ValidatedTail(kafka, group=f"test-{secrets.token_hex(4)}")
    await TailLag(tail, "recommend", system_clock, board=board).report()
    assert not [sample for family in board.collect() for sample in family.samples]
