"""The items of a tenant: MongoDB is the store, Redis its mirror, which recommendations are read from.

Promise: an acknowledged item is in both. MongoDB is written first; when the mirror cannot be, the call fails and is
safe to repeat. Writers of one item may race: each write leaves a stamp, and who has mirrored an item looks again
whether that is still the item. So the last to touch the mirror has seen what the store ended with, and the store need
not know transactions, nor even atomic updates.
"""

import secrets
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import structlog
from pymongo import UpdateOne
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, PyMongoError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ingest_api.errors import StoreUnavailable
from ingest_api.item import Item, mirror_fields
from schemas.clock import Clock
from schemas.keys import KeySpace

log = structlog.get_logger()

COLLECTION: Final = "items"
WRITE_ATTEMPTS: Final = 3
MIRROR_ATTEMPTS: Final = 20
NEW_ITEMS: Final = 1000  # the newest active ones, kept in `items:new`
FIELDS: Final = tuple(Item.model_fields)

# KEYS items:new, then an item's hash each. ARGV how many new ones are kept, then for each item as JSON
# [id, when published ("": not new), [field, value, field, ...]].
_MIRROR: Final = """
for i = 2, #KEYS do
  local item = cjson.decode(ARGV[i])
  redis.call('DEL', KEYS[i])
  redis.call('HSET', KEYS[i], unpack(item[3]))
  if item[2] == '' then
    redis.call('ZREM', KEYS[1], item[1])
  else
    redis.call('ZADD', KEYS[1], item[2], item[1])
  end
end
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[1]))
"""
_ITEMS_A_CALL: Final = 100  # some 2 ms of Redis

_encode = msgspec.json.Encoder().encode


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
        ids = [_key(tenant, item_id) for item_id in latest]
        await self._store(tenant, latest.values())
        mirrored: dict[str, str] = {}  # id -> stamp
        for _ in range(MIRROR_ATTEMPTS):
            stored = await self._find(ids)
            behind = [document for document in stored if mirrored.get(document["_id"]) != document["stamp"]]
            if not behind:
                return
            await self._mirror_items(tenant, behind)
            mirrored |= {document["_id"]: document["stamp"] for document in behind}
        raise StoreUnavailable("MongoDB")  # others write the same items faster than we can follow

    async def _find(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        try:
            return await self._items.find({"_id": {"$in": ids}}).to_list()
        except PyMongoError as error:
            raise StoreUnavailable("MongoDB") from error

    async def _store(self, tenant: str, items: Iterable[Item]) -> None:
        written = {"tenant_id": tenant, "updated_at": self._clock(), "stamp": secrets.token_hex(8)}
        writes = [
            UpdateOne({"_id": _key(tenant, item.item_id)}, {"$set": _document(item) | written}, upsert=True)
            for item in items
        ]
        try:
            await self._write(writes)
        except PyMongoError as error:
            raise StoreUnavailable("MongoDB") from error

    async def _write(self, writes: Sequence[UpdateOne]) -> None:
        """Two writers of an item that neither found both insert it, and one is refused: it then updates it."""
        for _ in range(WRITE_ATTEMPTS - 1):
            try:
                await self._items.bulk_write(writes)
                return
            except (BulkWriteError, KeyError) as error:  # KeyError: of pymongo itself, over FerretDB's refusal
                log.info("catalogue_write_repeated", error=type(error).__name__)
        await self._items.bulk_write(writes)

    async def _mirror_items(self, tenant: str, stored: Sequence[dict[str, Any]]) -> None:
        keys = KeySpace(tenant, cluster=self._cluster)
        try:
            for start in range(0, len(stored), _ITEMS_A_CALL):
                some = stored[start : start + _ITEMS_A_CALL]
                hashes = [keys.key("item", document["item_id"]) for document in some]
                rows = [_mirror_row(document) for document in some]
                await self._mirror(keys=[keys.key("items:new"), *hashes], args=[NEW_ITEMS, *rows])
        except RedisError as error:
            raise StoreUnavailable("Redis") from error


def _mirror_row(document: dict[str, Any]) -> bytes:
    item = _plain(document)
    published_at = item["published_at"] if item["is_active"] else None
    fields = [part for field in mirror_fields(item).items() for part in field]
    return _encode([item["item_id"], "" if published_at is None else str(published_at), fields])


def _key(tenant: str, item_id: str) -> str:
    return f"{tenant}/{item_id}"


def _document(item: Item) -> dict[str, Any]:
    """`attributes` as JSON text: its keys are the client's, and stores refuse some."""
    plain = item.model_dump()
    return plain | {"attributes": _encode(plain["attributes"]).decode()}


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    """The item of a document. Integers come back in the driver's own type, which is none of JSON's."""
    item = {name: document.get(name) for name in FIELDS}
    item["attributes"] = msgspec.json.decode(item["attributes"] or "{}")
    if item["published_at"] is not None:
        item["published_at"] = int(item["published_at"])
    return item
