"""Fences, epochs and servers that fail."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from schemas.event import Event
from schemas.keys import KeySpace, parse_shadow
from streams.features.errors import FenceUnreadable, OffsetsOutOfOrder, SinkUnavailable
from streams.features.fold import fold
from streams.features.sink import Applied, FenceMoved, RedisFeatureSink, Zombie
from tests.factories import NOON, make_event
from tests.streams.features.redis_content import held_by, held_in
from tests.streams.features.test_sink_equals_fold import FlakyRedis
from tests.streams.features.traffic import MINUTE, new_tenant, signals


def some_events(tenant: str, first: int = 0, count: int = 5, user: str = "u1") -> list[Event]:
    return [
        make_event(
            tenant_id=tenant,
            event_id=f"evt_{offset}",
            user_id=user,
            scenario_id="feed",
            offset=offset,
            timestamp=NOON + offset * MINUTE,
        )
        for offset in range(first, first + count)
    ]


async def count_events(redis: Redis, tenant: str, user: str = "u1") -> int:
    return int(await redis.hget(KeySpace(tenant).key("user:session", user), "events") or 0)


async def test_a_partition_without_a_fence_says_so(redis_client: Redis) -> None:
    assert await RedisFeatureSink(redis_client, signals).fence(new_tenant(), 0) is None


async def test_a_batch_of_rejected_records_still_moves_the_fence(redis_client: Redis) -> None:
    tenant, sink = new_tenant(), RedisFeatureSink(redis_client, signals)
    assert await sink.apply(tenant, 3, 1, None, 41, []) == Applied(0)
    assert await sink.fence(tenant, 3) == (1, 41)
    assert await sink.apply(tenant, 3, 1, 41, 50, []) == Applied(0)
    assert await redis_client.keys(f"{tenant}:*") == [f"{tenant}:fence:features".encode()]


async def test_a_batch_applied_before_changes_nothing(redis_client: Redis) -> None:
    tenant, sink = new_tenant(), RedisFeatureSink(redis_client, signals)
    events = some_events(tenant)
    assert await sink.apply(tenant, 0, 1, None, 4, events) == Applied(5)
    before = await held_in(redis_client, tenant)
    assert await sink.apply(tenant, 0, 2, None, 4, events) == Applied(0)
    assert await held_in(redis_client, tenant) == before


async def test_of_a_batch_applied_in_part_only_the_rest_is_applied(redis_client: Redis) -> None:
    tenant, sink = new_tenant(), RedisFeatureSink(redis_client, signals)
    await sink.apply(tenant, 0, 1, None, 2, some_events(tenant, 0, 3))
    assert await sink.apply(tenant, 0, 2, None, 9, some_events(tenant, 0, 8)) == Applied(5)
    assert await sink.fence(tenant, 0) == (2, 9)
    assert await count_events(redis_client, tenant) == 8


async def test_a_fence_before_the_batch_is_answered_and_not_jumped_over(redis_client: Redis) -> None:
    tenant, sink = new_tenant(), RedisFeatureSink(redis_client, signals)
    await sink.apply(tenant, 0, 1, None, 2, some_events(tenant, 0, 3))
    assert await sink.apply(tenant, 0, 1, 5, 9, some_events(tenant, 6, 3)) == FenceMoved(2)
    assert await sink.apply(tenant, 0, 1, None, 9, some_events(tenant, 6, 3)) == FenceMoved(2)
    assert await count_events(redis_client, tenant) == 3


async def test_an_emptied_redis_answers_that_there_is_no_fence(redis_client: Redis) -> None:
    tenant, sink = new_tenant(), RedisFeatureSink(redis_client, signals)
    await sink.apply(tenant, 0, 1, None, 4, some_events(tenant))
    await redis_client.flushall()
    await redis_client.script_flush()
    assert await sink.apply(tenant, 0, 1, 4, 9, some_events(tenant, 5)) == FenceMoved(None)
    assert await redis_client.keys(f"{tenant}:*") == []
    assert await sink.apply(tenant, 0, 1, None, 9, some_events(tenant, 0, 10)) == Applied(10)
    assert await count_events(redis_client, tenant) == 10


async def test_a_zombie_is_refused_even_at_the_right_offset(redis_client: Redis) -> None:
    tenant, sink = new_tenant(), RedisFeatureSink(redis_client, signals)
    await sink.apply(tenant, 0, 8, None, 4, some_events(tenant))
    before = await held_in(redis_client, tenant)
    assert await sink.apply(tenant, 0, 7, 4, 9, some_events(tenant, 5)) == Zombie(8)
    assert await sink.apply(tenant, 0, 7, None, 4, some_events(tenant)) == Zombie(8)
    assert await held_in(redis_client, tenant) == before


async def test_partitions_and_consumers_have_fences_of_their_own(redis_client: Redis) -> None:
    tenant = new_tenant()
    await RedisFeatureSink(redis_client, signals).apply(tenant, 0, 5, None, 4, [])
    assert await RedisFeatureSink(redis_client, signals).apply(tenant, 1, 1, None, 9, []) == Applied(0)
    assert await RedisFeatureSink(redis_client, signals, consumer="other").fence(tenant, 0) is None


@pytest.mark.parametrize("value", ["nonsense", "1:", "-1:4", "1:2:3"])
async def test_a_fence_that_is_none_of_ours_stops_the_sink(redis_client: Redis, value: str) -> None:
    tenant, sink = new_tenant(), RedisFeatureSink(redis_client, signals)
    await redis_client.hset(KeySpace(tenant).key("fence", "features"), "0", value)
    with pytest.raises(FenceUnreadable):
        await sink.apply(tenant, 0, 1, None, 4, some_events(tenant))
    with pytest.raises(FenceUnreadable):
        await sink.fence(tenant, 0)


async def test_a_fence_key_of_another_type_stops_the_sink(redis_client: Redis) -> None:
    tenant, sink = new_tenant(), RedisFeatureSink(redis_client, signals)
    await redis_client.set(KeySpace(tenant).key("fence", "features"), "1:2")
    with pytest.raises(FenceUnreadable):
        await sink.apply(tenant, 0, 1, None, 4, some_events(tenant))
    with pytest.raises(FenceUnreadable):
        await sink.fence(tenant, 0)


@pytest.mark.parametrize(
    ("expected", "last", "offsets"), [(None, 4, [3, 2]), (None, 4, [5]), (3, 5, [3]), (3, 3, []), (3, 9, [4, 4])]
)
async def test_offsets_out_of_order_are_refused(
    redis_client: Redis, expected: int | None, last: int, offsets: list[int]
) -> None:
    events = [make_event(offset=offset) for offset in offsets]
    with pytest.raises(OffsetsOutOfOrder):
        await RedisFeatureSink(redis_client, signals).apply("acme", 0, 1, expected, last, events)


@pytest.mark.parametrize("fault", ["not sent", "answer lost"])
async def test_a_retry_after_a_fault_applies_once(redis_client: Redis, fault: str) -> None:
    tenant = new_tenant()
    sink = RedisFeatureSink(FlakyRedis(redis_client, [fault, "none"]), signals, max_events=2)
    with pytest.raises(SinkUnavailable, match="cannot take features"):
        await sink.apply(tenant, 0, 1, None, 4, some_events(tenant))
    await sink.apply(tenant, 0, 1, None, 4, some_events(tenant))
    assert await count_events(redis_client, tenant) == 5
    assert await sink.fence(tenant, 0) == (1, 4)


async def test_a_redis_that_is_away_is_worth_a_retry() -> None:
    async with Redis(port=1, retry=Retry(NoBackoff(), 0)) as nobody:
        sink = RedisFeatureSink(nobody, signals)
        with pytest.raises(SinkUnavailable) as caught:
            await sink.apply("acme", 0, 1, None, 4, [])
        assert caught.value.retriable
        with pytest.raises(SinkUnavailable):
            await sink.fence("acme", 0)


async def test_a_read_only_replica_is_worth_a_retry_and_changes_nothing(redis_client: Redis) -> None:
    tenant, sink = new_tenant(), RedisFeatureSink(redis_client, signals)
    await redis_client.replicaof("127.0.0.1", "1")
    try:
        for events in ([], some_events(tenant)):
            with pytest.raises(SinkUnavailable):
                await sink.apply(tenant, 0, 1, None, 4, events)
    finally:
        await redis_client.replicaof("NO", "ONE")
    assert await redis_client.keys(f"{tenant}:*") == []


async def test_a_full_redis_is_worth_a_retry_and_changes_nothing(redis_client: Redis) -> None:
    tenant, sink = new_tenant(), RedisFeatureSink(redis_client, signals)
    await redis_client.config_set("maxmemory", "1")
    try:
        with pytest.raises(SinkUnavailable):
            await sink.apply(tenant, 0, 1, None, 4, some_events(tenant))
    finally:
        await redis_client.config_set("maxmemory", "0")
    assert await redis_client.keys(f"{tenant}:*") == []


BUSY_FOR_A_SECOND = """
local from = redis.call('TIME')[1]
while redis.call('TIME')[1] - from < 2 do end
"""


async def test_a_busy_redis_is_worth_a_retry(redis_client: Redis) -> None:
    tenant, sink = new_tenant(), RedisFeatureSink(redis_client, signals)
    await sink.apply(tenant, 0, 1, None, 0, [])
    await redis_client.config_set("lua-time-limit", "1")
    busy = asyncio.ensure_future(redis_client.eval(BUSY_FOR_A_SECOND, 0))
    with pytest.raises(SinkUnavailable, match="BUSY"):
        while not busy.done():  # until the script has run for its millisecond, calls are answered as ever
            await sink.fence(tenant, 0)
    await busy
    await redis_client.config_set("lua-time-limit", "5000")
    assert await sink.apply(tenant, 0, 1, 0, 4, some_events(tenant, 1, 3)) == Applied(3)


class InterruptedRedis(Redis):
    """Lets another worker write between the first script and the second."""

    def __init__(self, redis: Redis, interruption: Coroutine[Any, Any, Any]) -> None:
        super().__init__(connection_pool=redis.connection_pool)
        self.interruption: Coroutine[Any, Any, Any] | None = interruption

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        answer = await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        if self.interruption and args[0] == "EVALSHA":
            interruption, self.interruption = self.interruption, None
            await interruption
        return answer


async def test_users_found_late_one_after_the_other_all_stay_split(redis_client: Redis) -> None:
    """Meanwhile another partition begins a session of u2, for which u2's run is late too."""
    tenant, other = new_tenant(), RedisFeatureSink(redis_client, signals)
    held = some_events(tenant, 0, 1, "u1")
    theirs = [make_event(tenant_id=tenant, event_id="theirs", user_id="u2", scenario_id="feed", timestamp=NOON)]
    await other.apply(tenant, 0, 1, None, 0, held)
    sink = RedisFeatureSink(InterruptedRedis(redis_client, other.apply(tenant, 1, 1, None, 0, theirs)), signals)

    batch = [*some_events(tenant, 1, 2, "u1"), *some_events(tenant, 3, 2, "u2")]
    for event, minute in zip(batch, (-40, -20, -40, -20), strict=True):
        event.timestamp = NOON + minute * MINUTE
    assert await sink.apply(tenant, 0, 1, 0, 4, batch) == Applied(4)
    expected = fold([*held, *theirs, *batch], signals=signals)
    assert await held_in(redis_client, tenant) == held_by(expected)


