"""Tracking configs in MongoDB, collection `tracking_configs`: one immutable document a version.

`_id` is `tenant/scenario/version`, and the only unique thing: stores that speak MongoDB's protocol differ in
other indexes. The current config is the highest version. No transaction and no aggregation is needed. The
config stands in the document as JSON text, because a client's field names and defaults may be what a store
refuses as keys or numbers; what is searched stands beside it. `published` is the outbox's mark.
"""

import base64
import binascii
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
from pymongo import ASCENDING, DESCENDING
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConnectionFailure, DuplicateKeyError, ExecutionTimeout

from tracking_configs.errors import ConfigExistsError, ConfigStoreUnavailableError, InvalidCursorError
from tracking_configs.model import TrackingConfig, decode_config, encode_config

COLLECTION: Final = "tracking_configs"
MAX_PAGE: Final = 200
OUTBOX_PASS: Final = 100

Document = dict[str, Any]


class Page(msgspec.Struct, frozen=True):
    """Configs in the order of tenant and scenario; `next_cursor` is None on the last page."""

    items: tuple[TrackingConfig, ...]
    next_cursor: str | None


class ConfigStore:
    """Raises ConfigStoreUnavailableError from every call while MongoDB is away."""

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._documents = database[COLLECTION]

    async def create(self, config: TrackingConfig) -> None:
        """Store a version. Raises ConfigExistsError where it is there already."""
        async with _reachable():
            try:
                await self._documents.insert_one(_document(config))
            except DuplicateKeyError:
                raise ConfigExistsError(config.tenant_id, config.scenario_id) from None

    async def get(self, tenant: str, scenario: str, version: int | None = None) -> TrackingConfig | None:
        """The current version, or the one asked for; None where there is none."""
        wanted: Document = {"key": f"{tenant}/{scenario}"}
        if version is not None:
            wanted["version"] = version
        async with _reachable():
            found = await self._documents.find(wanted).sort("version", DESCENDING).limit(1).to_list()
        return _config(found[0]) if found else None

    async def list_page(
        self,
        *,
        tenant: str | None = None,
        scenario_type: str | None = None,
        include_inactive: bool = False,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """Current versions, `limit` of them at most. Raises InvalidCursorError for a cursor not of ours."""
        limit = max(1, min(limit, MAX_PAGE))
        wanted: Document = {"tenant_id": tenant} if tenant is not None else {}
        if cursor is not None:
            wanted["key"] = {"$gt": _key_of(cursor)}
        items: list[TrackingConfig] = []
        async with _reachable():
            async for config in self._current(wanted):
                if scenario_type not in (None, config.scenario_type) or not (config.is_active or include_inactive):
                    continue
                if len(items) == limit:
                    return Page(tuple(items), _cursor_of(items[-1].key))
                items.append(config)
        return Page(tuple(items), None)

    async def unpublished(self) -> list[TrackingConfig]:
        """Versions not yet on the change topic, older ones of a config first; OUTBOX_PASS at most."""
        order = [("key", ASCENDING), ("version", ASCENDING)]
        async with _reachable():
            found = await self._documents.find({"published": False}).sort(order).limit(OUTBOX_PASS).to_list()
        return [_config(document) for document in found]

    async def mark_published(self, config: TrackingConfig) -> None:
        async with _reachable():
            await self._documents.update_one({"_id": _id(config)}, {"$set": {"published": True}})

    async def _current(self, wanted: Document) -> AsyncIterator[TrackingConfig]:
        last = None
        cursor = self._documents.find(wanted).sort([("key", ASCENDING), ("version", DESCENDING)])
        async with cursor:
            async for document in cursor:
                if document["key"] != last:
                    last = document["key"]
                    yield _config(document)


@asynccontextmanager
async def _reachable() -> AsyncIterator[None]:
    try:
        yield
    except (ConnectionFailure, ExecutionTimeout) as error:
        raise ConfigStoreUnavailableError(type(error).__name__) from error


def _id(config: TrackingConfig) -> str:
    return f"{config.key}/{config.version}"


def _document(config: TrackingConfig) -> Document:
    return {
        "_id": _id(config),
        "key": config.key,
        "tenant_id": config.tenant_id,
        "version": config.version,
        "published": False,
        "config": encode_config(config).decode(),
    }


def _config(document: Document) -> TrackingConfig:
    return decode_config(document["config"])


def _cursor_of(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _key_of(cursor: str) -> str:
    try:
        return base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidCursorError from None
