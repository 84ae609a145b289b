"""Tracking configs over HTTP, on a real store and topic."""

import asyncio
import re
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
from tracking_configs.outbox import ConfigOutbox
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
    store = ConfigStore(mongo_database)
    service = ConfigService(store, ConfigOutbox(store, publisher), load_templates(), registry)
    parts = {"config_service": service, "judge": Judge(registry)}
    async with http_door(parts=parts) as client:
        yield client
    await publisher.stop()


async def make(door: Door, tenant: str, scenario: str = "feed", **parts: Any) -> dict[str, Any]:
    wanted = {"tenant_id": tenant, "scenario_id": scenario, "template_id": "video", "name": "Feed"}
    made = await door.post(f"{CONFIGS}/from-template", json=wanted | parts)
    assert made.status_code == 201, made.text
    config: dict[str, Any] = made.json()
    return config


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


async def test_a_change_says_what_it_changes_and_is_in_force_at_once(door: Door, tenant: str) -> None:
    await make(door, tenant)
    parts = {"enforcement": "reject", "author": "ana", "reason": "clients are clean"}
    changed = await door.put(f"{CONFIGS}/{tenant}/feed", json=parts, headers={"If-Match": '"1"'})
    assert changed.status_code == 200
    assert changed.headers["etag"] == '"2"'
    body = changed.json()
    assert (body["version"], body["enforcement"], body["author"]) == (2, "reject", "ana")
    assert body["change"]["verdict"] == "breaking"
    assert body["change"]["details"][0]["field"] == "enforcement"
    event = make_body(tenant_id=tenant, scenario_id="feed", action_type="play_end")
    assert (await door.post("/api/v1/behaviors/validate", json=event)).status_code == 400
    assert (await door.get(f"{CONFIGS}/{tenant}/feed?version=1")).json()["enforcement"] == "warn"


async def test_a_stale_writer_is_told_so(door: Door, tenant: str) -> None:
    await make(door, tenant)
    url = f"{CONFIGS}/{tenant}/feed"
    assert (await door.put(url, json={"name": "Two"}, headers={"If-Match": "1"})).status_code == 200
    stale = await door.put(url, json={"name": "Three"}, headers={"If-Match": "1"})
    assert stale.status_code == 412
    assert stale.json()["errors"][0]["code"] == "version_conflict"
    assert (await door.delete(url, headers={"If-Match": "1"})).status_code == 412
    assert (await door.put(url, json={"name": "X"}, headers={"If-Match": "yesterday"})).status_code == 400


async def test_of_two_writers_one_is_told_that_the_other_was_faster(door: Door, tenant: str) -> None:
    await make(door, tenant)
    url = f"{CONFIGS}/{tenant}/feed"
    for version in range(1, 6):
        writers = (door.put(url, json={"name": name}, headers={"If-Match": str(version)}) for name in ("a", "b"))
        answers = await asyncio.gather(*writers)
        assert sorted(answer.status_code for answer in answers) == [200, 412]
    history = (await door.get(f"{url}/versions")).json()["items"]
    assert [entry["version"] for entry in history] == [6, 5, 4, 3, 2, 1]


async def test_a_breaking_change_is_refused_where_the_caller_or_the_config_asks_for_it(door: Door, tenant: str) -> None:
    await make(door, tenant)
    url = f"{CONFIGS}/{tenant}/feed"
    refused = await door.put(f"{url}?allow_breaking=false", json={"optional_fields": []})
    assert refused.status_code == 409
    assert refused.json()["errors"][0]["code"] == "breaking_change"
    assert (await door.put(url, json={"enforcement": "reject"})).status_code == 200
    assert (await door.put(url, json={"optional_fields": []})).status_code == 409
    assert (await door.put(f"{url}?allow_breaking=true", json={"optional_fields": []})).status_code == 200


