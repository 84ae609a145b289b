"""MongoDB's commands over `Documents`: what the platform's clients send, answered as a server would.

What is not here is refused with CommandNotFound, so that nobody mistakes this for a whole MongoDB.
"""

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final

import bson
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from montydb.errors import DuplicateKeyError, MontyError

from infra.stack.mongo_documents import Document, Documents, refusing_duplicates

DUPLICATE_KEY: Final = 11000
COMMAND_NOT_FOUND: Final = 59
CURSOR_NOT_FOUND: Final = 43
BAD_VALUE: Final = 2
CANNOT_CREATE_INDEX: Final = 67
NOT_SUPPORTED: Final = 115
FIRST_BATCH: Final = 101
MAX_CURSORS: Final = 1000
MAX_BATCH_BYTES: Final = 16 * 1024 * 1024
WIRE_VERSION: Final = 21  # MongoDB 7.0
SERVER_VERSION: Final = "7.0.0-millrace"

# What montydb and bson raise for input they cannot take.
REFUSALS: Final = (MontyError, BSONError, ValueError, TypeError, KeyError, NotImplementedError)


class CommandError(Exception):
    """A command that is refused, as MongoDB words it."""

    def __init__(self, code: int, name: str, message: str) -> None:
        super().__init__(message)
        self.answer = {"ok": 0.0, "errmsg": message, "code": code, "codeName": name}


