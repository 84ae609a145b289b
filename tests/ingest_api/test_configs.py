"""Tracking configs over HTTP, on a real store and topic."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pymongo.asynchronous.database import AsyncDatabase

from schemas.kafka import KafkaDsn
from tests.factories import make_body
from tests.ingest_api.doors import http_door
from tracking_configs.feed import ConfigPublisher
from tracking_configs.judge import Judge
from tracking_configs.registry import ConfigRegistry
from tracking_configs.service import ConfigService
from tracking_configs.store import ConfigStore
from tracking_configs.template import load_templates

CONFIGS = "/api/v1/tracking-configs"
Door = httpx.AsyncClient


@pytest.fixture
async def door(kafka: str, mongo_database: AsyncDatabase[dict[str, Any]]) -> AsyncIterator[Door]:
    registry = ConfigRegistry()
    publisher = ConfigPublisher(KafkaDsn.parse(kafka))
    service = ConfigService(ConfigStore(mongo_database), publisher, load_templates(), registry)
    parts = {"config_service": service, "judge": Judge(registry)}
    async with http_door(parts=parts) as client:
        yield client
    await publisher.stop()


@pytest.mark.parametrize("slash", ["/", ""])
async def test_lists_the_nine_templates(slash: str) -> None:
    service = ConfigService(None, None, load_templates(), ConfigRegistry())  # type: ignore[arg-type]
    async with http_door(parts={"config_service": service}) as door:
        page = (await door.get(f"{CONFIGS}/templates{slash}")).json()
        video = await door.get(f"{CONFIGS}/templates/video{slash}")
        missing = await door.get(f"{CONFIGS}/templates/opera{slash}")
    assert len(page["items"]) == 9
    assert {"id", "fields", "actions", "example"} <= video.json().keys()
    assert missing.status_code == 404
    assert missing.json()["success"] is False


async def test_a_config_from_a_template_is_in_force_at_once(door: Door, tenant: str) -> None:
    made = await door.post(
        f"{CONFIGS}/from-template",
        json={"tenant_id": tenant, "scenario_id": "短视频", "template_id": "video", "name": "Vlog"},
    )
    assert made.status_code == 201
    assert made.json()["version"] == 1
    assert made.json()["scenario_type"] == "video"
    read = await door.get(f"{CONFIGS}/{tenant}/短视频")
    assert read.json() == made.json()
    event = make_body(tenant_id=tenant, scenario_id="短视频", action_type="play_end")
    answer = (await door.post("/api/v1/behaviors/validate", json=event)).json()
    assert {issue["field"] for issue in answer["validation_warnings"]} == {
        f"scenario_data.video_data.{name}" for name in ("duration", "watch_duration", "completion_rate")
    }


async def test_creates_reads_and_pages_through_configs(door: Door, tenant: str) -> None:
    for name in "abc":
        draft = {"tenant_id": tenant, "scenario_id": name, "scenario_type": "custom", "name": name}
        assert (await door.post(f"{CONFIGS}/", json=draft)).status_code == 201
    first = (await door.get(f"{CONFIGS}/?tenant_id={tenant}&limit=2")).json()
    rest = (await door.get(f"{CONFIGS}?tenant_id={tenant}&limit=2&cursor={first['next_cursor']}")).json()
    assert [config["scenario_id"] for config in first["items"] + rest["items"]] == ["a", "b", "c"]
    assert rest["next_cursor"] is None
    assert (await door.get(f"{CONFIGS}/{tenant}/a?version=1")).status_code == 200
    assert (await door.get(f"{CONFIGS}/{tenant}/a?version=2")).status_code == 404


async def test_refuses_what_is_no_config(door: Door, tenant: str) -> None:
    wanted = {"tenant_id": tenant, "scenario_id": "s", "template_id": "video", "name": "V"}
    assert (await door.post(f"{CONFIGS}/from-template", json=wanted)).status_code == 201
    twice = await door.post(f"{CONFIGS}/from-template", json=wanted)
    unknown = await door.post(f"{CONFIGS}/from-template", json=wanted | {"template_id": "opera"})
    malformed = await door.post(f"{CONFIGS}/from-template", json={"tenant_id": tenant})
    no_object = await door.post(f"{CONFIGS}/", json=[])
    invalid = await door.post(
        f"{CONFIGS}/", json={"tenant_id": tenant, "scenario_id": "x", "scenario_type": "nope", "name": "X"}
    )
    garbage = await door.get(f"{CONFIGS}/?cursor=garbage")
    statuses = [answer.status_code for answer in (twice, unknown, malformed, no_object, invalid, garbage)]
    assert statuses == [409, 404, 400, 400, 400, 400]
    assert invalid.json()["errors"][0]["code"] == "invalid_config"
    assert all(answer.json()["trace_id"] for answer in (twice, unknown, malformed))


async def test_says_come_back_while_the_store_is_away() -> None:
    async with http_door() as nowhere:
        answer = await nowhere.get("/api/v1/item/i1", headers={"X-Tenant-ID": "acme"})
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
