"""The read side: the list kept for a user and scene, and what stands in where none is.

Order: `rec:cache` as the worker wrote it -> hot lists of the scene's categories -> of the scenarios that feed it
-> of the whole tenant -> the items configured in the pipeline file. `StoredList.strategy` says which it was.
Nothing here writes; a Redis that is away raises redis.exceptions.ConnectionError or TimeoutError.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec
from redis.asyncio import Redis

from recommenders.hot_lists import ListName, field_of, warmths
from recommenders.reasons import Reason, reason_text
from recommenders.scenes import EVERY_SCENARIO, Pipeline, Scene
from schemas.hot import CATEGORY, GLOBAL, SCENARIO, HotRecord
from schemas.keys import KeySpace

__all__ = ["LIST_SIZE", "Reason", "StoredList", "read_list", "read_or_fall_back", "reason_text"]

LIST_SIZE: Final = 100

_decode_scores = msgspec.json.Decoder(tuple[float, ...]).decode
_decode_sources = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_reasons = msgspec.json.Decoder(tuple[Reason, ...]).decode


@dataclass(frozen=True, slots=True)
class StoredList:
    """A ranked list, best first; `scores`, `sources` and `reasons` have its length.

    `sources` are names joined by "+", the strongest first. `computed_at`: ms, 0 for a fallback.
    """

    items: tuple[str, ...]
    scores: tuple[float, ...]
    sources: tuple[str, ...]
    reasons: tuple[Reason, ...]
    strategy: str
    model_version: str = ""
    computed_at: int = 0


EMPTY: Final = StoredList((), (), (), (), "empty")


async def read_list(redis: Redis, keys: KeySpace, user_id: str, scene: str) -> StoredList | None:
    """The list that the worker wrote; None where there is none, or it is not whole."""
    async with redis.pipeline(transaction=True) as pipe:  # cache and meta of the same writing
        pipe.lrange(keys.key("rec:cache", user_id, scene), 0, -1)
        pipe.hgetall(keys.key("rec:meta", user_id, scene))
        items, meta = await pipe.execute()
    return _stored(items, meta) if items and meta else None


async def read_or_fall_back(redis: Redis, keys: KeySpace, pipeline: Pipeline, user_id: str, scene: Scene) -> StoredList:
    """The user's list, or the first fallback that has items; `EMPTY` where not one has."""
    stored = await read_list(redis, keys, user_id, scene.name)
    return stored or await fall_back(redis, keys, pipeline, scene)


async def fall_back(redis: Redis, keys: KeySpace, pipeline: Pipeline, scene: Scene) -> StoredList:
    """A list for a user of whom nothing is known."""
    names = _hot_lists(scene)
    async with redis.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.zrevrange(keys.key(*name), 0, LIST_SIZE - 1, withscores=True)
        pipe.hmget(keys.key("hot:landmarks"), [field_of(keys, name) for name in names])
        *ranked, records = await pipe.execute()
    lists = [
        _HotList(name, rows, HotRecord.parse(record)) for name, rows, record in zip(names, ranked, records, strict=True)
    ]
    for kind in (CATEGORY, SCENARIO, GLOBAL):
        found = _hot(kind, [each for each in lists if each.name[0] == kind])
        if found.items:
            return found
    return _configured(pipeline.configured_items)


def _stored(items: list[bytes], meta: dict[bytes, bytes]) -> StoredList | None:
    try:
        found = StoredList(
            items=tuple(item.decode() for item in items),
            scores=_decode_scores(meta[b"scores"]),
            sources=_decode_sources(meta[b"sources"]),
            reasons=_decode_reasons(meta[b"reasons"]),
            strategy=meta[b"strategy"].decode(),
            model_version=meta[b"model_version"].decode(),
            computed_at=int(meta[b"computed_at"]),
        )
    except (KeyError, ValueError, msgspec.DecodeError):
        return None  # written by another version: the fallback answers until the worker writes again
    aligned = len(found.items) == len(found.scores) == len(found.sources) == len(found.reasons)
    return found if aligned else None


class _HotList(NamedTuple):
    """What Redis holds of a hot list: items with their scores, best first."""

    name: ListName
    rows: list[tuple[bytes, float]]
    record: HotRecord | None


def _hot_lists(scene: Scene) -> list[ListName]:
    """The hot lists that may stand in for the scene."""
    if scene.categories:  # a scenario's list, or the whole tenant's, may hold any category
        return [(CATEGORY, name) for name in sorted(scene.categories)]
    return [*((SCENARIO, name) for name in scene.scenarios if name != EVERY_SCENARIO), (GLOBAL,)]


def _hot(kind: str, lists: list[_HotList]) -> StoredList:
    """Several hot lists as one, as `sources.hot` blends them: by shares of the best, and by warmth."""
    code, best = kind.replace(":", "_"), dict[str, tuple[float, str]]()
    for (name, rows, _), warmth in zip(lists, warmths([each.record for each in lists]), strict=True):
        top = rows[0][1] if rows else 1.0
        for item, score in rows:
            share = warmth * score / top if top > 0 else 0.0
            if share > best.get(item.decode(), (-1.0, ""))[0]:
                best[item.decode()] = (share, "".join(name[1:]))
    ranked = sorted(best.items(), key=lambda entry: (-entry[1][0], entry[0]))[:LIST_SIZE]
    return StoredList(
        items=tuple(item for item, _ in ranked),
        scores=tuple(score for _, (score, _) in ranked),
        sources=("hot",) * len(ranked),
        reasons=tuple(Reason(code, subject) for _, (_, subject) in ranked),
        strategy=code,
    )


def _configured(items: tuple[str, ...]) -> StoredList:
    if not items:
        return EMPTY
    count = len(items)
    return StoredList(items, (0.0,) * count, ("configured",) * count, (Reason("configured"),) * count, "configured")
