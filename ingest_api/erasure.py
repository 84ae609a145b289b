"""Forgets a user of a tenant: in Redis, MongoDB and ClickHouse; what is left to time is named in the receipt.

Promise: the erasure is noted in MongoDB, and told to every process, before anything is deleted, and every step deletes
only what is there. So a call that fails, or a process that dies in the middle, is finished by the same call again. A
store that is away stops no other store's step. The user's id itself is noted nowhere, only hashes of it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from aiokafka.errors import KafkaConnectionError, KafkaError
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ingest_api.deps import DoorSettings
from ingest_api.erased_keys import ErasedKeys
from ingest_api.erased_list import ErasedList
from ingest_api.erased_rows import ErasedRows
from ingest_api.erasure_key import COLLECTION, ErasureKey
from ingest_api.erasure_receipt import LEFT_TO_TIME, Counts, Receipt, sign, user_hash
from ingest_api.errors import StoreUnavailable
from ingest_api.pipelines import Pipelines
from recommenders.scenes import PipelineFileError
from schemas.clock import Clock, system_clock
from schemas.erased import ErasedUser, key_id, listed_hash
from tracking_configs.errors import EventsUnavailableError

log = structlog.get_logger()

USERS: Final = "users"
SETTLE_S: Final = 2.0  # within it every process has heard who was erased

_AWAY: Final[dict[type[Exception], str]] = {
    KafkaError: "Kafka",
    EventsUnavailableError: "ClickHouse",
    PyMongoError: "MongoDB",
    RedisError: "Redis",
    PipelineFileError: "the tenant's pipeline file",
    OSError: "Redis",
}

Step = Callable[[], Awaitable[Counts]]


class ErasureUnfinished(StoreUnavailable):
    """Stores were away; the others have forgotten the user. The same call again finishes. `done`: counts by store."""

    def __init__(self, away: list[str], done: Counts) -> None:
        super().__init__(" and ".join(dict.fromkeys(away)))
        self.done = done
        counted = ", ".join(f"{name} {count}" for name, count in done.items()) or "nothing"
        self.args = (f"{self.store} unavailable: make the same call again, it finishes; erased so far: {counted}",)


class Erasure:
    """Over the stores of the doors. `key`: of the hashes; without one, a key made at first use is kept in MongoDB.

    `erased_list`: by which other processes learn of it, within `settle_s` seconds, for which a call waits.
    """

    def __init__(
        self,
        database: AsyncDatabase[dict[str, Any]],
        redis: Redis,
        rows: ErasedRows,
        settings: DoorSettings,
        *,
        key: bytes | None = None,
        erased_list: ErasedList | None = None,
        settle_s: float = SETTLE_S,
        clock: Clock = system_clock,
    ) -> None:
        self._erasures = database[COLLECTION]
        self._users = database[USERS]
        self._keys = ErasedKeys(redis, cluster=settings.redis_cluster)
        self._rows = rows
        self._pipelines = Pipelines(settings.pipelines_dir)
        self._key = ErasureKey(database, key)
        self._erased_list = erased_list
        self._settle_s = settle_s
        self._clock = clock

    async def erase(self, tenant: str, user_id: str) -> Receipt:
        """Forget the user; one that is not known gives a receipt of zeros. Raises ErasureUnfinished."""
        try:
            key = await self._key.get()
            user = user_hash(key, tenant, user_id)
            place = f"{tenant}/{user}"
            requested_at, counts = await self._note(place, tenant, user)
        except PyMongoError as error:
            raise ErasureUnfinished(["MongoDB"], {}) from error
        away = [await self._run(place, step, counts) for step in self._steps(tenant, user_id)]
        if any(away):
            raise ErasureUnfinished([store for store in away if store], counts)
        receipt = Receipt(
            tenant_id=tenant,
            user=user,
            requested_at=requested_at,
            finished_at=self._clock(),
            erased=counts,
            left_to_time=LEFT_TO_TIME,
            key_id=key_id(key),
        )
        await self._finish(place, receipt)
        return sign(receipt, key)

    async def _note(self, place: str, tenant: str, user: str) -> tuple[int, Counts]:
        """When the erasure was asked for, and what was erased so far: those of one that was begun and not finished."""
        found = await self._erasures.find_one({"_id": place})
        if found is not None and found["state"] == "running":
            return int(found["requested_at"]), {name: int(count) for name, count in found["counts"].items()}
        now = self._clock()
        begun = {"tenant_id": tenant, "user": user, "state": "running", "requested_at": now, "counts": {}}
        await self._erasures.update_one({"_id": place}, {"$set": begun}, upsert=True)
        return now, {}

    def _steps(self, tenant: str, user_id: str) -> tuple[Step, ...]:
        return (
            lambda: self._list(tenant, user_id),
            lambda: self._rows.erase(tenant, user_id),
            lambda: self._erase_document(tenant, user_id),
            lambda: self._erase_keys(tenant, user_id),
        )

    async def _run(self, place: str, step: Step, counts: Counts) -> str:
        """What was away, empty where the step is done; what it erased is added to `counts`, and noted."""
        try:
            for name, count in (await step()).items():
                counts[name] = counts.get(name, 0) + count
            await self._erasures.update_one({"_id": place}, {"$set": {"counts": counts}})
        except tuple(_AWAY) as error:
            log.warning("erasure_step_failed", erasure=place, error=type(error).__name__)
            return next(store for kind, store in _AWAY.items() if isinstance(error, kind))
        return ""

    async def _finish(self, place: str, receipt: Receipt) -> None:
        done = {"state": "done", "finished_at": receipt.finished_at, "counts": receipt.erased}
        try:
            await self._erasures.update_one({"_id": place}, {"$set": done})
        except PyMongoError as error:
            raise ErasureUnfinished(["MongoDB"], receipt.erased) from error

    async def _list(self, tenant: str, user_id: str) -> Counts:
        """Before anything is deleted, so that what is in flight is not stored behind the deletion."""
        if self._erased_list is not None:
            key = await self._key.get()
            user = listed_hash(key, tenant, user_id)
            erased = ErasedUser(tenant_id=tenant, user=user, erased_at=self._clock(), key_id=key_id(key))
            try:
                await self._erased_list.add(erased)
            except OSError as error:
                raise KafkaConnectionError(error) from error
            await asyncio.sleep(self._settle_s)
        return {}

    async def _erase_document(self, tenant: str, user_id: str) -> Counts:
        deleted = await self._users.delete_one({"_id": f"{tenant}/{user_id}"})
        return {"mongo_users": deleted.deleted_count}

    async def _erase_keys(self, tenant: str, user_id: str) -> Counts:
        pipeline = await self._pipelines.get(tenant)
        return await self._keys.erase(tenant, user_id, [scene.name for scene in pipeline.scenes], self._clock())