async def test_nothing_is_written_while_the_features_are_held(redis_client: Redis) -> None:
    tenant, sink = new_tenant(), RedisFeatureSink(redis_client, signals)
    await redis_client.set(KeySpace(tenant).key("features:held"), "somebody")
    with pytest.raises(SinkUnavailable, match="held"):
        await sink.apply(tenant, 0, 1, None, 4, some_events(tenant))
    with pytest.raises(SinkUnavailable, match="held"):
        await sink.apply(tenant, 0, 1, None, 4, [])
    await redis_client.delete(KeySpace(tenant).key("features:held"))
    assert await sink.apply(tenant, 0, 1, None, 4, some_events(tenant)) == Applied(5)


async def test_a_shadow_has_the_same_features_beside_the_tenants_own(redis_client: Redis) -> None:
    """It takes categories from the catalogue, which it has not itself."""
    tenant, events = new_tenant(), some_events("")
    for event in events:
        event.tenant_id, event.weight, event.category = tenant, 1.0, None
    await redis_client.hset(KeySpace(tenant).key("item", events[0].item_id), "category", "slots")
    await RedisFeatureSink(redis_client, signals, shadow=True).apply(tenant, 0, 1, None, 4, events)

    shadow = KeySpace(tenant, shadow=True)
    made = [key async for key in redis_client.scan_iter(match=f"{tenant}:*") if b":item:" not in key]
    assert all(parse_shadow(key.decode()).tenant == tenant for key in made)
    assert await redis_client.hget(shadow.key("user:session", "u1"), "events") == b"5"
    assert await redis_client.exists(shadow.key("hot:category", "slots"))