class Commands:
    """Runs one command at a time; the caller serialises."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._cursors: dict[int, tuple[str, list[Document]]] = {}
        self._cursor_ids = itertools.count(1)
        self._handlers: dict[str, Callable[[str, Document], Document]] = {
            **dict.fromkeys(("hello", "ismaster"), self._hello),
            **dict.fromkeys(("ping", "endsessions", "killcursors", "create"), self._nothing),
            "buildinfo": self._build_info,
            "insert": self._insert,
            "update": self._update,
            "delete": self._delete,
            "find": self._find,
            "getmore": self._get_more,
            "findandmodify": self._find_and_modify,
            "count": self._count,
            "aggregate": self._aggregate,
            "createindexes": self._create_indexes,
            "drop": self._drop,
            "dropdatabase": self._drop_database,
            "listcollections": self._list_collections,
            "listdatabases": self._list_databases,
        }

    def run(self, command: Document) -> Document:
        """The answer to a command, whose first key is its name. Never raises for what a client may send."""
        name = next(iter(command), "")
        handler = self._handlers.get(name.lower())
        try:
            if handler is None:
                raise CommandError(COMMAND_NOT_FOUND, "CommandNotFound", f"no such command: '{name}'")
            if command.get("collation"):  # left out, it would find other documents than asked for
                raise CommandError(NOT_SUPPORTED, "CommandNotSupported", f"{name} with a collation is not served here")
            return {**handler(command.get("$db", "admin"), command), "ok": 1.0}
        except CommandError as error:
            return error.answer
        except REFUSALS as error:
            return CommandError(BAD_VALUE, "BadValue", f"{name}: {error}").answer

    def _hello(self, _: str, command: Document) -> Document:
        primary = "ismaster" if "ismaster" in command or "isMaster" in command else "isWritablePrimary"
        return {
            primary: True,
            "helloOk": True,
            "maxBsonObjectSize": 16 * 1024 * 1024,
            "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000,
            "minWireVersion": 0,
            "maxWireVersion": WIRE_VERSION,
            "readOnly": False,
        }

    def _nothing(self, _: str, __: Document) -> Document:
        """Done by saying so: `_id` is the only index, and a collection is made by its first document."""
        return {}

    def _build_info(self, _: str, __: Document) -> Document:
        return {"version": SERVER_VERSION, "versionArray": [7, 0, 0, 0], "storageEngines": ["montydb"]}

    def _insert(self, database: str, command: Document) -> Document:
        def insert(_: int, document: Document) -> Document:
            self._documents.insert(database, command["insert"], document)
            return {"n": 1}

        return _each(command["documents"], insert, command.get("ordered", True))

    def _update(self, database: str, command: Document) -> Document:
        upserted: list[Document] = []

        def update(index: int, statement: Document) -> Document:
            result = self._change(database, command["update"], statement)
            if result.upserted_id is not None:
                upserted.append({"index": index, "_id": result.upserted_id})
                return {"n": 1, "nModified": 0}
            return {"n": result.matched_count, "nModified": result.modified_count}

        answer = {"nModified": 0} | _each(command["updates"], update, command.get("ordered", True))
        return answer | ({"upserted": upserted} if upserted else {})

    def _change(self, database: str, name: str, statement: Document) -> Any:
        """montydb's result of one update statement."""
        collection = self._documents.collection(database, name)
        spec, change, upsert = statement["q"], statement["u"], statement.get("upsert", False)
        if isinstance(change, list):
            raise CommandError(NOT_SUPPORTED, "CommandNotSupported", "an update by a pipeline is not served here")
        with self._documents.narrowed(spec), refusing_duplicates(f"{database}.{name}", spec.get("_id")):
            if not next(iter(change), "").startswith("$"):
                if "_id" not in change and _is_value(spec.get("_id")):
                    change = {"_id": spec["_id"], **change}  # montydb would make up another
                return collection.replace_one(spec, change, upsert=upsert)
            write = collection.update_many if statement.get("multi") else collection.update_one
            return write(_without_and(spec) if upsert else spec, change, upsert=upsert)

    def _delete(self, database: str, command: Document) -> Document:
        collection = self._documents.collection(database, command["delete"])

        def delete(_: int, statement: Document) -> Document:
            with self._documents.narrowed(statement["q"]):
                remove = collection.delete_one if statement.get("limit") == 1 else collection.delete_many
                return {"n": remove(statement["q"]).deleted_count}

        return _each(command["deletes"], delete, command.get("ordered", True))

    def _find(self, database: str, command: Document) -> Document:
        found = self._select(database, command["find"], command)
        size = command.get("batchSize", FIRST_BATCH)
        return self._cursor(f"{database}.{command['find']}", found, len(found) if command.get("singleBatch") else size)

    def _select(self, database: str, name: str, command: Mapping[str, Any]) -> list[Document]:
        spec = command.get("filter") or {}
        with self._documents.narrowed(spec):
            cursor = self._documents.collection(database, name).find(spec, command.get("projection") or None)
            if command.get("sort"):
                cursor = cursor.sort(list(command["sort"].items()))
            found = list(cursor)
        start, limit = command.get("skip", 0), abs(command.get("limit", 0))
        return found[start : start + limit if limit else None]

    def _cursor(self, namespace: str, found: list[Document], size: int) -> Document:
        batch, cursor_id = _batch(found, size), 0
        rest = found[len(batch) :]
        if rest:
            cursor_id = next(self._cursor_ids)
            self._cursors[cursor_id] = namespace, rest
            while len(self._cursors) > MAX_CURSORS:  # of clients that went away
                self._cursors.pop(next(iter(self._cursors)))
        return {"cursor": {"firstBatch": batch, "id": cursor_id, "ns": namespace}}

    def _get_more(self, _: str, command: Document) -> Document:
        held = self._cursors.pop(command["getMore"], None)
        if held is None:
            raise CommandError(CURSOR_NOT_FOUND, "CursorNotFound", f"cursor id {command['getMore']} not found")
        namespace, found = held
        batch = _batch(found, command.get("batchSize") or len(found))
        rest = found[len(batch) :]
        if rest:
            self._cursors[command["getMore"]] = namespace, rest
        return {"cursor": {"nextBatch": batch, "id": command["getMore"] if rest else 0, "ns": namespace}}

    def _find_and_modify(self, database: str, command: Document) -> Document:
        name, spec = command.get("findAndModify") or command["findandmodify"], command.get("query") or {}
        before = self._select(database, name, {"filter": spec, "sort": command.get("sort"), "limit": 1})
        key = {"_id": before[0]["_id"]} if before else spec
        if command.get("remove"):
            deletes = [{"q": key, "limit": 1}] if before else []
            removed = self._delete(database, {"delete": name, "deletes": deletes})
            return {"value": before[0] if before else None, "lastErrorObject": {"n": removed["n"]}}
        statement = {"q": key, "u": command["update"], "upsert": command.get("upsert", False)}
        done = self._update(database, {"update": name, "updates": [statement]})
        if "writeErrors" in done:
            error = done["writeErrors"][0]
            raise CommandError(error["code"], error["codeName"], error["errmsg"])
        if command.get("new"):
            changed = done.get("upserted", before)
            after = self._select(database, name, {"filter": {"_id": changed[0]["_id"]}}) if changed else []
            return {"value": after[0] if after else None, "lastErrorObject": {"n": done["n"]}}
        return {"value": before[0] if before else None, "lastErrorObject": {"n": done["n"]}}

    def _count(self, database: str, command: Document) -> Document:
        return {"n": len(self._select(database, command["count"], {**command, "filter": command.get("query")}))}

    def _aggregate(self, database: str, command: Document) -> Document:
        """$match first, then $sort, $skip, $limit; at the end $count, or the $group that count_documents sends."""
        select: dict[str, Any] = {}
        found: list[Document] | None = None
        for stage in command["pipeline"]:
            ((operator, value),) = stage.items()
            if operator == "$match" and not select:
                select["filter"] = value
            elif operator in ("$sort", "$skip", "$limit") and operator[1:] not in select and found is None:
                select[operator[1:]] = value
            elif operator == "$count":
                found = [{value: len(self._select(database, command["aggregate"], select))}]
            elif operator == "$group" and value == {"_id": 1, "n": {"$sum": 1}}:
                count = len(self._select(database, command["aggregate"], select))
                found = [{"_id": 1, "n": count}] if count else []
            else:
                raise CommandError(COMMAND_NOT_FOUND, "CommandNotSupported", f"{operator} is not supported here")
        documents = self._select(database, command["aggregate"], select) if found is None else found
        return self._cursor(f"{database}.{command['aggregate']}", documents, len(documents))

    def _create_indexes(self, _: str, command: Document) -> Document:
        """Accepted and left out, since every read scans; but a promise that would not be kept is refused."""
        for index in command["indexes"]:
            if index.get("unique") and list(index["key"]) != ["_id"]:
                message = "only _id is held unique here: make the unique thing the _id"
                raise CommandError(CANNOT_CREATE_INDEX, "CannotCreateIndex", message)
        return {}

    def _drop(self, database: str, command: Document) -> Document:
        self._documents.drop(database, command["drop"])
        return {}

    def _drop_database(self, database: str, _: Document) -> Document:
        self._documents.drop(database)
        return {}

    def _list_collections(self, database: str, _: Document) -> Document:
        found = [{"name": name, "type": "collection"} for name in self._documents.collections(database)]
        return self._cursor(f"{database}.$cmd.listCollections", found, len(found))

    def _list_databases(self, _: str, __: Document) -> Document:
        return {"databases": [{"name": name, "empty": False} for name in self._documents.databases()]}


