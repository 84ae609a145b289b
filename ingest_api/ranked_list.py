"""A ranked list that can be paged through: kept in Redis under its request id, for half an hour."""

from collections.abc import Container
from typing import Any

import msgspec
from redis.asyncio import Redis

from recommenders.read import Reason, StoredList
from schemas.keys import KeySpace


class RankedItem(msgspec.Struct, frozen=True, array_like=True):
    """One place of a list."""

    item_id: str
    score: float
    source: str
    reason: Reason


class RankedList(msgspec.Struct, frozen=True, array_like=True):
    """A list as it was when its request id was new. `place`: user, scene and item, which it answers for."""

    place: tuple[str, str, str]
    strategy: str
    model_version: str
    computed_at: int
    items: tuple[RankedItem, ...]

    @classmethod
    def of(cls, place: tuple[str, str, str], stored: StoredList) -> "RankedList":
        rows = zip(stored.items, stored.scores, stored.sources, stored.reasons, strict=True)
        return cls(
            place, stored.strategy, stored.model_version, stored.computed_at, tuple(RankedItem(*row) for row in rows)
        )

    def without(self, unwanted: Container[str]) -> "RankedList":
        kept = tuple(item for item in self.items if item.item_id not in unwanted)
        return msgspec.structs.replace(self, items=kept)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(RankedList).decode


async def read_page_list(
    redis: Redis, keys: KeySpace, request_id: str, place: tuple[str, str, str]
) -> RankedList | None:
    """The list kept under the id; None where there is none, or it is another user's or scene's."""
    value: Any = await redis.get(keys.key("rec:page", request_id))
    if value is None:
        return None
    try:
        kept = _decode(value)
    except msgspec.DecodeError:
        return None  # of another version
    return kept if kept.place == place else None


async def keep_page_list(redis: Redis, keys: KeySpace, request_id: str, ranked: RankedList, ttl_s: int) -> None:
    await redis.set(keys.key("rec:page", request_id), _encode(ranked), ex=ttl_s)
