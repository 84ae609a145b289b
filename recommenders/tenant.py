"""One tenant in the recommender worker: its state, how an event changes it, and the renewal of its users' lists."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from redis.asyncio import Redis

from recommenders.candidates import Query
from recommenders.histories import Histories, History
from recommenders.lists import ListWriter
from recommenders.mix import Mixes, SourceWeights
from recommenders.pending import Pending, Touched
from recommenders.registry import build_runner
from recommenders.runner import Runner
from recommenders.scenes import Pipeline, PipelineFileError, load_pipeline
from recommenders.similars import SimilarWriter
from recommenders.stores import Stores
from schemas.ages import AGES
from schemas.clock import Clock
from schemas.erased import ErasedUsers
from schemas.event import Event
from schemas.keys import KeySpace
from schemas.metrics import LISTS_WRITTEN

log = structlog.get_logger()

SIMILAR_TOUCHED: Final = 3  # of a user's newest items, the neighbours are written again when a new one joins them


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """Bounds and rhythms of one tenant's state. `quiet_ms`: how often an impression alone renews a list.

    `patience` multiplies the parts' budgets: nobody waits for a precomputed list.
    """

    pipelines_dir: Path | None = None
    redis_cluster: bool = False
    max_users: int = 200_000
    max_items: int = 200_000
    max_seen: int = 1_000
    rewrite_ms: int = 300
    quiet_ms: int = 60_000
    batch_users: int = 64
    list_ttl_s: int = 86_400
    patience: float = 100.0


class TenantState:
    """Everything the worker holds of a tenant; nothing in it is shared with another.

    `built_at`: ms since when, or from Kafka, it was gathered. `is_stale`: users have been erased who are in its sums.
    """

    def __init__(
        self, tenant: str, settings: TenantSettings, mixes: Mixes, clock: Clock, erased: ErasedUsers | None = None
    ) -> None:
        self.tenant = tenant
        self.mixes = mixes
        self.settings = settings
        self.clock = clock
        self.keys = KeySpace(tenant, cluster=settings.redis_cluster)
        self.stores = Stores.empty(max_items=settings.max_items)
        self.histories = Histories(settings.max_users)
        self.pending = Pending()
        self.similars = SimilarWriter(self.keys, self.stores)
        self.pipeline, self.runner = self._open_pipeline()
        weights = SourceWeights(self.pipeline.sources)
        self.lists = ListWriter(self.keys, self.stores.items, weights, settings.list_ttl_s)
        self._in_hand: list[Touched] = []  # out of the queue, their lists not yet written
        self._taken: dict[int, int] = {}  # raw partition -> highest raw offset taken
        self.built_at = clock()
        self.is_stale = False
        self._erased = ErasedUsers() if erased is None else erased
        erasures = self._erased.of(tenant)
        self._forgotten = erasures.version if erasures is not None else 0  # all of this version

    def admitted(self, event: Event) -> Event | None:
        """The event as it may be taken. Of one that may not, the item's neighbours are written again without it."""
        erasures = self._erased.of(self.tenant)
        admitted = event if erasures is None else erasures.admit(event)
        if admitted is None and event.positive:
            item = self.stores.items.number(event.item_id)
            if item is not None:
                self.similars.changed((item,))
        return admitted

    async def forget_erased(self) -> None:
        """Forget what is held of users who were erased since: all but what they added to sums over pairs of items."""
        erasures = self._erased.of(self.tenant)
        if erasures is None or erasures.version == self._forgotten:
            return
        version = erasures.version
        gone = await asyncio.to_thread(erasures.among, self.histories.users())
        for user_id in gone:
            self.histories.forget(user_id)
            self.pending.forget(user_id)
        self._forgotten, self.is_stale = version, True

    def fold(self, event: Event) -> bool:
        """Take the event into the state; False for a repetition, which changes nothing."""
        if event.offset <= self._taken.get(event.partition, -1):
            return False
        self._taken[event.partition] = event.offset
        history = self.histories.of(event.user_id)
        item = self.stores.items.number(event.item_id)
        if item is not None:
            if event.category:
                self.stores.catalogue.note_category(item, event.category)
            if event.positive and event.weight >= 0:  # one turned down is not liked, whatever else a config says
                self._like(history, item)
            if _says_something(event):
                history.see(item, self.settings.max_seen)
        return True

    def queue(self, event: Event, order: int) -> None:
        """The event's user needs new lists, for the scenes that its scenario feeds."""
        scenes = self.pipeline.scenes_fed_by(event.scenario_id)
        if not _says_something(event):  # changes no list by itself: one now and then shows what changed around the user
            listed_at = self.histories.of(event.user_id).listed_at
            quiet_since = self.clock() - self.settings.quiet_ms
            scenes = tuple(scene for scene in scenes if listed_at.get(scene.name, 0) < quiet_since)
        if scenes:
            self.pending.add(event.user_id, scenes, event.scenario_id, order=order, received_at=event.received_at)

    def oldest_waiting(self) -> int | None:
        """The lowest order of a user whose lists are not written yet."""
        return min((touched.order for touched in (*self._in_hand, *self.pending)), default=None)

    async def renew(self, redis: Redis) -> int:
        """Compute and write the lists of one batch of users that are due; how many lists it were."""
        batch = self.pending.due(self.settings.batch_users, self._may_write)
        if not batch:
            return 0
        self.pending.take(batch)
        self._in_hand = batch
        try:
            return await self._write(redis, batch)
        except BaseException:
            self.pending.put_back(batch)
            raise
        finally:
            self._in_hand = []

    async def _write(self, redis: Redis, batch: list[Touched]) -> int:
        now_ms = self.clock()
        queries = self._queries(batch, now_ms)
        await self.stores.refresh(redis, self.keys, queries, now_ms)
        results = await self.runner.run(queries)
        await self.lists.write(redis, results)
        self._written(batch)
        LISTS_WRITTEN.labels(self.tenant).inc(len(results))
        return len(results)

    def _like(self, history: History, item: int) -> None:
        item_cf = self.stores.item_cf
        before = history.items.copy()
        if history.touch(item, item_cf.settings.window):
            item_cf.learn(before, item)
            self.similars.changed((item, *before[-SIMILAR_TOUCHED:]))

    def _may_write(self, touched: Touched) -> bool:
        history = self.histories.get(touched.user_id)
        if history is None or not history.listed_at:
            return True
        latest = max((history.listed_at.get(name, 0) for name in touched.scenes), default=0)
        return self.clock() - latest >= self.settings.rewrite_ms

    def _queries(self, batch: list[Touched], now_ms: int) -> list[Query]:
        """One for each user and scene. A scenario's mix is asked for once a batch, when its lists are computed."""
        scenarios = {scenario for touched in batch for _, scenario in touched.scenes.values()}
        mixes = {scenario: self.mixes(self.tenant, scenario) for scenario in scenarios}
        queries: list[Query] = []
        for touched in batch:
            history = self.histories.get(touched.user_id) or History()  # forgotten meanwhile: as a new user
            items, seen = tuple(history.items), frozenset(history.seen)
            queries += [
                Query(self.tenant, touched.user_id, scene, now_ms, scenario, items, seen, mixes[scenario])
                for scene, scenario in touched.scenes.values()
            ]
        return queries

    def _written(self, batch: list[Touched]) -> None:
        now_ms = self.clock()
        AGES.observe("rec_cache", self.tenant, [touched.received_at for touched in batch], now_ms)
        for touched in batch:
            history = self.histories.get(touched.user_id)
            if history is not None:
                history.listed_at.update(dict.fromkeys(touched.scenes, now_ms))

    def _open_pipeline(self) -> tuple[Pipeline, Runner]:
        """The tenant's own pipeline; where its file is wrong the built-in one, so that the tenant still has lists."""
        try:
            pipeline = load_pipeline(self.tenant, self.settings.pipelines_dir)
            return pipeline, build_runner(pipeline, self.stores, patience=self.settings.patience)
        except PipelineFileError as error:
            log.error("pipeline_file_refused", tenant=self.tenant, file=error.file, why=error.why)
            pipeline = load_pipeline(self.tenant)
            return pipeline, build_runner(pipeline, self.stores, patience=self.settings.patience)


def _says_something(event: Event) -> bool:
    """Whether the event says that its user liked or disliked the item; an impression does not."""
    return event.positive or event.weight != 0
