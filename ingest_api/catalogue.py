"""The items of a tenant: MongoDB is the store, Redis its mirror, which recommendations are read from.

Promise: an acknowledged item is in both. MongoDB is written first; when the mirror cannot be, the call fails and is
safe to repeat. Writers of one item may race: each write raises the item's revision in MongoDB, and the mirror takes
nothing older than it has, so both end with the same one.
"""

from collections.abc import Sequence
from typing import Any, Final

from pymongo import UpdateOne
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ingest_api.errors import StoreUnavailable
from ingest_api.item import Item, mirror_fields
from schemas.clock import Clock
from schemas.keys import KeySpace

COLLECTION: Final = "items"
NEW_ITEMS: Final = 1000  # the newest active ones, kept in `items:new`
FIELDS: Final = tuple(Item.model_fields)

# KEYS item hash, items:new. ARGV item id, revision, when published ("" or inactive: not new), most, then the hash.
_MIRROR: Final = """
if tonumber(redis.call('HGET', KEYS[1], 'revision') or '0') > tonumber(ARGV[2]) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'revision', ARGV[2], unpack(ARGV, 5))
if ARGV[3] == '' then
  redis.call('ZREM', KEYS[2], ARGV[1])
else
  redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1 - tonumber(ARGV[4]))
end
return 1
"""


class Catalogue:
    """Items over a database and its mirror. Stores that are away raise StoreUnavailable."""

    def __init__(self, database: AsyncDatabase[dict[str, Any]], redis: Redis, clock: Clock, *, cluster: bool) -> None:
        self._items = database[COLLECTION]
        self._redis = redis
        self._clock = clock
        self._cluster = cluster
        self._mirror = redis.register_script(_MIRROR)

    async def get(self, tenant: str, item_id: str) -> dict[str, Any] | None:
        """The item as it was written, None where there is none."""
        try:
            stored = await self._items.find_one({"_id": _key(tenant, item_id)})
        except PyMongoError as error:
            raise StoreUnavailable("MongoDB") from error
        return stored and _plain(stored)

    async def put(self, tenant: str, items: Sequence[Item]) -> None:
        """Write or replace items. Of an id that stands twice, the last is kept."""
        latest = {item.item_id: item for item in items}
        stored = await self._store(tenant, list(latest.values()))
        keys = KeySpace(tenant, cluster=self._cluster)
        try:
            await self._mirror_items(keys, stored)
        except RedisError as error:
            raise StoreUnavailable("Redis") from error

    async def _store(self, tenant: str, items: Sequence[Item]) -> list[dict[str, Any]]:
        """The items as MongoDB has them now, which another writer may have changed already."""
        now_ms = self._clock()
        ids = [_key(tenant, item.item_id) for item in items]
        writes = [
            UpdateOne(
                {"_id": key},
                {
                    "$set": item.model_dump() | {"tenant_id": tenant, "updated_at": now_ms},
                    "$inc": {"revision": 1},
                },
                upsert=True,
            )
            for key, item in zip(ids, items, strict=True)
        ]
        try:
            await self._items.bulk_write(writes, ordered=True)
            return await self._items.find({"_id": {"$in": ids}}).to_list()
        except PyMongoError as error:
            raise StoreUnavailable("MongoDB") from error

    async def _mirror_items(self, keys: KeySpace, stored: Sequence[dict[str, Any]]) -> None:
        await self._redis.script_load(_MIRROR)  # a pipeline cannot load it on demand
        async with self._redis.pipeline(transaction=False) as pipe:
            for document in stored:
                item = _plain(document)
                hash_fields = [part for field in mirror_fields(item).items() for part in field]
                published_at = item["published_at"] if item["is_active"] else None
                await self._mirror(
                    keys=[keys.key("item", item["item_id"]), keys.key("items:new")],
                    args=[
                        item["item_id"],
                        document["revision"],
                        "" if published_at is None else published_at,
                        NEW_ITEMS,
                        *hash_fields,
                    ],
                    client=pipe,
                )
            await pipe.execute()


def _key(tenant: str, item_id: str) -> str:
    return f"{tenant}/{item_id}"


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    return {name: document.get(name) for name in FIELDS}