async def test_a_config_goes_out_of_service_comes_back_and_goes_back(door: Door, tenant: str) -> None:
    await make(door, tenant)
    url = f"{CONFIGS}/{tenant}/feed"
    gone = await door.delete(f"{url}?author=ana&reason=closed")
    assert (gone.status_code, gone.json()["is_active"], gone.json()["reason"]) == (200, False, "closed")
    assert (await door.get(f"{CONFIGS}/?tenant_id={tenant}")).json()["items"] == []
    everything = (await door.get(f"{CONFIGS}/?tenant_id={tenant}&include_inactive=true")).json()["items"]
    assert [config["is_active"] for config in everything] == [False]
    wanted = {"tenant_id": tenant, "scenario_id": "feed", "template_id": "video", "name": "Feed"}
    assert (await door.post(f"{CONFIGS}/from-template", json=wanted)).status_code == 409
    assert (await door.put(url, json={"is_active": True})).json()["version"] == 3
    back = await door.post(f"{url}/rollback", json={"version": 1})
    assert (back.json()["version"], back.json()["reason"]) == (4, "rollback to version 1")
    assert (await door.post(f"{url}/rollback", json={"version": 40})).status_code == 404
    diff = (await door.get(f"{url}/diff?from=2&to=4")).json()
    assert diff["details"][0]["field"] == "is_active"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"name": "a", "name": "b"}', "duplicate key"),
        (b'{"hot_half_life_h": NaN}', "not a number of JSON"),
        (b'{"hot_half_life_h": 1e999}', "not a number of JSON"),
        (b'{"name": "\\ud800"}', "surrogates"),
        (b"[" * 100_000, "recursion"),
        (b'{"colour": "red"}', "colour"),
        (b'{"session_gap_min": "30"}', "session_gap_min"),
        (b'{"required_fields": [{"field_name": "a", "field_type": "colour"}]}', r"required_fields\[0\].field_type"),
        (b'{"optional_fields": [{"field_name": "a", "field_type": "string", "pattern": "(?=a)"}]}', "pattern"),
        (b'{"optional_fields": [{"field_name": "a", "field_type": "integer", "min_value": 1%0900d}]}' % 1, "min_value"),
        (b'{"weights": {"like": 1%0900d}}' % 1, "weights"),
    ],
)
async def test_a_bad_part_is_named(door: Door, tenant: str, body: bytes, named: str) -> None:
    await make(door, tenant)
    headers = {"content-type": "application/json"}
    answer = await door.put(f"{CONFIGS}/{tenant}/feed", content=body, headers=headers)
    assert answer.status_code == 400
    assert re.search(named, answer.json()["message"]), answer.json()["message"]
    assert answer.json()["errors"]
    assert (await door.get(f"{CONFIGS}/{tenant}/feed")).json()["version"] == 1


async def test_a_config_with_too_many_fields_or_bytes_is_refused(door: Door, tenant: str) -> None:
    named = {"tenant_id": tenant, "scenario_id": "big", "scenario_type": "custom", "name": "Big"}
    fields = [{"field_name": f"f{index}", "field_type": "string"} for index in range(300)]
    many = await door.post(f"{CONFIGS}/", json=named | {"optional_fields": fields})
    large = [field | {"enum_values": [f"{n:0100d}" for n in range(400)]} for field in fields[:100]]
    huge = await door.post(f"{CONFIGS}/", json=named | {"optional_fields": large})
    assert [answer.status_code for answer in (many, huge)] == [400, 400]
    assert "optional_fields: 300 fields are more than 200" in many.json()["message"]
    assert "more than 262144" in huge.json()["message"]


async def test_exports_a_config_for_the_tenants_developers(door: Door, tenant: str) -> None:
    await make(door, tenant)
    url = f"{CONFIGS}/{tenant}/feed"
    schema = await door.get(f"{url}/schema.json")
    assert schema.json()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert (await door.get(f"{url}/schema.avsc")).json()["type"] == "record"
    docs = await door.get(f"{url}/docs")
    assert docs.headers["content-type"].startswith("text/markdown")
    assert "watch_duration" in docs.text
    for language in ("python", "typescript", "kotlin", "swift"):
        assert "watch_duration" in (await door.get(f"{url}/types?lang={language}")).text
    assert (await door.get(f"{url}/types?lang=cobol")).status_code == 400
    assert (await door.get(f"{CONFIGS}/{tenant}/none/docs")).status_code == 404
