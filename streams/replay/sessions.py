"""Which of a shadow's sessions are closed. None of them is summarised: whoever closed the session in use did that.

A session is closed where the watermark has passed it, as in the features in use, but for those that stand open there
though it has: their summary is still to come, so they stay open in the shadow too, and the worker closes them after the
swap.
"""

from collections.abc import Iterable
from typing import Any, Final

from schemas.keys import encode_id
from streams.features.sink import RedisFeatureSink
from streams.replay.shadow import SHADOW_LIFE_S, ShadowKeys

EPOCH: Final = 1  # of the shadow's fences, which one rebuild alone writes


async def settle_sessions(
    redis: Any, keys: ShadowKeys, sink: RedisFeatureSink, partitions: Iterable[int], *, at_live_mark: bool
) -> None:
    """Close what is to be closed. Doing it again is harmless. Raises SinkUnavailable.

    `at_live_mark`: by the watermarks in use, which the clock may have moved; only while both fences are the same.
    """
    marks = await redis.hgetall(keys.live.key("watermarks"))
    for number in partitions:
        mark = int(marks.get(str(number).encode(), 0))
        waiting = await _passed_but_open(redis, keys, number, mark)
        more = True
        while more:
            closed = await sink.close_sessions(keys.live.tenant, number, EPOCH, mark=mark if at_live_mark else 0)
            more = closed is not None and closed.more
        await _open_again(redis, keys, number, waiting)


async def _passed_but_open(redis: Any, keys: ShadowKeys, number: int, mark: int) -> dict[bytes, float]:
    """Users whose session in use nobody has closed yet -> when it can be closed, as the shadow says."""
    index = f"sessions:open:{number}"
    users = await redis.zrangebyscore(keys.live.prefix + index, "-inf", f"({mark}")
    scores = await redis.zmscore(keys.shadow.prefix + index, users) if users else []
    return {user: score for user, score in zip(users, scores, strict=True) if score is not None}


async def _open_again(redis: Any, keys: ShadowKeys, number: int, waiting: dict[bytes, float]) -> None:
    reads = redis.pipeline(transaction=False)
    sessions = ["user:session:" + encode_id(user.decode()) for user in waiting]
    for name in sessions:
        for prefix in (keys.live.prefix, keys.shadow.prefix):
            reads.hmget(prefix + name, "session_id", "closed")
    found = await reads.execute()
    writes = redis.pipeline(transaction=False)
    for (user, score), name, live, shadow in zip(waiting.items(), sessions, found[::2], found[1::2], strict=True):
        if live[0] == shadow[0] and not live[1] and shadow[1]:
            writes.hdel(keys.shadow.prefix + name, "closed")
            writes.zadd(keys.shadow.prefix + f"sessions:open:{number}", {user: score})
            for life_of in (name, name.replace("user:session:", "user:session_items:", 1)):
                writes.expire(keys.shadow.prefix + life_of, SHADOW_LIFE_S)
    await writes.execute()
