"""Recommendations as they are read: the kept list or its fallback, cleaned, enriched and cut to a page.

Order: the list of the given request id -> `rec:cache` -> hot lists -> the configured items; `strategy` says which.
What is left out: inactive items, those the caller excludes, and, where asked, those the user has played.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ingest_api.api_codes import ApiCode
from ingest_api.deps import DoorSettings
from ingest_api.errors import RequestRefused, StoreUnavailable
from ingest_api.hit_rate import HitRate
from ingest_api.pipelines import Pipelines
from ingest_api.ranked_list import RankedItem, RankedList, keep_page_list, read_page_list
from recommenders.hot_lists import DEEPEST, WHOLE_TENANT, counted_in, hottest, list_of, rising
from recommenders.read import LIST_SIZE, Reason, StoredList, fall_back, read_list, reason_text
from recommenders.scenes import Pipeline, Scene
from schemas.ids import new_request_id
from schemas.keys import KeySpace
from schemas.metrics import REC_CACHE_HIT_RATE

log = structlog.get_logger()

SIMILAR: Final = "similar"
PLAYED: Final = frozenset("play play_end bet order payment purchase".split())
ITEM_FIELDS: Final = tuple(
    "name category sub_category provider author_id tags thumbnail_url rtp volatility duration_s is_active".split()
)
# KEYS hashes, ARGV fields: for each hash its fields. nil would end a Lua table; false is nil on the wire.
_READ_FIELDS: Final = """
local rows = {}
for i, key in ipairs(KEYS) do rows[i] = redis.call('HMGET', key, unpack(ARGV)) end
return rows
"""
_SIMILAR_TEXT: Final = {"en": "Similar to {name}", "zh": "与《{name}》相似"}

HotKind = Literal["hot", "rising"]

_decode_recent = msgspec.json.Decoder(tuple[str, str, int]).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class RecQuery:
    """What is asked. `start`: places of the list that come before the page. `scene` None: the tenant's default."""

    tenant: str
    user_id: str
    scene: str | None = None
    item_id: str | None = None
    start: int = 0
    size: int = 15
    exclude: frozenset[str] = frozenset()
    exclude_played: bool = False
    request_id: str | None = None
    language: str = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class HotQuery:
    """What is asked. `scenario` global: the whole tenant's; `category`: only items of it."""

    tenant: str
    scenario: str
    kind: HotKind = "hot"
    category: str | None = None
    size: int = 20
    language: str = "en"

    @property
    def is_category_list(self) -> bool:
        """Whether one list has the answer; every other is read deeper, and cut down to the category."""
        return self.category is not None and self.kind == "hot" and self.scenario == WHOLE_TENANT


@dataclass(frozen=True, slots=True)
class RecPage:
    """A page. `total`: the length of the whole list; each item has item_id, score, source, reason and its fields."""

    items: list[dict[str, Any]]
    total: int
    request_id: str
    scene: str
    ranked: RankedList
    removed: dict[str, int] = field(default_factory=dict)

    @property
    def strategy(self) -> str:
        return self.ranked.strategy


