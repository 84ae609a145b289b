"""Writes ranked lists to `rec:cache` and `rec:meta`.

Promise: a list and its meta change together, in one script call, and a write may be repeated, so a caller that does
not know whether one arrived writes again. Redis away: redis.exceptions.ConnectionError or TimeoutError, and the caller
retries. A script and not a MULTI: it carries 100 ids as one value, which is half the work of packing them one by one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from redis.asyncio import Redis

from recommenders.arrays import BoolArray, IntArray
from recommenders.candidates import Result
from recommenders.mix import SourceWeights
from recommenders.scorers.weighted import contributions
from recommenders.vocabulary import Vocabulary
from schemas.keys import KeySpace

MODEL_VERSION: Final = "item-cf-seq-1"
PERSONAL_SOURCES: Final = frozenset({"item_cf"})

WRITE_LIST: Final = """
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('RPUSH', KEYS[1], unpack(cmsgpack.unpack(ARGV[2])))
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[2], unpack(ARGV, 3))
redis.call('EXPIRE', KEYS[2], ARGV[1])
"""

_encode = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class ListWriter:
    """Writes one tenant's lists. `weights`: to name the strongest of the sources that found an item."""

    keys: KeySpace
    items: Vocabulary
    weights: SourceWeights
    ttl_s: int = 86_400

    async def write(self, redis: Redis, results: Sequence[Result]) -> None:
        """An empty result removes the list kept, so that readers fall back."""
        script = redis.register_script(WRITE_LIST)
        async with redis.pipeline(transaction=False) as pipe:
            for result in results:
                place = (result.query.user_id, result.query.scene.name)
                keys = [self.keys.key("rec:cache", *place), self.keys.key("rec:meta", *place)]
                if len(result.selected):
                    await script(keys, self._arguments(result), client=pipe)
                else:
                    pipe.delete(*keys)
            await pipe.execute()

    def _arguments(self, result: Result) -> list[Any]:
        """Of the script: the life in s, the item ids as msgpack, then the fields of the meta."""
        items = [self.items.ids[item] for item in result.selected.items.tolist()]
        return [self.ttl_s, _pack(items), *(part for field in self.meta(result).items() for part in field)]

    def meta(self, result: Result) -> dict[str, Any]:
        """The fields of `rec:meta`; scores, sources and reasons are JSON arrays aligned with the list."""
        selected = result.selected
        named = ~np.isnan(selected.recall)
        parts = contributions(selected, self.weights.under(result.query.mix))
        strongest = np.where(named, parts, -np.inf).argmax(axis=1)
        return {
            "scores": _encode(np.round(np.nan_to_num(selected.scores), 6).tolist()),
            "sources": _encode(_source_names(result.sources, named, strongest)),
            "reasons": _encode(_reasons(result, strongest)),
            "strategy": _strategy(result),
            "model_version": MODEL_VERSION,
            "computed_at": result.query.now_ms,
        }


def _source_names(sources: tuple[str, ...], named: BoolArray, strongest: IntArray) -> list[str]:
    """Names joined by "+", the strongest first; `named` (n, sources), `strongest` (n,).

    Few combinations stand in a list, so each is spelt once.
    """
    codes = (named @ (1 << np.arange(len(sources)))) * len(sources) + strongest
    spelt: dict[int, str] = {}
    for code in np.unique(codes).tolist():
        mask, first = divmod(code, len(sources))
        others = [name for place, name in enumerate(sources) if mask >> place & 1 and place != first]
        spelt[code] = "+".join((sources[first], *others))
    return [spelt[code] for code in codes.tolist()]


def _reasons(result: Result, strongest: IntArray) -> list[Any]:
    rows = result.selected.reason_of[np.arange(len(strongest)), strongest].tolist()
    return [result.reasons[source][row] for source, row in zip(strongest.tolist(), rows, strict=True)]


def _strategy(result: Result) -> str:
    """`personal` where a source that knows the user gave items, `popular` where none did."""
    personal = [place for place, name in enumerate(result.sources) if name in PERSONAL_SOURCES]
    return "popular" if np.isnan(result.selected.recall[:, personal]).all() else "personal"
