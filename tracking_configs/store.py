"""Tracking configs in MongoDB: four collections, written one document at a time, without transactions.

collection                `_id`      document
tracking_configs          key/n      version n of a config, never changed; `key` is tenant/scenario
tracking_config_heads     key        the current version, and what a list filters by: small, because lists read them all
tracking_config_outbox    key/n      a version that may not be on the change topic yet
tracking_config_drafts    key        the config proposed last, not in force

A version is stored when its document is: the `_id`, which only one can take, is the lock. Then it is settled: its
outbox entry is written, and the head moved. A writer that dies between leaves the head behind, so whoever reads the
current version looks beyond the head, and settles what is found there. A version has no gap below it. The config
stands in the document as JSON text, because a client's field names and defaults may be what a store refuses as keys
or numbers.
"""

import asyncio
import base64
import binascii
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec
from pymongo.asynchronous.database import AsyncDatabase

from tracking_configs.documents import Document, Documents
from tracking_configs.errors import ConfigExistsError, DraftNotFoundError, InvalidCursorError, VersionConflictError
from tracking_configs.model import TrackingConfig, decode_config, encode_config

VERSIONS: Final = "tracking_configs"
HEADS: Final = "tracking_config_heads"
OUTBOX: Final = "tracking_config_outbox"
DRAFTS: Final = "tracking_config_drafts"
MAX_PAGE: Final = 200
OUTBOX_PASS: Final = 100


class Page(msgspec.Struct, frozen=True):
    """Configs in the order of tenant and scenario; `next_cursor` is None on the last page."""

    items: tuple[TrackingConfig, ...]
    next_cursor: str | None


class History(NamedTuple):
    """Versions of one config, newest first; `before` asks for the older ones, and is None where there are none."""

    items: tuple[TrackingConfig, ...]
    before: int | None


class Draft(msgspec.Struct, frozen=True):
    """A proposed config. `text` is the caller's JSON, `created_at` ms UTC."""

    text: str
    created_at: int