class RecommendService:
    """Reads recommendations from Redis. Raises RequestRefused for what cannot be asked, StoreUnavailable."""

    def __init__(self, redis: Redis, settings: DoorSettings) -> None:
        self._redis = redis
        self._settings = settings
        self._pipelines = Pipelines(settings.pipelines_dir)
        self._hits = HitRate(REC_CACHE_HIT_RATE)
        self._read_fields = redis.register_script(_READ_FIELDS)

    async def scene_of(self, tenant: str, name: str | None) -> str:
        """The scene that is meant. Raises RequestRefused for one that the tenant does not have."""
        pipeline = await self._pipelines.get(tenant)
        wanted = name or pipeline.default_scene
        if wanted != SIMILAR and pipeline.scene(wanted) is None:
            known = ", ".join([*(scene.name for scene in pipeline.scenes), SIMILAR])
            raise RequestRefused(ApiCode.UNKNOWN_SCENE, f"there is no scene {wanted!r}, only {known}")
        return wanted

    async def page(self, query: RecQuery) -> RecPage:
        """One page of the list."""
        scene = await self.scene_of(query.tenant, query.scene)
        if scene == SIMILAR and query.item_id is None:
            raise RequestRefused(ApiCode.ITEM_NEEDED, ApiCode.ITEM_NEEDED.meaning)
        pipeline = await self._pipelines.get(query.tenant)
        try:
            return await self._read(query, scene, pipeline)
        except (RedisError, OSError) as error:
            log.warning("recommendations_unreadable", tenant=query.tenant, error=str(error) or type(error).__name__)
            if not pipeline.configured_items:
                raise StoreUnavailable("Redis") from error
            return _without_redis(query, scene, pipeline)

    async def hot(self, query: HotQuery, now_ms: int) -> list[dict[str, Any]]:
        """What is hot, or rising, at `now_ms`; nothing for a scenario that has no list."""
        keys = self._keys(query.tenant)
        try:
            items = await self._enrich(keys, await self._ranked(keys, query, now_ms), query.language)
            if query.category is not None and not query.is_category_list:
                counted = await counted_in(self._redis, keys, query.category, [item["item_id"] for item in items])
                items = [item for item in items if item["category"] == query.category or item["item_id"] in counted]
        except (RedisError, OSError) as error:
            raise StoreUnavailable("Redis") from error
        return items[: query.size]

    async def _ranked(self, keys: KeySpace, query: HotQuery, now_ms: int) -> list[RankedItem]:
        size = LIST_SIZE if query.category is None or query.is_category_list else DEEPEST
        if query.kind == "rising":
            source, reason = "rising", Reason("rising")
            ranked = await rising(self._redis, keys, query.scenario, now_ms, size)
        else:
            name = list_of(query.scenario, query.category)
            source, reason = "hot", Reason(name[0].replace(":", "_"), "".join(name[1:]))
            ranked = await hottest(self._redis, keys, name, now_ms, size)
        return [RankedItem(item, score, source, reason) for item, score in ranked]

    async def _read(self, query: RecQuery, scene: str, pipeline: Pipeline) -> RecPage:
        keys = self._keys(query.tenant)
        place = (query.user_id, scene, query.item_id or "")
        request_id = query.request_id or new_request_id()
        ranked = await read_page_list(self._redis, keys, request_id, place) if query.request_id else None
        removed: dict[str, int] = {}
        if ranked is None:
            found = RankedList.of(place, await self._find(keys, query, scene, pipeline))
            ranked, removed = await self._clean(keys, query, found)
            await keep_page_list(self._redis, keys, request_id, ranked, self._settings.page_ttl_s)
        left = ranked.without(query.exclude)
        removed |= {"excluded": len(ranked.items) - len(left.items)}
        page = left.items[query.start : query.start + query.size]
        items = await self._enrich(keys, page, query.language)
        return RecPage(items, len(left.items), request_id, scene, left, removed)

    async def _find(self, keys: KeySpace, query: RecQuery, scene: str, pipeline: Pipeline) -> StoredList:
        if scene == SIMILAR and query.item_id is not None:
            similar = await _similar(self._redis, keys, query.item_id)
            return similar or await fall_back(self._redis, keys, pipeline, _default_scene(pipeline))
        wanted = pipeline.scene(scene) or _default_scene(pipeline)
        kept = await read_list(self._redis, keys, query.user_id, wanted.name)
        self._hits.count(hit=kept is not None)
        return kept or await fall_back(self._redis, keys, pipeline, wanted)

    async def _clean(self, keys: KeySpace, query: RecQuery, found: RankedList) -> tuple[RankedList, dict[str, int]]:
        active = await self._fields(keys, found.items, ("is_active",))
        inactive = {item.item_id for item, row in zip(found.items, active, strict=True) if row[0] == b"0"}
        played: set[str] = set()
        if query.exclude_played:
            recent: Any = self._redis.lrange(keys.key("user:recent", query.user_id), 0, -1)
            played = _played(await recent)
        removed = {
            "inactive": len(inactive),
            "played": sum(item.item_id in played - inactive for item in found.items),
        }
        return found.without(inactive | played), removed

    async def _enrich(self, keys: KeySpace, ranked: Sequence[RankedItem], language: str) -> list[dict[str, Any]]:
        """With their catalogue fields. One withdrawn since the list was made is left out, and not replaced: what
        would take its place stands on the next page."""
        rows = await self._fields(keys, ranked, ITEM_FIELDS)
        return [_shown(item, row, language) for item, row in zip(ranked, rows, strict=True) if row[-1] != b"0"]

    async def _fields(
        self, keys: KeySpace, ranked: Sequence[RankedItem], names: tuple[str, ...]
    ) -> list[list[bytes | None]]:
        """These fields of every item; one call, since packing a hundred costs the door more than Redis."""
        if not ranked:
            return []
        rows: list[list[bytes | None]] = await self._read_fields(
            keys=[keys.key("item", item.item_id) for item in ranked], args=names
        )
        return rows

    def _keys(self, tenant: str) -> KeySpace:
        return KeySpace(tenant, cluster=self._settings.redis_cluster)


