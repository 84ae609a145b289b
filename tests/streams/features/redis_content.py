"""What Redis holds of one tenant, read back into the shape of `fold.Content` for comparison."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import pytest
from redis.asyncio import Redis

from schemas.keys import Key, parse
from streams.features.fold import Content

JSON_FIELDS = ("recent_items", "recent_categories")


@dataclass
class Held:
    """Plain values: comparable, and printed readably where they differ."""

    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    session_items: dict[str, set[str]] = field(default_factory=dict)
    recents: dict[str, list[Any]] = field(default_factory=dict)
    hot: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    follows: dict[str, set[str]] = field(default_factory=dict)
    blocks: dict[str, set[str]] = field(default_factory=dict)


def parsed(session: dict[str, str]) -> dict[str, Any]:
    return session | {name: msgspec.json.decode(session[name]) for name in JSON_FIELDS}


def held_by(content: Content) -> Held:
    """The specification's content."""
    lists = {
        "global": content.hot_global,
        **{f"category {name}": scores for name, scores in content.hot_category.items()},
        **{f"scenario {name}": scores for name, scores in content.hot_scenario.items()},
    }
    return Held(
        {user: parsed(session.as_hash()) for user, session in content.sessions.items()},
        {user: set(session.items) for user, session in content.sessions.items()},
        {user: list(map(msgspec.json.decode, entries)) for user, entries in content.recents.items()},
        {name: approximately(scores) for name, scores in lists.items() if scores},
        {user: set(items) for user, items in content.follows.items()},
        {user: set(items) for user, items in content.blocks.items()},
    )


def approximately(scores: dict[str, float]) -> Any:
    return pytest.approx(dict(scores), rel=1e-9, abs=0.0)


async def held_in(redis: Redis, tenant: str) -> Held:
    """Redis's content. Fails on a key of the tenant that no feature writes."""
    held = Held()
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


async def read_hot(redis: Redis, name: bytes, key: Key, held: Held) -> None:
    title = " ".join((key.kind.removeprefix("hot:"), *key.ids))
    held.hot[title] = {item.decode(): score for item, score in await ranked(redis, name)}


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
    "hot:global": read_hot,
    "hot:category": read_hot,
    "hot:scenario": read_hot,
    "user:follows": read_follows,
    "user:blocks": read_blocks,
    "hot:landmark": skip,
    "seen": skip,
    "fence": skip,
    **dict.fromkeys(("item", "items:new", "rec:cache", "rec:meta", "game:sim"), skip),
}
