"""Documents on SQLite, with montydb's query, update and projection engine.

montydb's own SQLite storage opens a connection an operation and reads the whole collection for each update: 1,700
upserts by `_id` took it over 20 s. Here `_id` is a key of the table, so that a filter on `_id` (a value, `$in`, or a
range of strings) reads only what it must; every other filter scans its collection.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bson
from bson.codec_options import CodecOptions, DatetimeConversion

Document = dict[str, Any]

CODEC: CodecOptions[Document] = CodecOptions(document_class=dict, datetime_conversion=DatetimeConversion.DATETIME_AUTO)
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
_RANGE = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS collections (
    id INTEGER PRIMARY KEY, database TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (database, name));
CREATE TABLE IF NOT EXISTS documents (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, collection INTEGER NOT NULL, key BLOB NOT NULL, body BLOB NOT NULL,
    UNIQUE (collection, key));
CREATE TABLE IF NOT EXISTS indexes (
    collection INTEGER NOT NULL, name TEXT NOT NULL, spec BLOB NOT NULL, PRIMARY KEY (collection, name));
"""


class StoreError(RuntimeError):
    """A write or a query that MongoDB refuses; carries its code and, for duplicates, the details."""

    def __init__(self, code: int, message: str, details: Document | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.details = details or {}


@dataclass(frozen=True, slots=True)
class Stored:
    """A document with its place in the table and the bytes it was read from."""

    seq: int
    document: Document
    body: bytes


def encode_key(identifier: Any) -> bytes:
    """An `_id` as bytes: equal values are equal, and strings sort as MongoDB sorts them."""
    if isinstance(identifier, str):
        return b"s" + identifier.encode()
    if isinstance(identifier, float) and identifier.is_integer():
        identifier = int(identifier)  # 1 and 1.0 are one _id
    if isinstance(identifier, int) and not isinstance(identifier, bool):
        identifier = bson.Int64(identifier)
    return b"b" + bson.encode({"": identifier})


class DocumentStore:
    """All databases of one folder, in one SQLite file. Not for several threads: the caller serialises."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._sql = sqlite3.connect(folder / "documents.sqlite", isolation_level=None)
        self._sql.executescript(_SCHEMA)
        rows = self._sql.execute("SELECT database, name, id FROM collections")
        self._collections: dict[tuple[str, str], int] = {(database, name): number for database, name, number in rows}

    def close(self) -> None:
        """Fold the write-ahead log in and close the file."""
        self._sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._sql.close()

    def begin(self) -> None:
        """Open the transaction of one command."""
        self._sql.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Keep what the command wrote."""
        self._sql.execute("COMMIT")

    def rollback(self) -> None:
        """Undo the command."""
        self._sql.execute("ROLLBACK")
        rows = self._sql.execute("SELECT database, name, id FROM collections")
        self._collections = {(database, name): number for database, name, number in rows}

    # -- collections

    def databases(self) -> list[str]:
        """Names of the databases that hold a collection."""
        return sorted({database for database, _ in self._collections})

    def collections(self, database: str) -> list[str]:
        """Names of a database's collections."""
        return sorted(name for owner, name in self._collections if owner == database)

    def create(self, database: str, name: str) -> int:
        """Number of the collection, made when it is new."""
        number = self._collections.get((database, name))
        if number is None:
            row = self._sql.execute("INSERT INTO collections (database, name) VALUES (?, ?)", (database, name))
            number = self._collections[database, name] = row.lastrowid or 0
        return number

    def drop(self, database: str, name: str) -> bool:
        """Remove a collection with its documents; False when there was none."""
        number = self._collections.pop((database, name), None)
        if number is None:
            return False
        for statement in ("documents WHERE collection", "indexes WHERE collection", "collections WHERE id"):
            self._sql.execute(f"DELETE FROM {statement} = ?", (number,))  # noqa: S608 - three constants
        return True

    def indexes(self, database: str, name: str) -> list[Document]:
        """Specifications of a collection's indexes, that of `_id` first."""
        number = self._collections.get((database, name), 0)
        rows = self._sql.execute("SELECT spec FROM indexes WHERE collection = ? ORDER BY rowid", (number,))
        return [{"v": 2, "key": {"_id": 1}, "name": "_id_"}, *(bson.decode(spec) for (spec,) in rows)]

    def add_index(self, database: str, name: str, spec: Document) -> None:
        """Note an index, so that it is listed. It changes no query: the data of one machine is scanned."""
        row = (self.create(database, name), spec["name"], bson.encode(spec))
        self._sql.execute("INSERT OR REPLACE INTO indexes VALUES (?, ?, ?)", row)

    def drop_index(self, database: str, name: str, index: str) -> None:
        """Forget an index; `*` is all of them."""
        number = self._collections.get((database, name), 0)
        self._sql.execute("DELETE FROM indexes WHERE collection = ? AND ? IN (name, '*')", (number, index))

    # -- documents

    def insert(self, database: str, name: str, document: Document) -> None:
        """Add a document that has its `_id`; StoreError 11000 when that is taken."""
        row = (self.create(database, name), encode_key(document["_id"]), _encode(document))
        try:
            self._sql.execute("INSERT INTO documents (collection, key, body) VALUES (?, ?, ?)", row)
        except sqlite3.IntegrityError as error:
            key = document["_id"]
            shown = f'"{key}"' if isinstance(key, str) else repr(key)
            message = (
                f"E11000 duplicate key error collection: {database}.{name} index: _id_ dup key: {{ _id: {shown} }}"
            )
            raise StoreError(11000, message, {"keyPattern": {"_id": 1}, "keyValue": {"_id": key}}) from error

    def replace(self, stored: Stored, document: Document) -> bool:
        """Write a changed document back; False when nothing differs. Its `_id` must be the same."""
        body = _encode(document)
        if body == stored.body:
            return False
        self._sql.execute("UPDATE documents SET body = ? WHERE seq = ?", (body, stored.seq))
        return True

    def delete(self, stored: Iterable[Stored]) -> None:
        """Remove documents."""
        self._sql.executemany("DELETE FROM documents WHERE seq = ?", [(each.seq,) for each in stored])

    def candidates(
        self, database: str, name: str, query: Mapping[str, Any], *, by_key: bool = False
    ) -> Iterator[Stored]:
        """Documents that may match: narrowed by `_id` where the query allows, oldest first or in order of key."""
        number = self._collections.get((database, name))
        if number is None:
            return
        where, values = _narrow(query.get("_id"))
        order = "key" if by_key else "seq"
        statement = f"SELECT seq, body FROM documents WHERE collection = ?{where} ORDER BY {order}"  # noqa: S608
        # A list, not a cursor: the caller may write while it reads.
        for seq, body in self._sql.execute(statement, (number, *values)).fetchall():
            yield Stored(seq, bson.decode(body, CODEC), body)


def _encode(document: Document) -> bytes:
    body = bson.encode(document, codec_options=CODEC)
    if len(body) > MAX_DOCUMENT_BYTES:
        raise StoreError(10334, f"BSONObj size: {len(body)} is invalid. Size must be at most {MAX_DOCUMENT_BYTES}")
    return body


def string_range(condition: Any) -> bool:
    """Whether a condition on `_id` holds only for strings of a range, so that order of key is order of value."""
    return (
        isinstance(condition, dict)
        and bool(condition)
        and condition.keys() <= _RANGE.keys()
        and all(isinstance(value, str) for value in condition.values())
    )


def _narrow(condition: Any) -> tuple[str, list[bytes]]:
    """SQL that narrows by key, and its values; empty when the condition on `_id` cannot be told from the key."""
    if condition is None or isinstance(condition, bson.Regex):
        return "", []
    if not isinstance(condition, dict) or not any(name.startswith("$") for name in condition):
        return " AND key = ?", [encode_key(condition)]
    if "$eq" in condition and not isinstance(condition["$eq"], bson.Regex):
        return " AND key = ?", [encode_key(condition["$eq"])]
    members = condition.get("$in")
    if isinstance(members, list) and len(members) <= 10_000 and not any(isinstance(m, bson.Regex) for m in members):
        marks = ", ".join("?" * len(members))
        return f" AND key IN ({marks})", [encode_key(member) for member in members]
    bounds = {name: value for name, value in condition.items() if name in _RANGE and isinstance(value, str)}
    if not bounds:
        return "", []
    where = "".join(f" AND key {_RANGE[name]} ?" for name in bounds)
    return where + " AND key >= x'73' AND key < x'74'", [encode_key(value) for value in bounds.values()]
