"""Past events, read from real servers."""

from collections.abc import Callable
from typing import Any

import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient

from ingest_api.event_store import EventStore
from ingest_api.past_events import DAY_MS, HOUR_MS, past_events, raw_events, stored_events
from schemas.dead_letter import dead_letter, encode_dead_letter
from schemas.event import Event
from schemas.kafka import KafkaDsn
from schemas.topics import raw_topic, rejected_topic
from schemas.validated import encode_event
from schemas.verdict import Code, Issue
from streams.clickhouse_sink import ClickHouseSink
from streams.migrations import migrate
from streams.rows import rows_of
from tests.factories import NOON, make_event
from tests.streams.fakes import FakeRecord, batch_of
from tests.streams.live import make_topic, producer_client
from tests.tracking_configs.factories import encode, template_config
from tracking_configs.past_event import PastEvent, RefusedEvent, TakenEvent
from tracking_configs.preview import Counts, preview

pytestmark = pytest.mark.stack

NOW = NOON + DAY_MS
WRONG = (Issue("a", Code.MISSING, "is required"),)


def clock() -> int:
    return NOW


@pytest.fixture
def dsn(kafka: str) -> KafkaDsn:
    return KafkaDsn.parse(kafka)


@pytest.fixture
async def store(clickhouse: AsyncClient) -> EventStore:
    """Over the tables of a database of its own; the fixture below closes its client."""
    await migrate(clickhouse)

    async def opened() -> AsyncClient:
        return clickhouse

    return EventStore(opened)


@pytest.fixture
def accepted(tenant: str) -> Callable[..., Event]:
    """Accepted event number i, which came in i milliseconds after noon."""

    def make(number: int, **parts: Any) -> Event:
        place = {"event_id": f"e{number}", "tenant_id": tenant, "offset": number, "received_at": NOON + number}
        return make_event(**place | parts)

    return make


async def insert(clickhouse: AsyncClient, *events: Event) -> None:
    records = [FakeRecord(event.offset, encode_event(event), topic="validated-behaviors-acme") for event in events]
    batch = batch_of(*records)
    await ClickHouseSink(clickhouse).insert([batch], [rows_of(batch)])


async def send(kafka: str, topic: str, values: list[bytes | None]) -> None:
    """One record a millisecond, from noon."""
    await make_topic(kafka, topic, 2)
    async with producer_client(kafka) as producer:
        for number, value in enumerate(values):
            place = {"partition": number % 2, "timestamp_ms": NOON + number}
            await producer.send(topic, value, key=b"k", **place)
        await producer.flush()


def letter(tenant: str, number: int, original: bytes) -> bytes:
    """The dead letter of a record that came in `number` milliseconds after noon."""
    where = {"topic": raw_topic(tenant), "partition": 0, "offset": number, "timestamp": NOON + number}
    return encode_dead_letter(dead_letter(original, WRONG, **where))  # type: ignore[arg-type]


def arrivals(events: list[PastEvent]) -> list[int]:
    return [event.received_at - NOON for event in events]


FEED = b'{"scenario_id":"vlog_feed"}'


async def test_accepted_and_rejected_events_are_merged_by_arrival(
    store: EventStore, clickhouse: AsyncClient, kafka: str, dsn: KafkaDsn, tenant: str, accepted: Callable[..., Event]
) -> None:
    await insert(clickhouse, accepted(0), accepted(2), accepted(4))
    await send(kafka, rejected_topic(tenant), [letter(tenant, number, FEED) for number in (1, 3, 5)])
    events = await past_events(store, dsn, tenant, "vlog_feed", 100, clock)
    assert arrivals(events) == [0, 1, 2, 3, 4, 5]
    assert [isinstance(event, TakenEvent) for event in events] == [True, False] * 3
    assert arrivals(await past_events(store, dsn, tenant, "vlog_feed", 4, clock)) == [2, 3, 4, 5]


async def test_an_accepted_event_comes_with_all_that_a_config_judges(
    store: EventStore, clickhouse: AsyncClient, dsn: KafkaDsn, tenant: str, accepted: Callable[..., Event]
) -> None:
    unknown = Issue("surplus", Code.UNKNOWN_FIELD, "not stored")
    warnings = (unknown, Issue("scenario_data.video_data.x", Code.UNDECLARED_FIELD, "not declared"))
    data = '{"video_data":{"x":"标准"}}'
    await insert(clickhouse, accepted(0, scenario_data=data, validation_warnings=warnings), accepted(1))
    first, second = await past_events(store, dsn, tenant, "vlog_feed", 10, clock)
    assert isinstance(first, TakenEvent)
    assert isinstance(second, TakenEvent)
    assert first.base_warnings == (unknown,)
    assert (first.event_id, first.action_type, first.timestamp) == ("e0", "play", NOON)
    assert bytes(first.scenario_data).decode() == data
    assert (bytes(second.scenario_data), second.base_warnings) == (b"", ())
    assert first.body.decode().endswith(
        '"context":{"device_type":"mobile"},"scenario_data":{"video_data":{"x":"标准"}}}'
    )


async def test_other_scenarios_and_tenants_are_left_out(
    store: EventStore, clickhouse: AsyncClient, kafka: str, dsn: KafkaDsn, tenant: str, accepted: Callable[..., Event]
) -> None:
    await insert(clickhouse, accepted(0), accepted(1, scenario_id="other"), accepted(2, tenant_id="globex"))
    originals = [FEED, b'{"scenario_id":"other"}', b'{"scenario_id":7}', b'["vlog_feed"]', b"{", b"", b"\xff"]
    foreign = [b"no letter", None, b'{"original":"?"}']
    letters = [letter(tenant, number, original) for number, original in enumerate(originals)]
    await send(kafka, rejected_topic(tenant), [*letters, *foreign])
    events = await past_events(store, dsn, tenant, "vlog_feed", 100, clock)
    assert arrivals(events) == [0, 0]


