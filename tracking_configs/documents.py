"""One MongoDB collection, used as every server of its protocol serves well: by `_id`, a string.

`get`, `add` and `remove` look one document up, and `add` and `remove` are atomic. That is all there is to build
on: other indexes and conditions, `$in` too, may read the whole collection, and an update under a condition, or an
upsert, is not atomic everywhere. `some` and `page` are for small documents: they may read them all.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pymongo import ASCENDING
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import ConnectionFailure, DuplicateKeyError, ExecutionTimeout

from tracking_configs.errors import ConfigStoreUnavailableError

Document = dict[str, Any]


class Documents:
    """Every call raises ConfigStoreUnavailableError while MongoDB is away; a write may have been done even so."""

    def __init__(self, collection: AsyncCollection[Document]) -> None:
        self._collection = collection

    async def get(self, identifier: str) -> Document | None:
        """The document, None where there is none."""
        async with _reachable():
            return await self._collection.find_one({"_id": identifier})

    async def add(self, document: Document) -> bool:
        """Insert it. False when its `_id` is taken: of two that race for one `_id`, exactly one is told True."""
        async with _reachable():
            try:
                await self._collection.insert_one(document)
            except DuplicateKeyError:
                return False
        return True

    async def put(self, document: Document) -> None:
        """Insert it, or replace the one with its `_id`; of two that race, either is the last."""
        while not await self._replace(document) and not await self.add(document):
            pass  # another was first, and it is that one's which is to be replaced

    async def remove(self, identifier: str) -> None:
        """Delete the document, where there is one."""
        async with _reachable():
            await self._collection.delete_one({"_id": identifier})

    async def some(self, limit: int) -> list[Document]:
        """Up to `limit` documents, in no order."""
        async with _reachable():
            return await self._collection.find().limit(limit).to_list()

    async def page(self, wanted: Document, limit: int) -> list[Document]:
        """Up to `limit` documents that match, in the order of `_id`."""
        async with _reachable():
            return await self._collection.find(wanted).sort("_id", ASCENDING).limit(limit).to_list()

    async def _replace(self, document: Document) -> bool:
        async with _reachable():
            result = await self._collection.replace_one({"_id": document["_id"]}, document)
        return result.matched_count == 1


@asynccontextmanager
async def _reachable() -> AsyncIterator[None]:
    try:
        yield
    except (ConnectionFailure, ExecutionTimeout) as error:
        raise ConfigStoreUnavailableError from error
