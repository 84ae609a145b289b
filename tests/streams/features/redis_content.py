"""What Redis holds of one tenant, read back into the shape of `fold.Content` for comparison."""

from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import pytest
from redis.asyncio import Redis

from schemas.hot import CATEGORY, GLOBAL, GLOBAL_SHORT, SCENARIO, SCENARIO_SHORT, HotRecord
from schemas.keys import Key, KeySpace, encode_id, parse
from streams.features.decay import landmark_of
from streams.features.fold import Content, HotList

JSON_FIELDS = ("recent_items", "recent_categories")
NEGLIGIBLE = 2.0**-100  # heat that the script may have forgotten


@dataclass
class Held:
    """Plain values: comparable, and printed readably where they differ."""

    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    session_items: dict[str, set[str]] = field(default_factory=dict)
    recents: dict[str, list[Any]] = field(default_factory=dict)
    hot: dict[str, Any] = field(default_factory=dict)  # list -> its record, and heat as of its latest arrival
    given: dict[tuple[str, int], dict[str, float]] = field(default_factory=dict)
    follows: dict[str, set[str]] = field(default_factory=dict)
    blocks: dict[str, set[str]] = field(default_factory=dict)


def parsed(session: dict[str, str]) -> dict[str, Any]:
    """Without its mark of being closed, which it has once somebody has looked."""
    plain = session | {name: msgspec.json.decode(session[name]) for name in JSON_FIELDS}
    plain.pop("closed", None)
    return plain


def held_by(content: Content) -> Held:
    """The specification's content."""
    return Held(
        {user: parsed(session.as_hash()) for user, session in content.sessions.items()},
        {user: set(session.items) for user, session in content.sessions.items()},
        {user: list(map(msgspec.json.decode, entries)) for user, entries in content.recents.items()},
        {name: (record_of(name, hot), approximately(warm(hot.heat))) for name, hot in content.hot.items()},
        {window: given for window, given in content.given.items() if given},
        {user: set(items) for user, items in content.follows.items()},
        {user: set(items) for user, items in content.blocks.items()},
    )


def record_of(name: str, hot: HotList) -> HotRecord:
    return HotRecord(landmark_of(name, hot.as_of, hot.half_life_ms), hot.half_life_ms, hot.as_of)


def warm(heat: dict[str, float]) -> dict[str, float]:
    return {item: degrees for item, degrees in heat.items() if degrees > NEGLIGIBLE}


def approximately(scores: dict[str, float]) -> Any:
    return pytest.approx(dict(scores), rel=1e-9, abs=0.0)


async def held_in(redis: Redis, tenant: str) -> Held:
    """Redis's content. Fails on a key of the tenant that no feature writes."""
    held = Held()
    for hot in await names_of_lists(redis, tenant):
        held.hot[hot] = await read_hot(redis, tenant, hot)
    async for name in redis.scan_iter(match=f"*{tenant}*", count=1000):
        key = parse(name.decode())
        if key.tenant == tenant:
            await READERS[key.kind](redis, name, key, held)
    return held


async def read_session(redis: Redis, name: bytes, key: Key, held: Held) -> None:
    fields = cast(dict[bytes, bytes], await redis.hgetall(name))
    held.sessions[key.ids[0]] = parsed({field.decode(): value.decode() for field, value in fields.items()})


async def read_items(redis: Redis, name: bytes, key: Key, held: Held) -> None:
    held.session_items[key.ids[0]] = await read_set(redis, name)


async def read_recent(redis: Redis, name: bytes, key: Key, held: Held) -> None:
    held.recents[key.ids[0]] = list(map(msgspec.json.decode, await redis.lrange(name, 0, -1)))


async def names_of_lists(redis: Redis, tenant: str, kind: str = "hot:") -> set[str]:
    """The tenant's hot lists whose names begin so."""
    names = cast(list[bytes], await redis.hkeys(KeySpace(tenant).key("hot:landmarks")))
    return {name.decode() for name in names if name.startswith(kind.encode())}


async def read_hot(redis: Redis, tenant: str, name: str) -> tuple[HotRecord, dict[str, float]]:
    """A list's record and what its items' heat was when its last event arrived."""
    keys = KeySpace(tenant)
    record = HotRecord.parse(cast(bytes | None, await redis.hget(keys.key("hot:landmarks"), name)))
    assert record
    share_left = record.share_left(record.latest)
    scores = await ranked(redis, keys.prefix + name)
    return record, warm({item.decode(): score * share_left for item, score in scores})


async def read_given(redis: Redis, name: bytes, key: Key, held: Held) -> None:
    given = cast(dict[bytes, bytes], await redis.hgetall(name))
    held.given[key.ids[0], int(key.ids[1])] = {item.decode(): float(weight) for item, weight in given.items()}


async def check_hot(redis: Redis, name: bytes, key: Key, held: Held) -> None:
    """Every hot list has a record, by which it was read."""
    assert ":".join((key.kind, *map(encode_id, key.ids))) in held.hot


async def read_follows(redis: Redis, name: bytes, key: Key, held: Held) -> None:
    held.follows[key.ids[0]] = await read_set(redis, name)


async def read_blocks(redis: Redis, name: bytes, key: Key, held: Held) -> None:
    held.blocks[key.ids[0]] = await read_set(redis, name)


async def read_set(redis: Redis, name: bytes) -> set[str]:
    return {member.decode() for member in cast(set[bytes], await redis.smembers(name))}


async def ranked(redis: Redis, name: bytes | str) -> list[tuple[bytes, float]]:
    """A hot list, coldest first."""
    return cast(list[tuple[bytes, float]], await redis.zrange(name, 0, -1, withscores=True))


async def skip(redis: Redis, name: bytes, key: Key, held: Held) -> None:
    """Bookkeeping, the catalogue, and what the recommender writes."""


READERS = {
    "user:session": read_session,
    "user:session_items": read_items,
    "user:recent": read_recent,
    "user:heat": read_given,
    **dict.fromkeys((GLOBAL, GLOBAL_SHORT, SCENARIO, SCENARIO_SHORT, CATEGORY), check_hot),
    "user:follows": read_follows,
    "user:blocks": read_blocks,
    "hot:landmarks": skip,
    "seen": skip,
    "fence": skip,
    "sessions:open": skip,
    "sessions:outbox": skip,
    "watermarks": skip,
    **dict.fromkeys(("item", "items:new", "rec:cache", "rec:meta", "game:sim"), skip),
}
