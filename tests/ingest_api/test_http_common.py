"""What holds for every call: error bodies, trace ids, OpenAPI, health."""

import json
from typing import Any

import pytest

from tests.factories import make_body
from tests.ingest_api.doors import FakePublisher, http_door

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("POST", "/api/v1/nowhere", 404),
        ("GET", "/api/v1/behaviors/track", 405),
        ("DELETE", "/api/v1/items", 405),
    ],
)
async def test_routing_errors_have_our_body(method: str, path: str, status: int) -> None:
    async with http_door() as door:
        answer = await door.request(method, path)
    assert answer.status_code == status
    assert answer.json() == {
        "success": False,
        "message": answer.json()["message"],
        "errors": [],
        "trace_id": answer.headers["x-trace-id"],
    }


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/v1/item/a", "GET, PUT"),
        ("/api/v1/behaviors/track", "POST"),
        ("/api/v1/tracking-configs/acme/feed", "DELETE, GET, PUT"),
        ("/readyz", "GET"),
    ],
)
async def test_a_call_with_another_method_is_told_every_one_there_is(path: str, methods: str) -> None:
    async with http_door() as door:
        answer = await door.request("PATCH", path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == methods


async def test_a_malformed_parameter_is_a_400_never_a_422() -> None:
    async with http_door() as door:
        answer = await door.get("/api/v1/tracking-configs/?limit=many")
    assert answer.status_code == 400
    assert answer.json()["errors"][0] | {"message": ""} == {"field": "limit", "code": "wrong_type", "message": ""}


async def test_a_fault_of_ours_is_a_500_that_shows_nothing() -> None:
    class Broken(FakePublisher):
        async def check(self, tenant: str) -> None:
            raise RuntimeError("secret")

    async with http_door(Broken()) as door:
        answer = await door.post("/api/v1/behaviors/track", json=make_body())
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["trace_id"] == answer.headers["x-trace-id"]


async def test_goes_on_in_the_callers_trace() -> None:
    async with http_door() as door:
        answer = await door.post(
            "/api/v1/behaviors/track", json={}, headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        )
        other = await door.post("/api/v1/behaviors/track", json={}, headers={"traceparent": "nonsense"})
    assert answer.json()["trace_id"] == answer.headers["x-trace-id"] == TRACE
    assert len(other.headers["x-trace-id"]) == 32
    assert other.headers["x-trace-id"] != "0" * 32


async def test_openapi_describes_the_raw_calls_and_no_422() -> None:
    async with http_door() as door:
        document = (await door.get("/api/v1/openapi.json")).json()
        page = await door.get("/api/v1/docs")
    assert page.status_code == 200
    track = document["paths"]["/api/v1/behaviors/track"]["post"]
    assert set(track["responses"]) == {"200", "400", "413", "415", "500", "503"}
    example = track["requestBody"]["content"]["application/json"]["example"]
    assert example["tenant_id"] == "acme"
    assert "422" not in json.dumps(document["paths"])
    assert not [ref for ref in references(document) if resolve(document, ref) is None]


async def test_the_examples_of_openapi_are_taken() -> None:
    async with http_door(default_tenant="acme") as door:
        paths = (await door.get("/api/v1/openapi.json")).json()["paths"]
        for path in ("/api/v1/behaviors/track", "/api/v1/behaviors/track/batch", "/api/v1/behavior/track"):
            example = paths[path]["post"]["requestBody"]["content"]["application/json"]["example"]
            assert (await door.post(path, json=example)).status_code == 200


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [ref for value in node.values() for ref in references(value)]
    return [ref for value in node for ref in references(value)] if isinstance(node, list) else []


def resolve(document: dict[str, Any], ref: str) -> Any:
    found: Any = document
    for part in ref.removeprefix("#/").split("/"):
        found = found.get(part) if isinstance(found, dict) else None
    return found


async def test_lives_whatever_happens_and_is_ready_only_where_events_can_be_taken() -> None:
    async def up() -> bool:
        return True

    async def down() -> bool:
        raise OSError("refused")

    async with http_door(parts={"probes": {"kafka": up}}) as door:
        assert (await door.get("/readyz")).json() == {"status": "ready", "checks": {"kafka": True}}
    async with http_door(parts={"probes": {"kafka": up, "mongo": down}}) as door:
        answer = await door.get("/readyz")
        assert answer.status_code == 200
        assert answer.json() == {"status": "degraded", "checks": {"kafka": True, "mongo": False}}
    async with http_door(parts={"probes": {"kafka": down, "redis": up}}) as door:
        for path in ("/readyz", "/health"):
            answer = await door.get(path)
            assert answer.status_code == 503
            assert answer.json() == {"status": "not_ready", "checks": {"kafka": False, "redis": True}}
        assert (await door.get("/healthz")).status_code == 200


async def test_metrics_have_the_call_not_the_path_and_no_tenant_that_does_not_exist() -> None:
    publisher = FakePublisher(closed=frozenset({"nobody"}))
    async with http_door(publisher) as door:
        await door.post("/api/v1/behaviors/track", json=make_body(tenant_id="nobody"))
        await door.get("/path-nobody-has")
        text = (await door.get("/metrics")).text
    assert "millrace_events_received_total" in text
    assert 'call="POST /api/v1/behaviors/track"' in text
    assert "path-nobody-has" not in text
    assert 'tenant="nobody"' not in text
