"""What need not be moved at a swap, and is not."""

import pytest
from redis.asyncio import Redis

from streams.replay import shadow
from streams.replay.compare import compare
from streams.replay.listing import Listing
from streams.replay.shadow import ShadowKeys

LIVE = {"a": {"n": 1, "m": 2}, "b": {"n": 1}, "c": {"n": 1, "m": 2}, "gone": {"n": 1}}
REBUILT = {"a": {"n": 1, "m": 2}, "b": {"n": 9}, "c": {"m": 2, "n": 1}, "new": {"n": 1}}


def session(user: str) -> bytes:
    return f"user:session:{user}".encode()


async def no_events() -> None:
    pass


@pytest.fixture
async def keys(redis_client: Redis, tenant: str) -> ShadowKeys:
    made = ShadowKeys(redis_client, tenant)
    for space, content in ((made.live, LIVE), (made.shadow, REBUILT)):
        for user, fields in content.items():
            for field, value in fields.items():
                await redis_client.hset(space.key("user:session", user), field, value)
        await redis_client.zadd(space.key("hot:global"), {"i": 1.0})
        await redis_client.hset(space.key("hot:landmarks"), "hot:global", "1")
    return made


async def test_keys_are_the_same_whatever_the_order_of_their_fields(
    redis_client: Redis, keys: ShadowKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow, "NAMES_A_SCRIPT", 2)
    names = await keys.names()
    found, same = await compare(redis_client, keys, names, await keys.stale(names), no_events)
    assert same == {session("a"), session("c"), b"hot:global", b"hot:landmarks"}
    assert (found.both, found.compared, found.differing) == (5, 5, 1)
    assert found.examples == {
        "only_live": ["user:session:gone"],
        "only_shadow": ["user:session:new"],
        "differing": ["user:session:b"],
    }


async def test_what_is_the_same_stays_where_it_is_until_an_event_comes_to_it(keys: ShadowKeys) -> None:
    listing = Listing({session("b"), session("new")}, {session("gone")})
    await listing.follow(keys, set(), [0])
    shared = {b"hot:global", b"hot:landmarks"}
    assert listing.moved == {session("b"), session("new")} | shared
    await listing.follow(keys, {session("a"), session("gone"), session("other")}, [0])
    assert listing.moved == {session("a"), session("b"), session("new")} | shared
    assert listing.dropped == {session("gone"), session("other")}
