"""The script that closes sessions: its fence, its bounds, and what it leaves alone."""

from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from schemas.event import Event
from schemas.keys import KeySpace
from streams.features.closing import Closed, Summary, id_behind, parse_closed, sequence_key
from streams.features.errors import FenceUnreadable, SinkUnavailable
from streams.features.fold import fold
from streams.features.model import Lifetimes, Sizes
from streams.features.sink import RedisFeatureSink
from tests.factories import NOON, make_event
from tests.streams.features.shipping import as_ended, close_all, in_any_order
from tests.streams.features.traffic import MINUTE, new_tenant, signals

LATER = NOON + 600 * MINUTE


def visits(tenant: str, users: int, first: int = 0) -> list[Event]:
    """One event of each user, a minute apart."""
    return [
        make_event(
            tenant_id=tenant,
            event_id=f"evt_{number}",
            user_id=f"u{number}",
            scenario_id="feed",
            offset=number,
            timestamp=NOON + number * MINUTE,
            received_at=NOON + number * MINUTE,
        )
        for number in range(first, first + users)
    ]


async def filled(redis: Redis, users: int = 5, **options: Any) -> tuple[str, RedisFeatureSink]:
    tenant, sink = new_tenant(), RedisFeatureSink(redis, signals, **options)
    await sink.apply(tenant, 0, 3, None, users, visits(tenant, users))
    return tenant, sink


async def closed_by(sink: RedisFeatureSink, tenant: str, **options: Any) -> Closed:
    closed = await sink.close_sessions(tenant, 0, 3, **options)
    assert isinstance(closed, Closed)
    return closed


async def test_what_the_watermark_has_not_passed_stays_open(redis_client: Redis) -> None:
    tenant, sink = await filled(redis_client)
    assert await closed_by(sink, tenant) == Closed(0, False, NOON + 30 * MINUTE, [])
    assert (await closed_by(sink, tenant, mark=NOON + 30 * MINUTE)).sessions == 0
    closed = await closed_by(sink, tenant, mark=NOON + 30 * MINUTE + 1)
    assert (closed.sessions, closed.next_at) == (1, NOON + 31 * MINUTE)


async def test_the_mark_stays_and_closes_for_later_events(redis_client: Redis) -> None:
    tenant, sink = await filled(redis_client, users=1)
    await closed_by(sink, tenant, mark=LATER)
    await sink.apply(tenant, 0, 3, 1, 2, [visits(tenant, 3)[2]])
    assert await redis_client.hget(KeySpace(tenant).key("watermarks"), "0") == str(LATER).encode()
    assert (await closed_by(sink, tenant)).next_at == LATER + 30 * MINUTE


async def test_sessions_are_closed_some_at_a_time_and_summarised_once(redis_client: Redis) -> None:
    tenant, sink = await filled(redis_client, users=5)
    first = await closed_by(sink, tenant, mark=LATER, most=2)
    assert (first.sessions, first.more, len(first.outbox)) == (2, True, 2)
    again = await closed_by(sink, tenant, most=2)
    assert again.outbox == first.outbox, "nobody said that they were shipped"
    rest = await close_all(sink, tenant, epoch=3)
    assert len({summary.sequence for summary in rest}) == 5
    expected = fold(visits(tenant, 5), signals=signals)
    for session in expected.sessions.values():
        session.closed = False
    expected.all_sessions.watermarks[0] = LATER
    expected.all_sessions.close_passed()
    assert in_any_order(as_ended(rest)) == in_any_order(expected.all_sessions.ended)


async def test_a_closed_session_can_be_read_for_its_life(redis_client: Redis) -> None:
    tenant, sink = await filled(redis_client, users=1, lifetimes=Lifetimes(session_s=50))
    await closed_by(sink, tenant, mark=LATER)
    for kind in ("user:session", "user:session_items"):
        assert 40 < await redis_client.ttl(KeySpace(tenant).key(kind, "u0")) <= 50


