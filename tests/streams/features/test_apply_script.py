"""What the script does beyond the specification: foreign keys, generations of ids, caps, lifetimes."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from schemas.event import Event
from schemas.keys import KeySpace, encode_id
from streams.features.fold import fold
from streams.features.model import DAY_MS, Lifetimes, Sizes
from streams.features.sink import SCRIPT, Applied, RedisFeatureSink
from tests.factories import NOON, make_event
from tests.streams.features.redis_content import held_by, held_in
from tests.streams.features.shipping import close_all
from tests.streams.features.traffic import MINUTE, new_tenant, signals


def an_event(tenant: str, offset: int, **fields: Any) -> Event:
    plain = {"event_id": f"evt_{offset}", "scenario_id": "feed", "timestamp": NOON + offset * MINUTE}
    return make_event(tenant_id=tenant, offset=offset, **(plain | fields))


def function_of(name: str) -> str:
    """The source of one function of the script."""
    start = SCRIPT.index(f"local function {name}(")
    return SCRIPT[start : SCRIPT.index("\nend\n", start) + 5]


@settings(deadline=None)
@given(value=st.text())
async def test_ids_are_encoded_as_python_does(redis_client: Redis, value: str) -> None:
    source = f"local find = string.find\n{function_of('encode_id')}\nreturn encode_id(ARGV[1])"
    assert (await redis_client.eval(source, 0, value)).decode() == encode_id(value)


@settings(deadline=None)
@given(values=st.lists(st.text(st.characters(codec="utf-8", max_codepoint=400)), max_size=5))
async def test_strings_are_written_to_json_and_told_apart_as_python_does(
    redis_client: Redis, values: list[str]
) -> None:
    head = "local find, format = string.find, string.format\n"
    short = SCRIPT[SCRIPT.index("local short = ") : SCRIPT.index("local function json_text")]
    body = "local made = {} for i, v in ipairs(ARGV) do made[i] = json_text(v) end return made"
    texts = await redis_client.eval(head + short + function_of("json_text") + body, 0, *values)
    assert texts == [msgspec.json.encode(value) for value in values]

    apart = head + function_of("elements") + "return elements(ARGV[1])"
    assert await redis_client.eval(apart, 0, msgspec.json.encode(values)) == texts


KINDS_AND_IDS = [
    ("user:session", ("u1",)),
    ("user:session_items", ("u1",)),
    ("user:recent", ("u1",)),
    ("user:follows", ("u1",)),
    ("user:blocks", ("u1",)),
    ("hot:global", ()),
    ("hot:scenario", ("feed",)),
    ("hot:category", ("live",)),
    ("hot:category", ("slots",)),
    ("hot:global_short", ()),
    ("hot:landmarks", ()),
    ("user:heat", ("u1", str(NOON // DAY_MS))),
    ("sessions:open", ("0",)),
    ("sessions:outbox", ("0",)),
    ("watermarks", ()),
    ("seen", ("0",)),
    ("seen", ("1",)),
    ("seen", ("current",)),
]


@pytest.mark.parametrize(("kind", "ids"), KINDS_AND_IDS)
async def test_a_key_of_a_wrong_type_is_made_anew_and_the_batch_applied_whole(
    redis_client: Redis, kind: str, ids: tuple[str, ...]
) -> None:
    tenant = new_tenant()
    key = KeySpace(tenant).key(kind, *ids)
    if ids == ("current",):
        await redis_client.rpush(key, "foreign")
    else:
        await redis_client.set(key, "foreign")
    await redis_client.hset(KeySpace(tenant).key("item", "i9"), "category", "slots")
    events = [
        an_event(tenant, 0, category="live", action_type="follow"),
        an_event(tenant, 1, item_id="i9", action_type="block"),
        an_event(tenant, 2, timestamp=NOON - DAY_MS),
    ]
    sink = RedisFeatureSink(redis_client, signals)
    assert await sink.apply(tenant, 0, 1, None, 2, events) == Applied(3)
    await close_all(sink, tenant)
    expected = fold(events, signals=signals, catalogue={"i9": "slots"})
    assert await held_in(redis_client, tenant) == held_by(expected)


async def test_a_catalogue_key_of_a_wrong_type_is_left_alone(redis_client: Redis) -> None:
    tenant = new_tenant()
    await redis_client.set(f"{tenant}:item:i1", "foreign")
    await RedisFeatureSink(redis_client, signals).apply(tenant, 0, 1, None, 0, [an_event(tenant, 0)])
    assert await redis_client.get(f"{tenant}:item:i1") == b"foreign"


@pytest.mark.parametrize("minutes", [(-29,), (-30,), (-31,), (-31, -30), (-31, -1), (-60, -40), (-60, -31, -1, 5)])
async def test_the_edge_of_lateness_is_where_the_specification_draws_it(
    redis_client: Redis, minutes: tuple[int, ...]
) -> None:
    """Events that arrive in one batch after the session's, alone or as a run that begins late."""
    tenant, sink = new_tenant(), RedisFeatureSink(redis_client, signals)
    late = [an_event(tenant, place, timestamp=NOON + m * MINUTE) for place, m in enumerate(minutes, 1)]
    events = [an_event(tenant, 0), *late]
    assert await sink.apply(tenant, 0, 1, None, 0, events[:1]) == Applied(1)
    assert await sink.apply(tenant, 0, 1, 0, len(late), late) == Applied(len(late))
    expected = fold(events, signals=signals)
    assert await held_in(redis_client, tenant) == held_by(expected)


