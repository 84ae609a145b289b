"""The keys of a tenant's features and of their shadow, by name: the key without its prefix."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from importlib import resources
from typing import Any, Final

import msgspec

from schemas.event import Event
from schemas.keys import KeySpace, encode_id
from streams.features.model import BLOCKS, DAY_MS, FOLLOWS, LINKS

# What the feature sink writes and a rebuild replaces; a name begins with one of these. The fence stays, and the outbox:
# what stands in it was summarised once, and will be shipped.
FEATURES: Final = (
    *("user:session:", "user:session_items:", "user:recent:", "user:heat:", f"{FOLLOWS}:", f"{BLOCKS}:"),
    *("hot:", "seen:", "sessions:open:", "watermarks"),
)
SHARED: Final = (b"hot:landmarks", b"seen:0", b"seen:1", b"seen:current", b"watermarks")
_FEATURES: Final = tuple(start.encode() for start in FEATURES)
SCRIPT: Final = resources.files("streams.replay").joinpath("unlike.lua").read_text()
NOT_IN_BOTH, UNLIKE = b"nd"
NAMES_A_SCRIPT: Final = 500
NAMES_A_CALL: Final = 1000  # about a millisecond of Redis
SHADOW_LIFE_S: Final = 24 * 60 * 60


class ShadowKeys:
    """Of one tenant. `redis` answers bytes; that of a cluster will do, since a tenant's keys share their slot."""

    def __init__(self, redis: Any, tenant: str, *, cluster: bool = False) -> None:
        self.live = KeySpace(tenant, cluster=cluster)
        self.shadow = KeySpace(tenant, cluster=cluster, shadow=True)
        self._redis = redis
        self._unlike = redis.register_script(SCRIPT)

    async def remove(self) -> int:
        """Everything of the shadow; how many keys that were."""
        removed = 0
        async for names in self._scan(self.shadow.prefix):
            removed += await self._redis.unlink(*(self.shadow.prefix.encode() + name for name in names))
        return removed

    async def names(self) -> set[bytes]:
        """Of the shadow's features."""
        found = set[bytes]()
        async for names in self._scan(self.shadow.prefix):
            found.update(name for name in names if name.startswith(_FEATURES))
        return found

    async def stale(self, kept: set[bytes]) -> list[bytes]:
        """The features in use that are not among `kept`."""
        found = list[bytes]()
        async for names in self._scan(self.live.prefix):
            found += [name for name in names if name.startswith(_FEATURES) and name not in kept]
        return found

    async def having(self, space: KeySpace, names: Iterable[bytes]) -> set[bytes]:
        """Those of the names that `live` or `shadow` has."""
        found = set[bytes]()
        for part in parts(list(names)):
            pipeline = self._redis.pipeline(transaction=False)
            for name in part:
                pipeline.exists(space.prefix.encode() + name)
            found.update(name for name, exists in zip(part, await pipeline.execute(), strict=True) if exists)
        return found

    async def sifted(self, names: Sequence[bytes]) -> tuple[set[bytes], list[bytes]]:
        """Those of the names that both have, and those among them whose content is not alike byte for byte."""
        both, unlike = set[bytes](), list[bytes]()
        for part in parts(names, NAMES_A_SCRIPT):
            packed = msgspec.msgpack.encode([name.decode() for name in part])
            args = [self.live.prefix, self.shadow.prefix, packed]
            letters = await self._unlike(keys=[self.live.key("fence", "features")], args=args)
            both.update(name for name, letter in zip(part, letters, strict=True) if letter != NOT_IN_BOTH)
            unlike += [name for name, letter in zip(part, letters, strict=True) if letter == UNLIKE]
        return both, unlike

    async def shared_names(self, partitions: Iterable[int]) -> set[bytes]:
        """Of what the shadow has of no single user."""
        lists = await self._redis.hkeys(self.shadow.key("hot:landmarks"))
        opened = (f"sessions:open:{number}".encode() for number in partitions)
        return await self.having(self.shadow, {*lists, *opened, *SHARED})

    async def let_expire(self, number: int, events: Iterable[Event]) -> None:
        """What the sink gives no end, it has in a shadow, as all its keys: of a partition and of what came by it."""
        names = {f"{kind}:{encode_id(event.user_id)}" for event in events if (kind := LINKS.get(event.action_type))}
        pipeline = self._redis.pipeline(transaction=False)
        for name in (f"sessions:open:{number}", "watermarks", "fence:features", *names):
            pipeline.expire(self.shadow.prefix + name, SHADOW_LIFE_S)
        await pipeline.execute()

    async def keep_older(self, since_ms: int, recent: int) -> int:
        """Takes over what the log no longer shows: all follows and blocks, and entries of recent lists of before
        `since_ms`, up to `recent` in a list. Doing it again adds nothing. How many keys were taken over or joined.
        """
        kept = 0
        async for names in self._scan(self.live.prefix):
            links = [name for name in names if name.startswith((f"{FOLLOWS}:".encode(), f"{BLOCKS}:".encode()))]
            recents = [name for name in names if name.startswith(b"user:recent:")]
            await self._unite(links)
            kept += len(links) + await self._prolong(recents, since_ms, recent)
        return kept

    async def _unite(self, links: list[bytes]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for name in links:
            shadow = self.shadow.prefix.encode() + name
            pipeline.sunionstore(shadow, [shadow, self.live.prefix.encode() + name])
            pipeline.expire(shadow, SHADOW_LIFE_S)
        await pipeline.execute()

    async def _prolong(self, recents: list[bytes], since_ms: int, size: int) -> int:
        lists = self._redis.pipeline(transaction=False)
        for name in recents:
            lists.lrange(self.shadow.prefix.encode() + name, 0, -1)
            lists.lrange(self.live.prefix.encode() + name, 0, -1)
        found = await lists.execute()
        pipeline, prolonged = self._redis.pipeline(transaction=False), 0
        for name, rebuilt, in_use in zip(recents, found[::2], found[1::2], strict=True):
            older = older_entries(rebuilt, in_use, since_ms)[: size - len(rebuilt)]
            if older:
                prolonged += 1
                pipeline.rpush(self.shadow.prefix.encode() + name, *older)
                pipeline.expire(self.shadow.prefix.encode() + name, SHADOW_LIFE_S)
        await pipeline.execute()
        return prolonged

    async def _scan(self, prefix: str) -> AsyncIterator[list[bytes]]:
        """The names behind a prefix, some at a time; one may come twice. The live prefix has those of the shadow too,
        which begin like no feature."""
        start, names = len(prefix.encode()), list[bytes]()
        async for key in self._redis.scan_iter(match=f"{prefix}*", count=NAMES_A_CALL):
            names.append(key[start:])
            if len(names) == NAMES_A_CALL:
                yield names
                names = []
        if names:
            yield names


def parts(names: Sequence[bytes], size: int = NAMES_A_CALL) -> Iterator[Sequence[bytes]]:
    return (names[start : start + size] for start in range(0, len(names), size))


def names_of(events: Iterable[Event], window_ms: int = DAY_MS) -> set[bytes]:
    """Every user's key that these events may have changed."""
    names = set[str]()
    for event in events:
        user, moment = encode_id(event.user_id), min(event.timestamp, event.received_at)
        names.update(f"{kind}:{user}" for kind in ("user:session", "user:session_items", "user:recent"))
        names.add(f"user:heat:{user}:{moment // window_ms}")
        if kind := LINKS.get(event.action_type):
            names.add(f"{kind}:{user}")
    return {name.encode() for name in names}


def older_entries(rebuilt: list[bytes], in_use: list[bytes], since_ms: int) -> list[bytes]:
    """The entries of a recent list in use that lie before `since_ms` and were not rebuilt; newest first, as it is."""
    known = Counter(rebuilt)
    older = list[bytes]()
    for entry in in_use:
        if known[entry]:
            known[entry] -= 1
        elif msgspec.json.decode(entry)[2] < since_ms:
            older.append(entry)
    return older
