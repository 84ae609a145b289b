"""One collection on a real server of MongoDB's protocol, and on none."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ServerSelectionTimeoutError

from tracking_configs.documents import Documents
from tracking_configs.errors import ConfigStoreUnavailableError

ROUNDS = 20


@pytest.fixture
def documents(mongo_database: AsyncDatabase[dict[str, Any]]) -> Documents:
    return Documents(mongo_database["things"])


@pytest.mark.stack
async def test_of_those_that_race_for_an_id_one_is_told_that_it_has_it(documents: Documents) -> None:
    for number in range(ROUNDS):
        told = await asyncio.gather(*(documents.add({"_id": f"a/{number}", "by": by}) for by in range(4)))
        assert sorted(told) == [False, False, False, True]
        assert await documents.get(f"a/{number}") == {"_id": f"a/{number}", "by": told.index(True)}


@pytest.mark.stack
async def test_all_that_race_to_put_a_document_put_it(documents: Documents) -> None:
    for number in range(ROUNDS):
        await asyncio.gather(*(documents.put({"_id": f"a/{number}", "by": by}) for by in range(4)))
        found = await documents.get(f"a/{number}")
        assert found is not None and found["by"] in range(4)


@pytest.mark.stack
async def test_what_was_put_replaces_the_whole_document(documents: Documents) -> None:
    await documents.put({"_id": "a", "old": 1})
    await documents.put({"_id": "a", "new": 2})
    assert await documents.get("a") == {"_id": "a", "new": 2}


@pytest.mark.stack
async def test_what_was_removed_is_gone_and_removing_it_again_does_no_harm(documents: Documents) -> None:
    await documents.add({"_id": "a"})
    await documents.remove("a")
    await documents.remove("a")
    assert await documents.get("a") is None


@pytest.mark.stack
async def test_a_page_is_in_the_order_of_the_ids(documents: Documents) -> None:
    for name in "dacb":
        await documents.add({"_id": name, "even": name in "bd"})
    assert [each["_id"] for each in await documents.page({}, 3)] == ["a", "b", "c"]
    assert [each["_id"] for each in await documents.page({"even": True, "_id": {"$gt": "b"}}, 3)] == ["d"]
    assert len(await documents.some(3)) == 3


CALLS: dict[str, Callable[[Documents], Awaitable[Any]]] = {
    "get": lambda documents: documents.get("a"),
    "add": lambda documents: documents.add({"_id": "a"}),
    "put": lambda documents: documents.put({"_id": "a"}),
    "remove": lambda documents: documents.remove("a"),
    "some": lambda documents: documents.some(1),
    "page": lambda documents: documents.page({}, 1),
}


class Away:
    """A collection whose server does not answer."""

    def __getattr__(self, name: str) -> Any:
        raise ServerSelectionTimeoutError("no server")


@pytest.mark.parametrize("call", CALLS)
async def test_a_store_that_is_away_is_said_to_be(call: str) -> None:
    with pytest.raises(ConfigStoreUnavailableError, match="does not answer"):
        await CALLS[call](Documents(cast(Any, Away())))
