"""At most one rebuild of a tenant at a time: a mark in Redis that its owner renews, and that ends by itself."""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from redis.exceptions import RedisError

from schemas.keys import KeySpace
from streams.replay.errors import ReplayLost, ReplayRunning

LIFE_MS: Final = 30_000
RENEW_S: Final = 10.0
_RENEW: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
_END: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('UNLINK', KEYS[1]) end"


class Ownership:
    """Of the rebuild of one tenant."""

    def __init__(self, redis: Any, keys: KeySpace) -> None:
        self._redis = redis
        self._tenant = keys.tenant
        self._key = keys.key("features:replay")
        self._name = f"process {os.getpid()} on {socket.gethostname()} ({secrets.token_hex(4)})"

    async def check(self) -> None:
        """Raises ReplayLost where another took over."""
        if not await self._redis.eval(_RENEW, 1, self._key, self._name, LIFE_MS):
            raise ReplayLost(self._tenant)

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Raises ReplayRunning."""
        if not await self._redis.set(self._key, self._name, nx=True, px=LIFE_MS):
            owner = await self._redis.get(self._key)
            raise ReplayRunning(self._tenant, (owner or b"another process").decode(errors="replace"))
        renewing = asyncio.create_task(self._renew())
        try:
            yield
        finally:
            renewing.cancel()
            with suppress(RedisError):
                await self._redis.eval(_END, 1, self._key, self._name)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            with suppress(RedisError, ReplayLost):  # who writes next finds out
                await self.check()


async def end_ownership(redis: Any, keys: KeySpace) -> None:
    """Whoever rebuilds the tenant's features finds out before the next swap."""
    await redis.unlink(keys.key("features:replay"))