async def test_what_was_resent_or_written_twice_counts_once(
    store: EventStore, clickhouse: AsyncClient, kafka: str, dsn: KafkaDsn, tenant: str, accepted: Callable[..., Event]
) -> None:
    for received_at in (NOON, NOON + 7):
        await insert(clickhouse, accepted(0, received_at=received_at, offset=received_at))
    await send(kafka, rejected_topic(tenant), [letter(tenant, 3, FEED)] * 3)
    assert arrivals(await past_events(store, dsn, tenant, "vlog_feed", 100, clock)) == [3, 7]


async def test_events_older_than_a_day_fill_up_what_is_missing(
    store: EventStore, clickhouse: AsyncClient, dsn: KafkaDsn, tenant: str, accepted: Callable[..., Event]
) -> None:
    await insert(clickhouse, accepted(0), *(accepted(number - DAY_MS) for number in range(3)))
    assert arrivals(await past_events(store, dsn, tenant, "vlog_feed", 3, clock)) == [1 - DAY_MS, 2 - DAY_MS, 0]
    assert arrivals(await past_events(store, dsn, tenant, "vlog_feed", 1, clock)) == [0]


async def test_a_late_event_counts_by_its_arrival(
    store: EventStore, clickhouse: AsyncClient, dsn: KafkaDsn, tenant: str, accepted: Callable[..., Event]
) -> None:
    await insert(clickhouse, accepted(0), accepted(5, timestamp=NOON - 90 * DAY_MS))
    assert arrivals(await past_events(store, dsn, tenant, "vlog_feed", 1, clock)) == [5]


async def test_a_dead_letter_older_than_all_accepted_ones_that_were_looked_at_is_left_out(
    store: EventStore, clickhouse: AsyncClient, kafka: str, dsn: KafkaDsn, tenant: str, accepted: Callable[..., Event]
) -> None:
    resent = [accepted(9, received_at=NOON + at, offset=at) for at in (9, 8)]
    for event in (*resent, accepted(2)):
        await insert(clickhouse, event)
    await send(kafka, rejected_topic(tenant), [letter(tenant, number, FEED) for number in (1, 10)])
    assert arrivals(await past_events(store, dsn, tenant, "vlog_feed", 2, clock)) == [9, 10]


async def test_a_scenario_without_events_has_none(store: EventStore, dsn: KafkaDsn, tenant: str) -> None:
    assert await past_events(store, dsn, tenant, "vlog_feed", 10, clock) == []
    assert await raw_events(dsn, tenant, "vlog_feed", 10) == []
    assert await stored_events(store, tenant, "vlog_feed", 24, 10, clock) == []


async def test_past_events_can_be_previewed(
    store: EventStore, clickhouse: AsyncClient, kafka: str, dsn: KafkaDsn, tenant: str, accepted: Callable[..., Event]
) -> None:
    await insert(clickhouse, *(accepted(number) for number in range(3)))
    await send(kafka, rejected_topic(tenant), [letter(tenant, 1, FEED)])
    events = await past_events(store, dsn, tenant, "vlog_feed", 100, clock)
    assert sum(isinstance(event, RefusedEvent) for event in events) == 1
    found = preview(events, None, template_config("video", "vlog_feed"))
    assert (found.now, found.then) == (Counts(0, 3, 1), Counts(3, 0, 1))


async def test_stored_events_are_as_a_client_sends_them(
    store: EventStore, clickhouse: AsyncClient, tenant: str, accepted: Callable[..., Event]
) -> None:
    whole = accepted(1, position=3, experiment_id="x", scenario_data='{"video_data":{"duration":3}}', extra_data="{}")
    await insert(clickhouse, accepted(0), whole, accepted(3 - DAY_MS))
    base = {"tenant_id": tenant, "scenario_id": "vlog_feed", "user_id": "u1", "item_id": "i1", "action_type": "play"}
    base |= {"timestamp": NOON, "context": {"device_type": "mobile"}}  # type: ignore[dict-item]
    parts = {"position": 3, "experiment_id": "x", "scenario_data": {"video_data": {"duration": 3}}, "extra_data": {}}
    expected = [base | {"event_id": "e0"}, base | {"event_id": "e1"} | parts]
    assert await stored_events(store, tenant, "vlog_feed", 24, 10, clock) == expected
    assert await stored_events(store, tenant, "vlog_feed", 24, 1, clock) == expected[1:]
    assert len(await stored_events(store, tenant, "vlog_feed", 48, 10, clock)) == 3
    assert clock() - 24 * HOUR_MS == NOON


async def test_raw_events_are_the_newest_readable_ones_of_the_scenario(kafka: str, dsn: KafkaDsn, tenant: str) -> None:
    bodies = [{"scenario_id": "vlog_feed", "number": number} for number in range(5)]
    too_deep = b'{"scenario_id":"vlog_feed","x":' + b"[" * 20 + b"]" * 20 + b"}"
    too_large = encode({"scenario_id": "vlog_feed", "x": "x" * 70_000})
    odd = [None, b"{", b"7", b'{"scenario_id":"other"}', b'{"scenario_id":"vlog_feed","x":"\xff"}', too_deep, too_large]
    await send(kafka, raw_topic(tenant), [*map(encode, bodies), *odd])
    assert await raw_events(dsn, tenant, "vlog_feed", 100) == bodies
    assert await raw_events(dsn, tenant, "vlog_feed", 2) == bodies[3:]
