"""The fast path comes to what the specification says, however batches are cut, replayed and retried."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from schemas.event import Event
from schemas.keys import KeySpace
from streams.features.closing import Summary
from streams.features.errors import SinkUnavailable
from streams.features.fold import Content, fold
from streams.features.model import HeatCap, Lifetimes, Sizes
from streams.features.sink import Applied, FenceMoved, RedisFeatureSink
from tests.streams.features.redis_content import held_by, held_in, ranked
from tests.streams.features.shipping import as_ended, close_all, in_any_order
from tests.streams.features.traffic import CATALOGUE, new_tenant, numbered, signals, traffic

MAX_FAULTS = 30
SMALL = Sizes(session_items=4, session_categories=3, recent=6, hot_categories=4, hot_scenarios=2)
CAP = HeatCap(weight=4.0, items=3)
LONG_LIVED = Lifetimes(hot_s=10**9)  # the specification knows no lifetimes, and its events are months apart
borders = st.lists(st.integers(0, 80), max_size=8)
faults = st.lists(st.sampled_from(("none", "none", "none", "not sent", "answer lost")), max_size=MAX_FAULTS)
replays = st.lists(st.integers(0, 8), max_size=4)
closings = st.sets(st.integers(0, 8))


class FlakyRedis(Redis):
    """Fails as its list says: before a script reaches the server, or when it has run and the answer is lost."""

    def __init__(self, redis: Redis, faults: list[str]) -> None:
        super().__init__(connection_pool=redis.connection_pool)
        self.faults = list(faults)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        fault = self.faults.pop() if self.faults and args[0] == "EVALSHA" else "none"
        if fault == "not sent":
            raise RedisConnectionError(fault)
        answer = await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        if fault == "answer lost":
            raise RedisConnectionError(fault)
        return answer


def make_sink(redis: Redis, **options: Any) -> RedisFeatureSink:
    return RedisFeatureSink(redis, signals, sizes=SMALL, cap=CAP, lifetimes=LONG_LIVED, **options)


class Worker:
    """Applies the batches of one partition as the features agent does, and again where Redis fails."""

    def __init__(self, sink: RedisFeatureSink, tenant: str, events: list[Event], cuts: list[int]) -> None:
        self.sink, self.tenant = sink, tenant
        end = 2 * len(events) + 1
        edges = sorted({cut for cut in cuts if 0 <= cut < end} | {end})
        self.batches: list[tuple[int | None, int, list[Event]]] = []
        expected: int | None = None
        for last in edges:
            floor = -1 if expected is None else expected
            self.batches.append((expected, last, [e for e in events if floor < e.offset <= last]))
            expected = last

    async def apply(self, batch: int) -> Applied | FenceMoved:
        expected, last, events = self.batches[batch]
        for _ in range(MAX_FAULTS + 1):
            try:
                outcome = await self.sink.apply(self.tenant, 0, 1, expected, last, events)
            except SinkUnavailable:
                continue
            assert isinstance(outcome, Applied | FenceMoved)
            return outcome
        raise AssertionError("the sink fails although Redis does not")


async def fill_catalogue(redis: Redis, tenant: str) -> None:
    for item, category in CATALOGUE.items():
        await redis.hset(KeySpace(tenant).key("item", item), "category", category)


@settings(deadline=None, max_examples=60)
@given(traffic(), borders, faults, replays, closings, st.integers(1, 9), st.integers(1, 4))
async def test_redis_holds_what_the_specification_says(
    redis_client: Redis,
    events: list[Event],
    cuts: list[int],
    faults: list[str],
    replays: list[int],
    closings: set[int],
    max_events: int,
    max_users: int,
) -> None:
    tenant = new_tenant()
    events = numbered(events, tenant)
    await fill_catalogue(redis_client, tenant)
    sink = make_sink(FlakyRedis(redis_client, faults), max_events=max_events, max_users=max_users)
    worker = Worker(sink, tenant, events, cuts)
    shipped: list[Summary] = []

    for batch, (_, last, _) in enumerate(worker.batches):
        assert isinstance(await worker.apply(batch), Applied)
        for earlier in replays:
            if earlier < batch:
                assert await worker.apply(earlier) == FenceMoved(last)
        assert await sink.fence(tenant, 0) == (1, last)
        if batch in closings:
            shipped += await close_all(make_sink(redis_client), tenant)

    shipped += await close_all(make_sink(redis_client), tenant)
    expected = fold(events, signals=signals, catalogue=CATALOGUE, sizes=SMALL, cap=CAP)
    assert await held_in(redis_client, tenant) == held_by(expected)
    assert in_any_order(as_ended(shipped)) == in_any_order(expected.all_sessions.ended)
    assert await open_in(redis_client, tenant) == open_by(expected)


async def open_in(redis: Redis, tenant: str) -> dict[str, float]:
    """user -> when the session can be closed."""
    found = await ranked(redis, KeySpace(tenant).key("sessions:open", "0"))
    return {user.decode(): closes_at for user, closes_at in found}


def open_by(content: Content) -> dict[str, float]:
    return {user: session.closes_at for user, session in content.sessions.items() if not session.closed}


@settings(deadline=None, max_examples=25)
@given(traffic(4), traffic(4))
async def test_two_partitions_of_a_tenant_add_up_to_one(
    redis_client: Redis, first: list[Event], second: list[Event]
) -> None:
    """Producers partition one key differently: both partitions hold events of the same users."""
    tenant = new_tenant()
    events, others = numbered(first, tenant), numbered(second, tenant)
    for event in others:
        event.partition = 1
    sink = make_sink(redis_client)
    await fill_catalogue(redis_client, tenant)
    await sink.apply(tenant, 0, 1, None, 1000, events)
    await sink.apply(tenant, 1, 1, None, 1000, others)
    shipped = [*await close_all(sink, tenant, 0), *await close_all(sink, tenant, 1)]

    expected = fold([*events, *others], signals=signals, catalogue=CATALOGUE, sizes=SMALL, cap=CAP)
    assert await held_in(redis_client, tenant) == held_by(expected)
    assert in_any_order(as_ended(shipped)) == in_any_order(expected.all_sessions.ended)


@settings(deadline=None, max_examples=25)
@given(traffic(4), traffic(4), st.booleans())
async def test_tenants_never_touch_each_others_keys(
    redis_client: Redis, mine: list[Event], theirs: list[Event], cluster: bool
) -> None:
    tenant, other = new_tenant(), new_tenant()
    sink = make_sink(redis_client, cluster=cluster)
    await sink.apply(tenant, 0, 1, None, 1000, numbered(mine, tenant))
    before = await dump(redis_client, f"*{tenant}*")
    everything_else = await dump(redis_client, "*")
    await sink.apply(other, 0, 1, None, 1000, numbered(theirs, other))

    assert await dump(redis_client, f"*{tenant}*") == before
    prefix = KeySpace(other, cluster=cluster).prefix.encode()
    made = (await dump(redis_client, "*")).keys() - everything_else.keys()
    assert made
    assert all(key.startswith(prefix) for key in made)
    await redis_client.flushall()  # the next example reads all keys


async def dump(redis: Redis, pattern: str) -> dict[bytes, Any]:
    keys = [key async for key in redis.scan_iter(match=pattern, count=10_000)]
    return {key: await redis.dump(key) for key in keys}
