"""Puts a shadow in the place of the features in use.

Promise: the tenant's batches wait from `hold` to the end (the sink is told that Redis is busy), and the fences in use
are not touched: they stand where the shadow stands. Up to `AT_ONCE` keys go in one script: a reader sees the old
features or the new. More go in parts, each one script: a reader may see new keys beside old ones, each whole in itself,
and all hot lists change together. A hold ends by itself until the first part is written. From then on it
stays, whatever dies: `finish` completes the swap, by anybody, and nothing that was moved is lost or moved twice.
"""

import secrets
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any, Final, cast

import msgspec

from streams.features.model import BLOCKS, FOLLOWS, Lifetimes
from streams.replay.errors import ReplayLost
from streams.replay.shadow import ShadowKeys, parts

SCRIPT: Final = resources.files("streams.replay").joinpath("swap.lua").read_text()
AT_ONCE: Final = 10_000  # keys of one script: 92 ms when measured, on a loaded machine
PART: Final = 2_000
HOLD_MS: Final = 30_000
AS_IT_IS: Final = -1
FOR_EVER: Final = 0
ENDLESS: Final = (f"{FOLLOWS}:".encode(), f"{BLOCKS}:".encode(), b"sessions:open:", b"watermarks")

# What the features' place is held for.
READY: Final = b"ready"  # nothing is changed yet
DROPPING: Final = b"dropping"  # of the features in use, those go that the shadow has not
MOVING: Final = b"moving"  # they are gone; of the shadow, nothing or some is in its place

_pack = msgspec.msgpack.Encoder().encode


class Swap:
    """Of one tenant."""

    def __init__(self, redis: Any, keys: ShadowKeys, lifetimes: Lifetimes) -> None:
        self._redis = redis
        self._keys = keys
        self._lifetimes = lifetimes
        self._token = secrets.token_hex(8).encode()
        self._held_key = keys.live.key("features:held")
        self._script = redis.register_script(SCRIPT)

    async def hold(self) -> bool:
        """Whether from now on the tenant's batches wait, for HOLD_MS."""
        return bool(await self._redis.set(self._held_key, self._by(READY), nx=True, px=HOLD_MS))

    async def release(self) -> None:
        """Let the batches go on, where nothing was changed."""
        await self._run(self._by(READY), b"", [], [])

    async def end_foreign_hold(self) -> None:
        """Where a rebuild holds the features and has changed nothing yet, it will not."""
        held = cast(bytes | None, await self._redis.get(self._held_key))
        if held is not None and held.startswith(READY):
            await self._run(held, b"", [], [])

    async def put(self, moved: set[bytes], dropped: Sequence[bytes]) -> int:
        """Swap, while held: `moved` are the shadow's names, `dropped` those in use that it has not. In how many
        scripts. Raises ReplayLost where the hold has ended."""
        if len(moved) + len(dropped) <= AT_ONCE:
            await self._must(self._by(READY), b"", dropped, list(moved))
            return 1
        await self._must(self._by(READY), self._by(DROPPING), [], [])
        return 1 + await self._drop(dropped) + await self._move(moved)

    async def finish(self) -> bool:
        """Complete a swap that somebody began and left; whether there was one."""
        held = cast(bytes | None, await self._redis.get(self._held_key))
        phase = (held or b"").partition(b":")[0]
        if held is None or phase not in (DROPPING, MOVING):
            return False
        await self._must(held, self._by(phase), [], [])
        moved = await self._keys.names()
        if phase == DROPPING:
            await self._drop(await self._keys.stale(moved))
        await self._move(moved)
        return True

    async def _drop(self, names: Sequence[bytes]) -> int:
        scripts = 1
        for part in parts(names, PART):
            await self._must(self._by(DROPPING), self._by(DROPPING), part, [])
            scripts += 1
        await self._must(self._by(DROPPING), self._by(MOVING), [], [])
        return scripts

    async def _move(self, names: set[bytes]) -> int:
        """All hot lists go with the record of what their scores mean."""
        hot = [name for name in names if name.startswith(b"hot:")]
        await self._must(self._by(MOVING), self._by(MOVING), [], hot)
        scripts = 2
        for part in parts(list(names.difference(hot)), PART):
            await self._must(self._by(MOVING), self._by(MOVING), [], part)
            scripts += 1
        await self._must(self._by(MOVING), b"", [], [])
        return scripts

    async def _must(self, held: bytes, then: bytes, dropped: Sequence[bytes], moved: Sequence[bytes]) -> None:
        if not await self._run(held, then, dropped, moved):
            raise ReplayLost(self._keys.live.tenant)

    async def _run(self, held: bytes, then: bytes, dropped: Sequence[bytes], moved: Sequence[bytes]) -> bool:
        prefixes = (self._keys.live.prefix, self._keys.shadow.prefix)
        args = [held, then, *prefixes, _pack(list(map(bytes.decode, dropped))), _pack(self._by_life(moved))]
        return bool(await self._script(keys=[self._held_key], args=args))

    def _by_life(self, names: Iterable[bytes]) -> list[tuple[int, list[str]]]:
        """A shadow's keys live a day at most where those in use live longer."""
        groups: dict[int, list[str]] = {}
        for name in names:
            life = AS_IT_IS
            if name.startswith(b"user:recent:"):
                life = self._lifetimes.recent_s
            elif name.startswith(ENDLESS):
                life = FOR_EVER
            groups.setdefault(life, []).append(name.decode())
        return list(groups.items())

    def _by(self, phase: bytes) -> bytes:
        return phase + b":" + self._token
