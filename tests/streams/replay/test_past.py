"""What a user's features were at a moment is what Redis held then."""

import random
import time
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from redis.asyncio import Redis

from schemas.event import Event
from schemas.keys import KeySpace
from streams.features.model import DAY_MS
from streams.features.sink import RedisFeatureSink
from streams.migrations import migrate
from streams.replay.past import PastFeatures, features_at
from streams.replay.past_rows import in_stream_order, read_past
from streams.rows import EVENT_COLUMNS, USER_BEHAVIORS, event_columns
from tests.e2e.traffic import make_traffic
from tests.factories import make_event
from tests.faults.scene import signals
from tests.streams.features.redis_content import parsed
from tracking_configs.judge import Arrival, Judge
from tracking_configs.registry import ConfigRegistry

COUNT = 1_500
PARTITIONS = 2
MOMENTS = 6


def accepted(tenant: str, now_ms: int, dice: random.Random) -> list[Event]:
    """In order of arrival, which is soon after the event or much later; each user's in one partition."""
    judge, offsets = Judge(ConfigRegistry()), [0] * PARTITIONS
    sent = make_traffic(tenant, count=COUNT, now_ms=now_ms).good
    given = list({event["event_id"]: event for event in sent}.values())  # a resend's row may replace the first one's
    arriving = sorted(
        (min(now_ms, event["timestamp"] + dice.choice((5, 50, 50, 400_000, 4_000_000))), place, event)
        for place, event in enumerate(given)
    )
    events = list[Event]()
    for arrival, _, event in arriving:
        partition = sum(event["user_id"].encode()) % PARTITIONS
        verdict = judge.judge(
            msgspec.json.encode(event),
            Arrival("kafka", arrival, tenant, topic="t", partition=partition, offset=offsets[partition]),
        )
        offsets[partition] += 1
        assert isinstance(verdict, Event)
        events.append(verdict)
    return events


async def held(redis: Redis, tenant: str, user: str, at_ms: int) -> dict[str, Any]:
    keys = KeySpace(tenant)
    session: Any = await redis.hgetall(keys.key("user:session", user))
    recent = [msgspec.json.decode(entry) for entry in await redis.lrange(keys.key("user:recent", user), 0, -1)]
    given: Any = await redis.hgetall(keys.key("user:heat", user, str(at_ms // DAY_MS)))
    return {
        "session": parsed({name.decode(): value.decode() for name, value in session.items()}),
        "recent": [tuple(entry) for entry in recent],
        "given": {item.decode(): float(weight) for item, weight in given.items()},
    }


def as_held(found: PastFeatures) -> dict[str, Any]:
    assert found.session
    return {"session": parsed(found.session), "recent": found.recent, "given": found.given}


async def test_the_features_of_any_moment_are_those_that_redis_held(
    clickhouse: AsyncClient, redis_client: Redis, tenant: str
) -> None:
    dice, now_ms = random.Random(3), time.time_ns() // 1_000_000
    events = accepted(tenant, now_ms, dice)
    await migrate(clickhouse)
    columns = event_columns(events)
    await clickhouse.insert(USER_BEHAVIORS, columns, column_names=list(EVENT_COLUMNS), column_oriented=True)
    sink = RedisFeatureSink(redis_client, signals)
    moments = [events[place].received_at for place in sorted(dice.sample(range(100, len(events)), MOMENTS))]
    fences: dict[int, int | None] = dict.fromkeys(range(PARTITIONS))
    for before, at_ms in pairwise([0, *moments]):
        due = [event for event in events if before < event.received_at <= at_ms]
        for partition in range(PARTITIONS):
            of_partition = [event for event in due if event.partition == partition]
            if of_partition:
                last = of_partition[-1].offset
                await sink.apply(tenant, partition, 1, fences[partition], last, of_partition)
                fences[partition] = last
            await sink.close_sessions(tenant, partition, 1, mark=sink.closing.at_clock(at_ms), most=3000)
        for user in dice.sample(sorted({event.user_id for event in events if event.received_at <= at_ms}), 5):
            past = await read_past(clickhouse, tenant, user, at_ms, sink.closing)
            found = features_at(past, user, at_ms, signals)
            expected = await held(redis_client, tenant, user, at_ms)
            if found.session is None:  # closed a day ago; Redis forgets it by its own clock
                assert expected["session"]["closed"] == "1"
            else:
                assert as_held(found) == expected


@pytest.mark.parametrize("skew", [0, 5000])
def test_records_come_in_the_order_of_their_partition(skew: int) -> None:
    events = [
        make_event(event_id="b", partition=0, offset=1, received_at=2000 - skew),
        make_event(event_id="a", partition=0, offset=0, received_at=1000),
        make_event(event_id="c", partition=1, offset=7, received_at=1500),
    ]
    order = [event.event_id for event in in_stream_order(events)]
    assert order == (["a", "b", "c"] if skew else ["a", "c", "b"])


async def test_a_user_without_events_has_no_past(clickhouse: AsyncClient, tenant: str) -> None:
    await migrate(clickhouse)
    sink_closing = RedisFeatureSink(Redis(), signals).closing
    assert not (await read_past(clickhouse, tenant, "nobody", 10**12, sink_closing)).events