async def test_an_id_is_remembered_for_at_least_a_generation(redis_client: Redis) -> None:
    tenant = new_tenant()
    sink = RedisFeatureSink(redis_client, signals, sizes=Sizes(seen=10), max_events=5)
    expected = None
    for first in range(0, 100, 5):
        events = [an_event(tenant, 2 * n, event_id=f"evt_{n}") for n in range(first, first + 5)]
        again = [an_event(tenant, 2 * n + 1, event_id=f"evt_{n - 10}") for n in range(first, first + 5) if n >= 10]
        batch = sorted([*events, *again], key=lambda event: event.offset)
        last = batch[-1].offset
        outcome = await sink.apply(tenant, 0, 1, expected, last, batch)
        assert outcome == Applied(5, len(again))
        expected = last
    sizes = [await redis_client.scard(f"{tenant}:seen:{generation}") for generation in (0, 1)]
    assert sum(sizes) <= 2 * (10 + 5)


async def test_an_id_outlives_its_generation_by_a_day_at_least(redis_client: Redis) -> None:
    tenant = new_tenant()
    sink = RedisFeatureSink(redis_client, signals, lifetimes=Lifetimes(seen_s=500))
    await sink.apply(tenant, 0, 1, None, 0, [an_event(tenant, 0)])
    assert 490 < await redis_client.ttl(f"{tenant}:seen:0") <= 500


async def test_a_hot_list_keeps_its_hottest_items(redis_client: Redis) -> None:
    tenant = new_tenant()
    sink = RedisFeatureSink(redis_client, signals, sizes=Sizes(hot=10))
    events = [an_event(tenant, n, item_id=f"i{n:02}", weight=float(n + 1), timestamp=NOON) for n in range(30)]
    await sink.apply(tenant, 0, 1, None, 30, events)
    hottest = await redis_client.zrange(f"{tenant}:hot:global", 0, -1)
    assert hottest == [f"i{n:02}".encode() for n in range(20, 30)]


async def test_keys_live_as_long_as_the_settings_say(redis_client: Redis) -> None:
    tenant = new_tenant()
    sink = RedisFeatureSink(redis_client, signals, lifetimes=Lifetimes(open_s=100, recent_s=50))
    await sink.apply(tenant, 0, 1, None, 0, [an_event(tenant, 0)])
    session = 30 * 60 + 100
    assert session - 5 < await redis_client.ttl(f"{tenant}:user:session:u1") <= session
    assert session - 5 < await redis_client.ttl(f"{tenant}:user:session_items:u1") <= session
    assert 45 < await redis_client.ttl(f"{tenant}:user:recent:u1") <= 50


async def test_a_long_session_has_its_life_renewed(redis_client: Redis) -> None:
    tenant, sink = new_tenant(), RedisFeatureSink(redis_client, signals)
    events = [an_event(tenant, n, timestamp=NOON + n * 20 * MINUTE) for n in range(5)]
    await sink.apply(tenant, 0, 1, None, 0, events[:1])
    await redis_client.expire(f"{tenant}:user:session:u1", 10)
    await redis_client.expire(f"{tenant}:user:recent:u1", 10)
    await sink.apply(tenant, 0, 1, 0, 4, events[1:])
    assert await redis_client.ttl(f"{tenant}:user:session:u1") > 80_000
    assert await redis_client.ttl(f"{tenant}:user:recent:u1") > 80_000


async def test_an_expired_session_leaves_nothing_to_the_next(redis_client: Redis) -> None:
    tenant, sink = new_tenant(), RedisFeatureSink(redis_client, signals)
    await sink.apply(tenant, 0, 1, None, 0, [an_event(tenant, 0, item_id="old")])
    await redis_client.delete(f"{tenant}:user:session:u1")
    await sink.apply(tenant, 0, 1, 0, 1, [an_event(tenant, 1, item_id="new")])
    assert await redis_client.hget(f"{tenant}:user:session:u1", "items") == b"1"
    assert await redis_client.smembers(f"{tenant}:user:session_items:u1") == {b"new"}


async def test_a_session_hash_of_nonsense_is_replaced(redis_client: Redis) -> None:
    tenant, sink = new_tenant(), RedisFeatureSink(redis_client, signals)
    await redis_client.hset(f"{tenant}:user:session:u1", mapping={"started_at": "soon", "recent_items": '["\\', "x": 1})
    events = [an_event(tenant, 0)]
    await sink.apply(tenant, 0, 1, None, 0, events)
    assert await held_in(redis_client, tenant) == held_by(fold(events, signals=signals))


async def test_the_largest_batch_fits_lua(redis_client: Redis) -> None:
    """3,000 events of one user, each with an item, a category and an action of its own."""
    tenant, sink = new_tenant(), RedisFeatureSink(redis_client, signals, max_events=3000)
    events = [
        an_event(tenant, n, timestamp=NOON, item_id=f"i{n}", category=f"c{n}", action_type=f"a{n}") for n in range(3000)
    ]
    assert await sink.apply(tenant, 0, 1, None, 2999, events) == Applied(3000)
    assert await redis_client.hget(f"{tenant}:user:session:u1", "items") == b"3000"
    assert await held_in(redis_client, tenant) == held_by(fold(events, signals=signals))


def test_a_sink_that_could_not_unpack_its_batches_is_not_made() -> None:
    with pytest.raises(ValueError, match="max_events"):
        RedisFeatureSink(Redis(), signals, max_events=3001)
