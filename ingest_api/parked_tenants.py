"""Parked tenants, as operators see them: who waits and why, and the word to go on (`streams.parking`)."""

import secrets
from typing import Any, Final, cast

from redis.asyncio import Redis

from schemas.keys import KeySpace

MARK_S: Final = 24 * 60 * 60


class ParkedTenants:
    """Raises RedisError."""

    def __init__(self, redis: Redis, *, cluster: bool = False) -> None:
        self._redis = redis
        self._cluster = cluster

    async def reasons(self, tenant: str) -> dict[str, str]:
        """agent -> why it lets the tenant's raw events wait; those of the last ten seconds."""
        found = await cast(Any, self._redis.hgetall(self._keys(tenant).key("parked")))
        return {agent.decode(): reason.decode() for agent, reason in found.items()}

    async def resume(self, tenant: str) -> None:
        """Leave a mark that the workers have not seen: they go on within about a second. Twice does no harm."""
        keys = self._keys(tenant)
        await self._redis.set(keys.key("parked:resumed"), secrets.token_hex(8), ex=MARK_S)
        await self._redis.delete(keys.key("parked"))

    def _keys(self, tenant: str) -> KeySpace:
        return KeySpace(tenant, cluster=self._cluster)
