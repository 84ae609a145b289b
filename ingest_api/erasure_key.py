"""The key of erasures: as set, else the one that was made at the first use and is kept in MongoDB.

Promise: whoever asks, at once or later, gets the same kept key.
"""

import secrets
from typing import Any, Final

import structlog
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, PyMongoError

log = structlog.get_logger()

COLLECTION: Final = "erasures"
KEY_DOCUMENT: Final = "key"  # no erasure's id, which has a slash


class ErasureKey:
    """`given`: what the settings say."""

    def __init__(self, database: AsyncDatabase[dict[str, Any]], given: bytes | None = None) -> None:
        self._documents = database[COLLECTION]
        self._key = given

    async def find(self) -> bytes | None:
        """None where none is set and none was made. Raises PyMongoError."""
        if self._key is None:
            kept = await self._documents.find_one({"_id": KEY_DOCUMENT})
            self._key = None if kept is None else bytes.fromhex(kept["key"])
        return self._key

    async def get(self) -> bytes:
        """The key, made now where there is none. Raises PyMongoError."""
        key = await self.find()
        if key is None:
            try:
                await self._documents.insert_one({"_id": KEY_DOCUMENT, "key": secrets.token_hex(32)})
            except DuplicateKeyError:
                log.info("erasure_key_made_by_another")
            key = await self.find()
        if key is None:
            raise PyMongoError("the key that was written is not there")
        return key
