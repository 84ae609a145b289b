"""The embedded MongoDB's commands, without the wire: what other stacks differ in, or are too slow to show."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.stack.mongo_commands import MAX_BATCH_BYTES, Commands
from infra.stack.mongo_documents import Document, Documents


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    documents = Documents(tmp_path / "mongo")
    yield Commands(documents)
    documents.close()


def insert(commands: Commands, *documents: Document) -> Document:
    return commands.run({"insert": "c", "$db": "d", "documents": list(documents)})


def update(commands: Commands, *updates: Document, ordered: bool = True) -> Document:
    return commands.run({"update": "c", "$db": "d", "updates": list(updates), "ordered": ordered})


def find(commands: Commands, query: Document) -> list[Document]:
    return [dict(found) for found in commands.run({"find": "c", "$db": "d", "filter": query})["cursor"]["firstBatch"]]


def test_keys_may_hold_dots_and_dollars(commands: Commands) -> None:
    document = {"_id": "a", "attributes": {"size.eu": 42, "$price": 1}}
    assert insert(commands, dict(document))["ok"] == 1.0
    assert [found["_id"] for found in find(commands, {"_id": "a"})] == ["a"]


def test_an_answer_never_outgrows_a_message(commands: Commands) -> None:
    size = MAX_BATCH_BYTES // 8
    insert(commands, *({"_id": n, "blob": "x" * size} for n in range(20)))
    answer = commands.run({"find": "c", "$db": "d", "filter": {}})
    seen, batch = 0, answer["cursor"]["firstBatch"]
    while True:
        assert sum(len(document.raw) for document in batch) <= MAX_BATCH_BYTES
        seen += len(batch)
        if not answer["cursor"]["id"]:
            break
        answer = commands.run({"getMore": answer["cursor"]["id"], "$db": "d", "collection": "c"})
        batch = answer["cursor"]["nextBatch"]
    assert seen == 20


def test_an_operation_that_cannot_be_done_leaves_the_rest_of_an_unordered_bulk(commands: Commands) -> None:
    insert(commands, {"_id": "a", "n": 1})
    wrong = {"q": {"_id": "a"}, "u": {"$inc": {"n": "no number"}}}
    right = {"q": {"_id": "a"}, "u": {"$set": {"done": True}}}
    answer = update(commands, wrong, right, ordered=False)
    assert [error["index"] for error in answer["writeErrors"]] == [0]
    assert answer["nModified"] == 1


def test_an_upsert_takes_the_equalities_of_its_filter(commands: Commands) -> None:
    update(commands, {"q": {"$and": [{"tenant": "acme"}], "n": 1}, "u": {"$set": {"x": 2}}, "upsert": True})
    (made,) = find(commands, {"tenant": "acme"})
    assert {name: made[name] for name in ("tenant", "n", "x")} == {"tenant": "acme", "n": 1, "x": 2}


def test_equal_operations_of_a_bulk_keep_their_own_place(commands: Commands) -> None:
    first, second = ({"q": {"kind": "k"}, "u": {"kind": "other"}, "upsert": True} for _ in range(2))
    assert [made["index"] for made in update(commands, first, second)["upserted"]] == [0, 1]


def test_a_unique_index_is_refused_rather_than_not_kept(commands: Commands) -> None:
    index = {"key": {"mail": 1}, "name": "mail_1"}
    plain = {"createIndexes": "c", "$db": "d", "indexes": [index]}
    unique = {"createIndexes": "c", "$db": "d", "indexes": [{**index, "unique": True}]}
    assert commands.run(plain)["ok"] == 1.0
    assert commands.run(unique)["codeName"] == "CannotCreateIndex"


@pytest.mark.parametrize(
    "command",
    [
        {"find": "c", "filter": {}, "collation": {"locale": "en"}},
        {"aggregate": "c", "pipeline": [{"$lookup": {}}], "cursor": {}},
    ],
)
def test_what_is_not_served_is_refused_by_name(commands: Commands, command: Document) -> None:
    answer = commands.run({**command, "$db": "d"})
    assert (answer["ok"], answer["codeName"]) == (0.0, "CommandNotSupported")


def test_documents_outlive_the_process(tmp_path: Path) -> None:
    first = Documents(tmp_path)
    insert(Commands(first), {"_id": "a"})
    first.close()
    again = Documents(tmp_path)
    assert find(Commands(again), {}) == [{"_id": "a"}]
    again.close()