async def test_an_earlier_owner_closes_nothing_from_the_moment_a_later_one_has_looked(redis_client: Redis) -> None:
    tenant, sink = await filled(redis_client)
    assert await sink.close_sessions(tenant, 0, 2, mark=LATER) is None
    assert isinstance(await sink.close_sessions(tenant, 0, 9), Closed)
    assert await sink.close_sessions(tenant, 0, 3, mark=LATER) is None
    assert await sink.fence(tenant, 0) == (9, 5)
    assert await redis_client.exists(KeySpace(tenant).key("sessions:outbox", "0")) == 0


async def test_a_partition_without_a_fence_has_nothing_to_close(redis_client: Redis) -> None:
    assert await RedisFeatureSink(redis_client, signals).close_sessions(new_tenant(), 0, 1, mark=LATER) is None


async def test_while_the_outbox_is_full_sessions_stay_open(redis_client: Redis) -> None:
    tenant, sink = await filled(redis_client, users=5, sizes=Sizes(outbox=3))
    first = await closed_by(sink, tenant, mark=LATER)
    assert (first.sessions, len(first.outbox)) == (3, 3)
    assert (await closed_by(sink, tenant)).sessions == 0
    shipped = await closed_by(sink, tenant, shipped=first.outbox[-1].sequence)
    assert (shipped.sessions, len(shipped.outbox)) == (2, 2)


async def test_a_user_who_was_forgotten_has_no_summary(redis_client: Redis) -> None:
    tenant, sink = await filled(redis_client, users=2)
    await redis_client.delete(KeySpace(tenant).key("user:session", "u0"))
    closed = await closed_by(sink, tenant, mark=LATER)
    assert [summary.user_id for summary in closed.outbox] == ["u1"]


async def test_a_session_that_two_partitions_feed_is_closed_by_its_last_event(redis_client: Redis) -> None:
    tenant, sink = await filled(redis_client, users=1)
    later = make_event(
        tenant_id=tenant, event_id="later", user_id="u0", scenario_id="feed", timestamp=NOON + 20 * MINUTE
    )
    await sink.apply(tenant, 1, 3, None, 0, [later])
    closed = await closed_by(sink, tenant, mark=NOON + 40 * MINUTE)
    assert (closed.sessions, closed.next_at) == (0, None), "the other partition sees to it"
    other = await sink.close_sessions(tenant, 1, 3, mark=LATER)
    assert other is not None
    assert other.outbox[0].fields["events"] == "2"


async def test_a_shadow_ends_sessions_without_summaries(redis_client: Redis) -> None:
    tenant, sink = await filled(redis_client, users=2, shadow=True)
    assert await closed_by(sink, tenant, mark=LATER) == Closed(2, False, None, [])


async def test_held_features_and_foreign_fences_are_errors(redis_client: Redis) -> None:
    tenant, sink = await filled(redis_client)
    await redis_client.set(KeySpace(tenant).key("features:held"), "somebody")
    with pytest.raises(SinkUnavailable, match="held"):
        await sink.close_sessions(tenant, 0, 3)
    await redis_client.delete(KeySpace(tenant).key("features:held"))
    await redis_client.hset(KeySpace(tenant).key("fence", "features"), "0", "nonsense")
    with pytest.raises(FenceUnreadable):
        await sink.close_sessions(tenant, 0, 3)


@pytest.mark.parametrize("value", [b"", b"\xc1", msgspec.msgpack.encode(["u", "a"]), msgspec.msgpack.encode([1])])
def test_an_entry_that_is_none_of_ours_is_a_summary_without_fields(value: bytes) -> None:
    closed = parse_closed([0, 0, b"", [[b"5-1", [b"session", value]]]])
    assert closed.outbox == [Summary("5-1", "", {})]


def test_ids_of_an_outbox_are_ordered_by_their_numbers() -> None:
    assert sequence_key("9-10") > sequence_key("9-9") > sequence_key("8-11")
    assert (id_behind("5-9"), id_behind("")) == ("5-10", "")
