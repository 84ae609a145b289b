"""In which keys a shadow differs from the features in use."""

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from streams.features.model import BLOCKS, FOLLOWS
from streams.replay.shadow import ShadowKeys, parts

MAX_READ: Final = 10_000  # keys that are read here, since Redis found them not to be alike byte for byte
MAX_EXAMPLES: Final = 5
SAME_SCORE: Final = 1e-6  # relative; sums of the same heat in another order differ by less


@dataclass(frozen=True, slots=True)
class Difference:
    """Of the keys by name: in use only, in the shadow only, in both. Of the last, `compared` were looked at, and
    `differing` are those among them whose content differs. `examples` are names of each."""

    only_live: int
    only_shadow: int
    both: int
    compared: int
    differing: int
    examples: dict[str, list[str]]


async def compare(
    redis: Any, keys: ShadowKeys, names: set[bytes], stale: Sequence[bytes], catch_up: Callable[[], Awaitable[None]]
) -> tuple[Difference, set[bytes]]:
    """`names` of the shadow, `stale` of those in use that it has not. What differs is looked at again after
    `catch_up`: events go on meanwhile. With the names whose content was found the same, now or then."""
    readable = [name for name in names if _reader(name)]
    both, unlike = await keys.sifted(readable)
    found = await differing(redis, keys, sample := unlike[:MAX_READ])
    if found:
        await catch_up()
        found = await differing(redis, keys, found)
    same = both.difference(unlike).union(sample).difference(found)
    both |= await keys.having(keys.live, names.difference(readable))
    only_shadow = list(names - both)
    shown = {"only_live": stale, "only_shadow": only_shadow, "differing": found}
    difference = Difference(
        only_live=len(stale),
        only_shadow=len(only_shadow),
        both=len(both),
        compared=len(both) - len(unlike) + len(sample),
        differing=len(found),
        examples={what: [name.decode() for name in some[:MAX_EXAMPLES]] for what, some in shown.items()},
    )
    return difference, same


async def differing(redis: Any, keys: ShadowKeys, names: Iterable[bytes]) -> list[bytes]:
    """Of features that can be compared, those whose content is not the same in use and in the shadow."""
    found = list[bytes]()
    for part in parts(list(names), 200):
        pipeline = redis.pipeline(transaction=False)
        for name in part:
            for prefix in (keys.live.prefix, keys.shadow.prefix):
                _reader(name)(pipeline, prefix.encode() + name)
        answers = await pipeline.execute()
        pairs = zip(part, answers[::2], answers[1::2], strict=True)
        found += [name for name, live, shadow in pairs if not is_same(live, shadow)]
    return found


def is_same(live: Any, shadow: Any) -> bool:
    """Whether two contents are: a hash, a list, a set, or members with their scores."""
    if isinstance(live, list) and live and isinstance(live[0], list | tuple):
        return _is_same_heat(dict(live), dict(shadow))
    return bool(live == shadow)


def _is_same_heat(live: Mapping[bytes, float], shadow: Mapping[bytes, float]) -> bool:
    return live.keys() == shadow.keys() and all(
        math.isclose(score, shadow[item], rel_tol=SAME_SCORE) for item, score in live.items()
    )


def _reader(name: bytes) -> Any:
    """How a feature is read; None where its content is not to be compared: event ids seen."""
    return next((read for start, read in READERS.items() if name.startswith(start.encode())), None)


def _hash(pipeline: Any, key: bytes) -> None:
    pipeline.hgetall(key)


def _set(pipeline: Any, key: bytes) -> None:
    pipeline.smembers(key)


def _list(pipeline: Any, key: bytes) -> None:
    pipeline.lrange(key, 0, -1)


def _scores(pipeline: Any, key: bytes) -> None:
    pipeline.zrange(key, 0, -1, withscores=True)


READERS: Final[dict[str, Callable[[Any, bytes], None]]] = {  # the first that fits
    "user:session:": _hash,
    "user:session_items:": _set,
    "user:recent:": _list,
    "user:heat:": _hash,
    f"{FOLLOWS}:": _set,
    f"{BLOCKS}:": _set,
    "hot:landmarks": _hash,
    "hot:": _scores,
}
