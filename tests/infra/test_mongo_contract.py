"""What the platform asks of MongoDB, over every stack; the embedded front answers pymongo like the others."""

import asyncio
from typing import Any

import pytest
from pymongo import MongoClient, ReplaceOne, UpdateOne
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure

Database = AsyncDatabase[dict[str, Any]]


async def test_a_document_comes_back_as_it_was_written(mongo_database: Database) -> None:
    document = {
        "_id": "acme/i:1",
        "name": "Ünïcode 鸟",
        "tags": ["a"],
        "n": 2**40,
        "x": 1.5,
        "no": None,
        "in": {"b": True},
    }
    await mongo_database.items.insert_one(dict(document))
    assert await mongo_database.items.find_one({"_id": "acme/i:1"}) == document
    assert await mongo_database.items.find_one({"_id": "acme/i:2"}) is None


async def test_an_id_that_exists_is_refused(mongo_database: Database) -> None:
    await mongo_database.items.insert_one({"_id": "a"})
    with pytest.raises(DuplicateKeyError) as refusal:
        await mongo_database.items.insert_one({"_id": "a"})
    assert refusal.value.code == 11000


async def test_an_ordered_bulk_ends_at_its_first_error_and_an_unordered_one_goes_on(mongo_database: Database) -> None:
    documents = [{"_id": "a"}, {"_id": "a"}, {"_id": "b"}]
    with pytest.raises(BulkWriteError):
        await mongo_database.ordered.insert_many(documents)
    with pytest.raises(BulkWriteError):
        await mongo_database.unordered.insert_many(documents, ordered=False)
    assert await mongo_database.ordered.count_documents({}) == 1
    assert await mongo_database.unordered.count_documents({}) == 2


async def test_of_many_that_race_to_insert_one_id_exactly_one_wins(mongo_database: Database) -> None:
    racing = (mongo_database.configs.insert_one({"_id": "acme/feed/1", "by": n}) for n in range(40))
    ends = await asyncio.gather(*racing, return_exceptions=True)
    refused = [end for end in ends if isinstance(end, DuplicateKeyError)]
    assert len(refused) == 39
    assert await mongo_database.configs.count_documents({}) == 1


async def test_a_bulk_of_upserts_says_what_was_new(mongo_database: Database) -> None:
    writes = [UpdateOne({"_id": f"i{n}"}, {"$set": {"n": n}}, upsert=True) for n in range(300)]
    assert (await mongo_database.items.bulk_write(writes)).upserted_count == 300
    again = await mongo_database.items.bulk_write(writes[:10])
    assert (again.upserted_count, again.matched_count) == (0, 10)
    assert len(await mongo_database.items.find({"_id": {"$in": ["i1", "i2", "nope"]}}).to_list()) == 2


async def test_a_replacement_that_is_new_takes_the_id_of_its_filter(mongo_database: Database) -> None:
    done = await mongo_database.items.replace_one({"_id": "a"}, {"n": 1}, upsert=True)
    assert done.upserted_id == "a"
    assert await mongo_database.items.find_one({}) == {"_id": "a", "n": 1}


@pytest.mark.parametrize("change", [{"v": 2}, {"$set": {"v": 2}}])
async def test_an_upsert_whose_filter_misses_a_document_of_its_id_is_a_duplicate(
    mongo_database: Database, change: dict[str, Any]
) -> None:
    await mongo_database.items.insert_one({"_id": "a", "v": 5})
    write = mongo_database.items.update_one if "$set" in change else mongo_database.items.replace_one
    with pytest.raises(DuplicateKeyError):
        await write({"_id": "a", "v": 1}, change, upsert=True)
    assert await mongo_database.items.find_one({"_id": "a"}) == {"_id": "a", "v": 5}


async def test_a_bulk_may_change_many_documents_that_exist(mongo_database: Database) -> None:
    """FerretDB as it is released waits for ever from the 101st on: see infra/stack/native.py."""
    ids = [f"acme/{n}" for n in range(250)]
    await mongo_database.items.insert_many([{"_id": name} for name in ids])
    done = await mongo_database.items.bulk_write([ReplaceOne({"_id": name}, {"_id": name, "n": 1}) for name in ids])
    assert done.modified_count == len(ids)
    assert await mongo_database.items.count_documents({"n": 1}) == len(ids)


async def test_a_query_filters_sorts_limits_and_projects_across_batches(mongo_database: Database) -> None:
    await mongo_database.items.insert_many([{"_id": n, "even": n % 2 == 0, "n": -n} for n in range(250)])
    found = await mongo_database.items.find({"even": True}, {"n": 1}).sort("n", 1).limit(120).batch_size(50).to_list()
    assert found == [{"_id": n, "n": -n} for n in range(248, 8, -2)]


async def test_a_document_is_changed_and_answered_in_one_step(mongo_database: Database) -> None:
    await mongo_database.items.insert_one({"_id": "a", "n": 1, "gone": 1})
    change = {"$inc": {"n": 1}, "$unset": {"gone": ""}}
    after = await mongo_database.items.find_one_and_update({"_id": "a"}, change, return_document=True)
    assert after == {"_id": "a", "n": 2}
    assert await mongo_database.items.find_one_and_delete({"_id": "a"}) == after
    assert (await mongo_database.items.delete_many({})).deleted_count == 0


async def test_a_command_that_does_not_exist_is_refused_in_the_servers_words(mongo_database: Database) -> None:
    with pytest.raises(OperationFailure) as refusal:
        await mongo_database.command("nonsense")
    assert refusal.value.code == 59


def test_the_synchronous_client_works_too(mongo_server: str) -> None:
    with MongoClient[dict[str, Any]](mongo_server) as client:
        assert client.admin.command("ping")["ok"] == 1
        assert client.server_info()["version"]
