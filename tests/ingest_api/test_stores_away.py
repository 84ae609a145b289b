"""Every call of the HTTP door while one of the servers behind it is away."""

import asyncio
import time
from dataclasses import replace

import httpx
import pytest

from infra.stack.endpoints import Endpoints
from ingest_api.http.app import OPENAPI_PATH
from tests.ingest_api.described_calls import calls
from tests.ingest_api.real_door import NOWHERE, real_app

BOUND_S = 15.0  # for all calls at once

NEEDED_BY = {  # a call that cannot be answered without that server
    "kafka": "POST /api/v1/behaviors/track",
    "redis": "GET /api/v1/hot/{scenario}",
    "clickhouse": "GET /api/v1/tracking-configs/{tenant}/{scenario}/quality",
    "mongo": "GET /api/v1/item/{item_id}",
}


@pytest.mark.parametrize("stack_kind", [pytest.param("embedded", marks=pytest.mark.stack)], indirect=True)
@pytest.mark.parametrize("away", NEEDED_BY)
async def test_every_call_has_a_documented_answer_in_time_while_a_server_is_away(
    stack: Endpoints, tenant: str, away: str
) -> None:
    async with (
        real_app(replace(stack, **{away: getattr(NOWHERE, away)}), f"test_{tenant}", tenant) as app,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://door") as door,
    ):
        wanted = calls((await door.get(OPENAPI_PATH)).json())
        started = time.monotonic()
        answers = await asyncio.gather(*(door.send(call.request(door)) for call in wanted))
        assert time.monotonic() - started < BOUND_S
    statuses = {call.name: answer.status_code for call, answer in zip(wanted, answers, strict=True)}
    assert {call.name: statuses[call.name] for call in wanted if statuses[call.name] not in call.statuses} == {}
    assert 500 not in statuses.values()
    assert statuses[NEEDED_BY[away]] == 503
    refused = [answer for answer in answers if answer.status_code == 503 and answer.request.url.path[:4] == "/api"]
    assert all(answer.headers["retry-after"] for answer in refused)
