"""The documents behind the MongoDB front: montydb on SQLite, with what it lacks for being served.

montydb opens its SQLite file anew for every operation and reads the whole collection even for one `_id`, which makes
a bulk of upserts quadratic. Here connections stay open, and an operation whose filter names the `_id` reads only
that. One process, one thread.
"""

import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from bson import ObjectId
from montydb import MontyClient, set_storage
from montydb.errors import DuplicateKeyError
from montydb.storage import StorageDuplicateKeyError
from montydb.storage.sqlite import SQLITE_RECORD_TABLE, SQLiteKVEngine
from montydb.types import bson as monty_bson

Document = dict[str, Any]


class _KeyedEngine(SQLiteKVEngine):  # type: ignore[misc]  # montydb is untyped
    """SQLite files that stay open; `wanted` narrows a read to some keys."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.wanted: list[str] | None = None
        self._open: dict[str, sqlite3.Connection] = {}

    def _connect(self, db_file: str, wconcern: Any = None) -> AbstractContextManager[sqlite3.Connection]:
        connection = self._open.get(db_file)
        if connection is None:
            connection = self._open[db_file] = sqlite3.connect(db_file)
            connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")
        return nullcontext(connection)

    def read_all(self, db_file: str, limit: int) -> list[tuple[str]]:
        if self.wanted is None:
            rows: list[tuple[str]] = super().read_all(db_file, limit)
            return rows
        if not Path(db_file).is_file():
            return []
        places = ",".join("?" * len(self.wanted))
        query = f"SELECT v FROM [{SQLITE_RECORD_TABLE}] WHERE k IN ({places})"  # noqa: S608  # only question marks
        with self._connect(db_file) as connection:
            return connection.execute(query, self.wanted).fetchall()

    def close(self, folder: str = "") -> None:
        """Close the files below `folder`, or all."""
        for name in [name for name in self._open if name.startswith(folder)]:
            self._open.pop(name).close()


class Documents:
    """Every database of one folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        set_storage(str(folder), storage="sqlite", use_bson=True)
        self._client = MontyClient(str(folder))
        storage = self._client._storage
        self._engine = storage._conn = _KeyedEngine(storage._config)

    def close(self) -> None:
        self._engine.close()
        self._client.close()

    def collection(self, database: str, name: str) -> Any:
        """montydb's collection, which has pymongo's methods."""
        return self._client[database][name]

    def insert(self, database: str, name: str, document: Document) -> None:
        """Add a document, whose keys may hold dots and dollars as MongoDB lets them since 5.0; montydb would not.

        Raises montydb's DuplicateKeyError when its `_id` is taken.
        """
        collection = self.collection(database, name)
        document.setdefault("_id", ObjectId())
        with refusing_duplicates(f"{database}.{name}", document["_id"]):
            collection._storage.write_one(collection, document, check_keys=False)

    def databases(self) -> list[str]:
        return list(self._client.list_database_names())

    def collections(self, database: str) -> list[str]:
        return list(self._client[database].list_collection_names())

    def drop(self, database: str, collection: str | None = None) -> None:
        self._engine.close(str(self._folder / database / (f"{collection}." if collection else "")))
        if collection is not None:
            self._client[database].drop_collection(collection)
            return
        shutil.rmtree(self._folder / database, ignore_errors=True)

    @contextmanager
    def narrowed(self, spec: Mapping[str, Any]) -> Iterator[None]:
        """Within the block only documents with the `_id`s that the filter names are read, where it names any."""
        self._engine.wanted = _wanted_keys(spec)
        try:
            yield
        finally:
            self._engine.wanted = None


@contextmanager
def refusing_duplicates(namespace: str, identifier: Any) -> Iterator[None]:
    """Words a taken `_id` as MongoDB does; montydb lets its storage's own error through from an upsert."""
    try:
        yield
    except StorageDuplicateKeyError as error:
        taken = f"E11000 duplicate key error collection: {namespace} index: _id_ dup key: {{ _id: {identifier!r} }}"
        raise DuplicateKeyError(taken, code=11000) from error


def _wanted_keys(spec: Mapping[str, Any]) -> list[str] | None:
    wanted = spec.get("_id")
    if isinstance(wanted, str | int | ObjectId):
        ids = [wanted]
    elif isinstance(wanted, dict) and set(wanted) == {"$in"} and 0 < len(wanted["$in"]) <= 1000:
        ids = list(wanted["$in"])
    else:
        return None
    return [monty_bson.id_encode(value) for value in ids]
