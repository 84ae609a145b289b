"""Shipping on a real broker: in order, into the twin partition, and not twice after a crash."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from schemas.topics import raw_topic, summaries_topic
from streams.features.closing import Summary
from streams.summaries import SEQUENCE_HEADER, summary_record
from streams.summary_shipper import SummaryShipper
from tests.factories import NOON
from tests.streams.live import make_config, make_topic, producer_client
from tests.streams.sessions import CODEC, shipped


def summary(sequence: str, user: str = "u1", **fields: str) -> Summary:
    held = {
        "session_id": f"ses_{sequence}",
        "scenario": "feed",
        "started_at": str(NOON),
        "last_at": str(NOON + 5),
        "closes_at": str(NOON + 9),
        "events": "3",
        "items": "2",
        "dwell_ms": "7",
        "device": "pc",
        "late": "1",
        "experiment": "exp/b",
        "a:play": "2",
        "a:click": "1",
    }
    return Summary(sequence, user, held | fields)


@asynccontextmanager
async def shipping(kafka: str, tenant: str) -> AsyncIterator[SummaryShipper]:
    shipper = SummaryShipper(make_config(kafka))
    try:
        yield shipper
    finally:
        await shipper.stop()


async def sequences(kafka: str, tenant: str) -> list[str]:
    return [dict(record.headers)[SEQUENCE_HEADER].decode() for record in await shipped(kafka, tenant)]


async def test_summaries_go_to_the_twin_partition_in_order(kafka: str, tenant: str) -> None:
    await make_topic(kafka, raw_topic(tenant))
    async with shipping(kafka, tenant) as shipper:
        assert await shipper.ship(tenant, 1, [summary("5-0", "a"), summary("5-1", "b")], None) == "5-1"
        assert await shipper.ship(tenant, 1, [summary("6-0", "c")], "5-1") == "6-0"
    records = await shipped(kafka, tenant)
    assert [(record.partition, record.key) for record in records] == [(1, b"a"), (1, b"b"), (1, b"c")]
    assert await sequences(kafka, tenant) == ["5-0", "5-1", "6-0"]


async def test_after_a_crash_between_the_writing_and_the_trimming_nothing_is_written_again(
    kafka: str, tenant: str
) -> None:
    """The next owner finds in the outbox what its predecessor wrote, and something new."""
    await make_topic(kafka, raw_topic(tenant))
    outbox = [summary("5-9"), summary("5-10")]
    async with shipping(kafka, tenant) as shipper:
        await shipper.ship(tenant, 0, outbox, None)
    async with shipping(kafka, tenant) as shipper:
        assert await shipper.ship(tenant, 0, outbox, None) == "5-10"
        assert await shipper.ship(tenant, 0, [*outbox, summary("5-11")], None) == "5-11"
    assert await sequences(kafka, tenant) == ["5-9", "5-10", "5-11"]


async def test_a_record_of_somebody_elses_says_nothing_of_what_is_there(kafka: str, tenant: str) -> None:
    for topic in (raw_topic(tenant), summaries_topic(tenant)):
        await make_topic(kafka, topic)
    async with producer_client(kafka) as producer:
        await producer.send_and_wait(summaries_topic(tenant), b"foreign", partition=0)
    async with shipping(kafka, tenant) as shipper:
        assert await shipper.ship(tenant, 0, [summary("1-0")], None) == "1-0"
    assert len(await shipped(kafka, tenant)) == 2


async def test_what_is_no_session_holds_up_nobody(kafka: str, tenant: str) -> None:
    await make_topic(kafka, raw_topic(tenant))
    async with shipping(kafka, tenant) as shipper:
        assert await shipper.ship(tenant, 0, [Summary("1-0", "", {}), summary("1-1"), summary("1-2", events="x")], None)
    assert await sequences(kafka, tenant) == ["1-1"]


def test_a_summary_says_what_the_hash_held() -> None:
    record = summary_record("acme", summary("7-1", "ann"))
    assert record.key == b"ann"
    assert record.headers == ((SEQUENCE_HEADER, b"7-1"),)
    assert CODEC.decode(record.value) == {
        "session_id": "ses_7-1",
        "tenant_id": "acme",
        "user_id": "ann",
        "scenario_id": "feed",
        "started_at": NOON,
        "ended_at": NOON + 5,
        "events": 3,
        "items": 2,
        "dwell_ms": 7,
        "actions": {"play": 2, "click": 1},
        "device_type": "pc",
        "experiment_id": "exp",
        "experiment_group": "b",
        "late": 1,
        "closed_at": NOON + 9,
    }


@pytest.mark.parametrize("fields", [{"events": "many"}, {"a:play": ""}])
def test_a_hash_of_nonsense_is_no_session(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        summary_record("acme", summary("7-1", **fields))
