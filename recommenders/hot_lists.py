"""The read side of hot lists: what is hot in one of a tenant's lists now, and what is rising.

Heat is the weight of the events on an item, each halved with every half-life since. Rising is what is hotter lately
than it was: the heat of a list that forgets faster, scaled by how much faster, against the heat of the long one. A
steady item has about 1, a new one at most the scale. Nothing here writes; a Redis that is away raises
redis.exceptions.ConnectionError or TimeoutError.
"""

from collections.abc import Sequence
from typing import Final

from redis.asyncio import Redis

from schemas.hot import CATEGORY, GLOBAL, GLOBAL_SHORT, SCENARIO, SCENARIO_SHORT, HotRecord
from schemas.keys import KeySpace

ListName = tuple[str, ...]  # kind and ids of a key
Ranked = list[tuple[str, float]]  # items with their heat, or how much they rise; best first

WHOLE_TENANT: Final = "global"  # where a scenario is asked for: the tenant's list
RISING_ABOVE: Final = 1.5  # the ordinary ups and downs of a steady item stay below
PRIOR_HEAT: Final = 30.0  # three users' caps: fewer cannot make an item rise much
DEEPEST: Final = 500  # of the short list, which is where anything that rises must stand


def list_of(scenario: str, category: str | None = None) -> ListName:
    """The list of a scenario, or of a category of the whole tenant."""
    if scenario != WHOLE_TENANT:
        return (SCENARIO, scenario)
    return (CATEGORY, category) if category else (GLOBAL,)


def warmths(records: Sequence[HotRecord | None]) -> list[float]:
    """How much each of several lists counts beside the others, where they are compared by shares of their best items.

    The heat of a list halves with each half-life since its last event: 1 for the liveliest, and for one without a
    record.
    """
    now_ms = max((record.latest for record in records if record), default=0)
    return [2.0 ** ((record.latest - now_ms) / record.half_life_ms) if record else 1.0 for record in records]


def field_of(keys: KeySpace, name: ListName) -> str:
    """The list's field in `hot:landmarks`."""
    return keys.key(*name).removeprefix(keys.prefix)


async def hottest(redis: Redis, keys: KeySpace, name: ListName, now_ms: int, size: int) -> Ranked:
    """The hottest items with their heat at `now_ms`; none where there is no such list."""
    record, rows = await _read_top(redis, keys, name, size)
    share_left = record.share_left(now_ms) if record else 1.0
    return [(item, score * share_left) for item, score in rows]


async def rising(redis: Redis, keys: KeySpace, scenario: str, now_ms: int, size: int) -> Ranked:
    """The items that rise most in a scenario, or in the whole tenant."""
    short_record, rows = await _read_top(redis, keys, _short(scenario), DEEPEST)
    if short_record is None or not rows:
        return []
    long_record, scores = await _read_scores(redis, keys, list_of(scenario), [item for item, _ in rows])
    if long_record is None:
        return []
    scale = long_record.half_life_ms / short_record.half_life_ms
    lately, in_all = short_record.share_left(now_ms), long_record.share_left(now_ms)
    ranked = [
        (item, scale * _ratio(short * lately, (long or 0.0) * in_all))
        for (item, short), long in zip(rows, scores, strict=True)
    ]
    best_first = sorted(ranked, key=lambda entry: (-entry[1], entry[0]))
    return [(item, rise) for item, rise in best_first if rise > RISING_ABOVE][:size]


async def counted_in(redis: Redis, keys: KeySpace, category: str, items: list[str]) -> set[str]:
    """Those of `items` that were counted in the category, by their events or by the catalogue."""
    if not items:
        return set()
    scores = await redis.zmscore(keys.key(CATEGORY, category), items)
    return {item for item, score in zip(items, scores, strict=True) if score is not None}


def _ratio(short: float, long: float) -> float:
    """An item that the long list no longer holds was at least as hot there as it is in the short one."""
    return short / (max(short, long) + PRIOR_HEAT)


def _short(scenario: str) -> ListName:
    return (GLOBAL_SHORT,) if scenario == WHOLE_TENANT else (SCENARIO_SHORT, scenario)


async def _read_top(redis: Redis, keys: KeySpace, name: ListName, size: int) -> tuple[HotRecord | None, Ranked]:
    """The list's record and best scores, of one moment: a landmark that moves changes both."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.hget(keys.key("hot:landmarks"), field_of(keys, name))
        pipe.zrevrange(keys.key(*name), 0, size - 1, withscores=True)
        record, rows = await pipe.execute()
    return HotRecord.parse(record), [(item.decode(), score) for item, score in rows]


async def _read_scores(
    redis: Redis, keys: KeySpace, name: ListName, items: list[str]
) -> tuple[HotRecord | None, list[float | None]]:
    async with redis.pipeline(transaction=True) as pipe:
        pipe.hget(keys.key("hot:landmarks"), field_of(keys, name))
        pipe.zmscore(keys.key(*name), items)
        record, scores = await pipe.execute()
    return HotRecord.parse(record), scores
