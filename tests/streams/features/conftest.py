"""A Redis of these tests' own, of each kind: they empty it, fill it up, keep it busy and make it a replica."""

from collections.abc import AsyncIterator
from typing import cast

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from infra.stack.kinds import NotSetUpError, StackKind
from infra.stack.servers import running_server

KINDS = [
    pytest.param("embedded", marks=pytest.mark.stack),
    pytest.param("native", marks=[pytest.mark.stack, pytest.mark.native]),
]


@pytest_asyncio.fixture(scope="session", params=KINDS)
async def redis_client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Redis]:
    """A client that answers bytes; of the whole session, as property tests want one for all their examples."""
    kind = cast(StackKind, request.param)
    try:
        async with (
            running_server("redis", kind, tmp_path_factory.mktemp("features")) as dsn,
            Redis.from_url(dsn) as client,
        ):
            yield client
    except NotSetUpError as error:
        pytest.skip(str(error))