def _batch(found: list[Document], size: int) -> list[RawBSONDocument]:
    """Up to `size` of the documents, fewer when they would not fit one message; at least one, unless `size` is 0."""
    batch: list[RawBSONDocument] = []
    room = MAX_BATCH_BYTES
    for document in found[:size]:
        raw = bson.encode(document)
        room -= len(raw)
        if room < 0 and batch:
            break
        batch.append(RawBSONDocument(raw))
    return batch


def _is_value(condition: Any) -> bool:
    """Whether a condition is a value to equal, not operators."""
    return condition is not None and not (isinstance(condition, dict) and next(iter(condition), "").startswith("$"))


def _without_and(spec: Document) -> Document:
    """The same filter with `$and` taken apart where that is safe: an upsert starts from its plain equalities."""
    parts = spec.get("$and") or []
    names = [name for part in parts for name in part]
    if len(set(names) | set(spec)) < len(names) + len(spec):  # a name twice
        return spec
    rest = {name: condition for name, condition in spec.items() if name != "$and"}
    return rest | {name: condition for part in parts for name, condition in part.items()}


def _each(statements: list[Document], run: Callable[[int, Document], Document], ordered: bool) -> Document:
    """Runs statements one by one and sums their counts; after the first error an ordered bulk ends."""
    total: Document = {"n": 0}
    errors: list[Document] = []
    for index, statement in enumerate(statements):
        try:
            for name, count in run(index, statement).items():
                total[name] = total.get(name, 0) + count
        except DuplicateKeyError as error:
            errors.append(_write_error(index, DUPLICATE_KEY, "DuplicateKey", str(error)))
        except REFUSALS as error:
            code = getattr(error, "code", None) or BAD_VALUE
            errors.append(_write_error(index, code, "BadValue", str(error)))
        if errors and ordered:
            break
    return total | ({"writeErrors": errors} if errors else {})


def _write_error(index: int, code: int, name: str, message: str) -> Document:
    return {"index": index, "code": code, "codeName": name, "errmsg": message}