class ConfigStore:
    """Raises ConfigStoreUnavailableError from every call while MongoDB is away; a write may have been done even so."""

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._versions = Documents(database[VERSIONS])
        self._heads = Documents(database[HEADS])
        self._outbox = Documents(database[OUTBOX])
        self._drafts = Documents(database[DRAFTS])

    async def create(self, config: TrackingConfig) -> None:
        """Store version 1. Raises ConfigExistsError where the config is there already, be it deleted."""
        if config.version != 1:
            raise ValueError(f"a config begins with version 1, not {config.version}")
        if not await self._versions.add(_version_document(config)):
            await self._current(config.key)
            raise ConfigExistsError(config.tenant_id, config.scenario_id)
        await self._settle(config)

    async def append(self, config: TrackingConfig) -> None:
        """Store the version that follows the one the caller saw.

        Raises VersionConflictError, which names the current version (0: none), when another has stored this version,
        or nobody the one before it.
        """
        follows = await self._versions.get(_version_id(config.key, config.version - 1))
        if follows is None or not await self._versions.add(_version_document(config)):
            current = await self._current(config.key)
            raise VersionConflictError(config.tenant_id, config.scenario_id, current.version if current else 0)
        await self._settle(config)

    async def get(self, tenant: str, scenario: str, version: int | None = None) -> TrackingConfig | None:
        """The current version, or the one asked for; None where there is none."""
        key = _key(tenant, scenario)
        return await (self._current(key) if version is None else self._version(key, version))

    async def versions(self, tenant: str, scenario: str, limit: int = 50, before: int | None = None) -> History:
        """Versions older than `before`, or all where it is None; `limit` of them at most."""
        key = _key(tenant, scenario)
        current = await self._current(key)
        highest = current.version if current else 0
        newest = highest if before is None else min(before - 1, highest)
        numbers = range(newest, max(newest - _size(limit), 0), -1)
        items = await self._each(_version_id(key, number) for number in numbers)
        return History(items, numbers[-1] if numbers and numbers[-1] > 1 else None)

    async def list_page(
        self,
        *,
        tenant: str | None = None,
        scenario_type: str | None = None,
        include_inactive: bool = False,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """Current versions, `limit` of them at most. Raises InvalidCursorError for a cursor not of ours.

        It goes by the heads: a version whose writer died is listed once somebody has read that config.
        """
        limit = _size(limit)
        filters = {"tenant_id": tenant, "scenario_type": scenario_type, "is_active": None if include_inactive else True}
        wanted: Document = {name: value for name, value in filters.items() if value is not None}
        if cursor is not None:
            wanted["_id"] = {"$gt": _key_of(cursor)}
        heads = await self._heads.page(wanted, limit + 1)
        items = await self._each(_version_id(head["_id"], head["version"]) for head in heads[:limit])
        return Page(items, _cursor_of(heads[limit - 1]["_id"]) if len(heads) > limit else None)

    async def unpublished(self) -> list[TrackingConfig]:
        """The current version of configs with an outbox entry, OUTBOX_PASS of them at most.

        Never an older version: the change topic is compacted, and must end with the newest. So whoever publishes a
        config reads the current one again afterwards, and publishes that if it is newer: two that publish may be
        overtaken by each other. Only then may each that was published be marked.
        """
        entries: dict[str, set[int]] = {}
        for entry in await self._outbox.some(OUTBOX_PASS):
            entries.setdefault(entry["key"], set()).add(entry["version"])
        configs = [await self._to_publish(key, versions) for key, versions in entries.items()]
        return [config for config in configs if config is not None]

    async def mark_published(self, config: TrackingConfig) -> None:
        """This version has been on the change topic, and no newer one was there when that was done.

        Entries of older versions stay for those who may be publishing them; `unpublished` replaces them.
        """
        await self._outbox.remove(_version_id(config.key, config.version))

    async def save_draft(self, tenant: str, scenario: str, text: str, created_at: int) -> None:
        """Keep a proposed config in the place of the last one. `text` is JSON, `created_at` ms UTC."""
        await self._drafts.put({"_id": _key(tenant, scenario), "text": text, "created_at": created_at})

    async def get_draft(self, tenant: str, scenario: str) -> Draft:
        """Raises DraftNotFoundError."""
        found = await self._drafts.get(_key(tenant, scenario))
        if found is None:
            raise DraftNotFoundError(tenant, scenario)
        return Draft(found["text"], int(found["created_at"]))  # the driver's integer is none of JSON's

    async def delete_draft(self, tenant: str, scenario: str) -> None:
        """Drop the draft, where there is one."""
        await self._drafts.remove(_key(tenant, scenario))

    async def _version(self, key: str, version: int) -> TrackingConfig | None:
        found = await self._versions.get(_version_id(key, version))
        return _config(found) if found else None

    async def _each(self, ids: Iterable[str]) -> tuple[TrackingConfig, ...]:
        """Those of the versions that exist, one look-up each."""
        found = await asyncio.gather(*(self._versions.get(each) for each in ids))
        return tuple(_config(document) for document in found if document)

    async def _current(self, key: str) -> TrackingConfig | None:
        """The highest version, settled: the head's, or one beyond it whose writer died or is about to move it."""
        head = await self._heads.get(key)
        known = head["version"] if head else 0
        current, newer = await asyncio.gather(self._version(key, known), self._version(key, known + 1))
        while newer is not None:
            current, newer = newer, await self._version(key, newer.version + 1)
        if current is not None and current.version > known:
            await self._settle(current)
        return current

    async def _settle(self, config: TrackingConfig) -> None:
        """Write the outbox entry of a stored version and move the head to it, again for each stored meanwhile.

        A slow writer may move the head back, past a version stored meanwhile. It looks for that one afterwards, so
        whoever writes the head last leaves it at the highest version.
        """
        newer: TrackingConfig | None = config
        while newer is not None:
            await self._outbox.add(_outbox_document(newer))
            await self._heads.put(_head_document(newer))
            newer = await self._version(config.key, newer.version + 1)

    async def _to_publish(self, key: str, versions: set[int]) -> TrackingConfig | None:
        """The current version of `key`, whose outbox entries are made into one, its own."""
        current = await self._current(key)
        if current is not None and current.version not in versions:
            await self._outbox.add(_outbox_document(current))
        for version in versions - {current.version if current else 0}:
            await self._outbox.remove(_version_id(key, version))
        return current


def _key(tenant: str, scenario: str) -> str:
    return f"{tenant}/{scenario}"


def _version_id(key: str, version: int) -> str:
    return f"{key}/{version}"


def _version_document(config: TrackingConfig) -> Document:
    return {"_id": _version_id(config.key, config.version), "config": encode_config(config).decode()}


def _head_document(config: TrackingConfig) -> Document:
    return {
        "_id": config.key,
        "version": config.version,
        "tenant_id": config.tenant_id,
        "scenario_type": config.scenario_type,
        "is_active": config.is_active,
    }


def _outbox_document(config: TrackingConfig) -> Document:
    return {"_id": _version_id(config.key, config.version), "key": config.key, "version": config.version}


def _config(document: Document) -> TrackingConfig:
    return decode_config(document["config"])


def _size(limit: int) -> int:
    return max(1, min(limit, MAX_PAGE))


def _cursor_of(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _key_of(cursor: str) -> str:
    try:
        return base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidCursorError from None