def _default_scene(pipeline: Pipeline) -> Scene:
    return next(scene for scene in pipeline.scenes if scene.name == pipeline.default_scene)


def _played(recent: Sequence[bytes]) -> set[str]:
    rows = map(_decode_recent, recent)
    return {item for item, action, _ in rows if action in PLAYED}


async def _similar(redis: Redis, keys: KeySpace, item_id: str) -> StoredList | None:
    """The items like this one, best first; the precomputed list, else the scores that the worker keeps."""
    async with redis.pipeline(transaction=False) as pipe:
        pipe.lrange(keys.key("rec:similar", item_id), 0, LIST_SIZE - 1)
        pipe.hgetall(keys.key("game:sim", item_id))
        pipe.hget(keys.key("item", item_id), "name")
        listed, scored, name = await pipe.execute()
    scores = {item.decode(): float(score) for item, score in scored.items()}
    best_first = [item.decode() for item in listed] or sorted(scores, key=lambda item: (-scores[item], item))
    items = tuple(item for item in best_first if item != item_id)[:LIST_SIZE]
    if not items:
        return None
    reason = Reason("similar", name.decode() if name else item_id, item_id)
    return StoredList(
        items=items,
        scores=tuple(scores.get(item, 0.0) for item in items),
        sources=(SIMILAR,) * len(items),
        reasons=(reason,) * len(items),
        strategy=SIMILAR,
    )


def _shown(item: RankedItem, row: Sequence[bytes | None], language: str) -> dict[str, Any]:
    fields = {name: value.decode() if value is not None else None for name, value in zip(ITEM_FIELDS, row, strict=True)}
    return {
        "item_id": item.item_id,
        "score": item.score,
        "recall_source": item.source,
        "reason": _reason(item.reason, language),
        **fields,
        "tags": msgspec.json.decode(fields["tags"]) if fields["tags"] else [],
        "rtp": _number(fields["rtp"]),
        "duration_s": _number(fields["duration_s"]),
    }


def _reason(reason: Reason, language: str) -> str:
    if reason.code == SIMILAR:
        text = _SIMILAR_TEXT["zh" if language.lower().startswith("zh") else "en"]
        return text.replace("{name}", reason.subject)
    return reason_text(reason, language)


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)


def _without_redis(query: RecQuery, scene: str, pipeline: Pipeline) -> RecPage:
    """The configured items, bare: nothing else can be known."""
    place = (query.user_id, scene, query.item_id or "")
    items = tuple(RankedItem(item, 0.0, "configured", Reason("configured")) for item in pipeline.configured_items)
    ranked = RankedList(place, "configured", "", 0, items).without(query.exclude)
    nothing = (None,) * len(ITEM_FIELDS)
    shown = [_shown(item, nothing, query.language) for item in ranked.items[query.start : query.start + query.size]]
    return RecPage(shown, len(ranked.items), query.request_id or new_request_id(), scene, ranked)
