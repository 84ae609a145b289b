"""The keys of Redis that hold something of a user: every kind of key is in one of these lists, or a test fails.

Promise: `erase` deletes only what is there, by name; nothing is scanned, and it may be repeated. In a rebuild's shadow
the user is erased as well.
"""

from typing import Any, Final

import msgspec
from redis.asyncio import Redis

from schemas.keys import KeySpace
from schemas.limits import MAX_FUTURE_MS, OLDEST_TIMESTAMP_MS

DAY_MS: Final = 24 * 60 * 60 * 1000
OF_USER: Final = (  # {user}
    *("user:session", "user:session_items", "user:recent", "user:profile"),
    *("user:follows", "user:blocks", "user:emb"),
)
OF_USER_AND_SCENE: Final = ("rec:cache", "rec:meta")  # {user}:{scene}
OF_USER_AND_DAY: Final = ("user:heat",)  # {user}:{day}
USERS_AS_MEMBERS: Final = ("sessions:open",)  # {partition}: a sorted set of users
USERS_IN_ENTRIES: Final = ("sessions:outbox",)  # {partition}: a stream of cmsgpack arrays that begin with the user
PARTITIONS: Final = "watermarks"  # its fields are the partitions that may have the two above
OF_NO_USER: Final[dict[str, str]] = {
    "item": "the catalogue's",
    "items:new": "the catalogue's",
    "game:sim": "sums over users, none named: without the user from the next rebuild on",
    "game:emb": "an item's",
    "hot:global": "sums over users, none named, that decay",
    "hot:category": "the same",
    "hot:scenario": "the same",
    "hot:global_short": "the same",
    "hot:scenario_short": "the same",
    "hot:landmarks": "of lists",
    "rec:similar": "an item's",
    "rec:page": "by the id of a request, for half an hour",
    "boost": "an item's",
    "watermarks": "times of partitions",
    "seen": "ids of events, for a day",
    "fence": "offsets",
    "parked": "reasons",
    "parked:resumed": "an operator's mark",
    "features:held": "a mark",
    "features:replay": "a mark",
}
_AT_ONCE: Final = 1000  # names, or entries: a millisecond of Redis

_decode_entry = msgspec.msgpack.Decoder(list[Any]).decode


def user_keys(keys: KeySpace, user_id: str, scenes: list[str], now_ms: int) -> list[str]:
    """Every key that may be the user's alone. The windows of `user:heat` are days of events, each of which is named."""
    days = range(OLDEST_TIMESTAMP_MS // DAY_MS, (now_ms + MAX_FUTURE_MS) // DAY_MS + 1)
    return [
        *(keys.key(kind, user_id) for kind in OF_USER),
        *(keys.key(kind, user_id, scene) for kind in OF_USER_AND_SCENE for scene in scenes),
        *(keys.key(kind, user_id, str(day)) for kind in OF_USER_AND_DAY for day in days),
    ]


class ErasedKeys:
    """Raises RedisError."""

    def __init__(self, redis: Redis, *, cluster: bool = False) -> None:
        self._redis = redis
        self._cluster = cluster

    async def erase(self, tenant: str, user_id: str, scenes: list[str], now_ms: int) -> dict[str, int]:
        """How many keys, and places in keys of others, were deleted."""
        counts = {"redis_keys": 0, "redis_sessions_open": 0, "redis_sessions_ended": 0}
        for shadow in (False, True):
            keys = KeySpace(tenant, cluster=self._cluster, shadow=shadow)
            counts["redis_keys"] += await self._unlink(user_keys(keys, user_id, scenes, now_ms))
            for partition in await self._partitions(keys):
                for kind in USERS_AS_MEMBERS:
                    counts["redis_sessions_open"] += await self._redis.zrem(keys.key(kind, partition), user_id)
                for kind in USERS_IN_ENTRIES:
                    counts["redis_sessions_ended"] += await self._drop_entries(keys.key(kind, partition), user_id)
        return counts

    async def _partitions(self, keys: KeySpace) -> list[str]:
        fields: list[bytes] = await self._redis.hkeys(keys.key(PARTITIONS))  # type: ignore[assignment]
        return sorted(field.decode() for field in fields)

    async def _unlink(self, names: list[str]) -> int:
        deleted = 0
        for start in range(0, len(names), _AT_ONCE):
            deleted += await self._redis.unlink(*names[start : start + _AT_ONCE])
        return deleted

    async def _drop_entries(self, key: str, user_id: str) -> int:
        """An entry that is shipped meanwhile is no longer there, which does no harm."""
        dropped, after = 0, "-"
        while True:
            entries: Any = await self._redis.xrange(key, min=after, count=_AT_ONCE)
            if not entries:
                return dropped
            theirs = [sequence for sequence, fields in entries if _is_of(fields, user_id)]
            if theirs:
                dropped += await self._redis.xdel(key, *theirs)
            after = f"({entries[-1][0].decode()}"


def _is_of(fields: dict[bytes, bytes], user_id: str) -> bool:
    """Whether any part of an entry is an array that begins with the user."""
    for value in fields.values():
        try:
            first = _decode_entry(value)[0]
        except (msgspec.MsgspecError, IndexError):
            continue
        if first == user_id:
            return True
    return False
