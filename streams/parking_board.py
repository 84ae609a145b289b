"""The board of parked tenants in Redis: two keys a tenant, which end by themselves.

`parked` is a hash agent -> reason, there while batches of the tenant wait; `parked:resumed` is the mark of the
operator who resumed it last. Writing either again changes nothing. A Redis that lost its data has forgotten a mark:
the operator gives it again.
"""

from typing import Final, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from schemas.keys import KeySpace
from streams.breaker import Reason
from streams.parking import BoardAwayError

POSTED_S: Final = 10  # a worker that ended, or that holds nothing of the tenant any more, is forgotten after it


class RedisBoard:
    """What `streams.parking` asks of a board."""

    def __init__(self, redis: Redis, *, cluster: bool = False) -> None:
        self._redis = redis
        self._cluster = cluster

    async def post(self, tenant: str, agent: str, reason: Reason) -> bytes | None:
        keys = KeySpace(tenant, cluster=self._cluster)
        parked = keys.key("parked")
        try:
            await self._redis.hset(parked, agent, reason.value)
            await self._redis.expire(parked, POSTED_S)
            mark = await self._redis.get(keys.key("parked:resumed"))
        except (RedisError, OSError) as error:
            raise BoardAwayError(repr(error)) from error
        return cast("bytes | None", mark)
