"""What a door counts of the quality of events: those it rejects, since the stream never sees them."""

from typing import Any

import pytest

from ingest_api.track import TrackService
from schemas.event import Source
from schemas.lag import OTHERS
from schemas.limits import MAX_EVENT_BYTES
from schemas.quality import QUALITY
from tests.factories import NOON, make_body
from tests.ingest_api.doors import FakePublisher
from tests.tracking_configs.factories import encode, make_registry, template_config
from tracking_configs.judge import Judge

BAD_VIDEO = {"video_data": {"duration": 0}}
Found = dict[tuple[str, ...], float]


def make_service(**publisher: Any) -> TrackService:
    strict = template_config("video", "strict", enforcement="reject")
    return TrackService(Judge(make_registry(strict)), FakePublisher(**publisher), lambda: NOON, Source.HTTP)


def rejections() -> Found:
    """(tenant, scenario, version, field) -> events rejected at doors, since the process began."""
    names = ("tenant", "scenario", "version", "field")
    return {
        tuple(sample.labels[name] for name in names): sample.value
        for family in QUALITY.collect()
        for sample in family.samples
        if sample.labels["place"] == "door" and sample.labels["verdict"] == "reject"
    }


async def added(service: TrackService, body: bytes, tenant: str | None = None) -> Found:
    """What tracking one event adds to `rejections`."""
    before = rejections()
    await service.track(body, tenant)
    return {key: value - before.get(key, 0) for key, value in rejections().items() if value != before.get(key, 0)}


async def test_a_rejected_event_counts_for_the_tenant_scenario_and_version_it_names() -> None:
    body = encode(make_body(scenario_id="strict", action_type="impression", scenario_data=BAD_VIDEO))
    assert await added(make_service(), body, "other-tenant") == {
        ("acme", "strict", "1", ""): 1,
        ("acme", "strict", "1", "scenario_data.video_data.duration"): 1,
    }


async def test_an_accepted_event_is_left_to_the_stream() -> None:
    assert await added(make_service(), encode(make_body())) == {}
    assert await added(make_service(down=True), encode(make_body())) == {}


async def test_validating_counts_nothing() -> None:
    before = rejections()
    await make_service().validate(b"{", "acme")
    assert rejections() == before


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 60_000, b'{"tenant_id": 7}', b'{"tenant_id": "\xff"}'])
async def test_a_body_that_names_no_tenant_counts_for_that_of_the_call(body: bytes) -> None:
    assert (await added(make_service(), body, "acme"))["acme", "", "0", ""] == 1
    assert (await added(make_service(), body))[OTHERS, "", "0", ""] == 1


async def test_a_tenant_that_does_not_exist_makes_no_series() -> None:
    found = await added(make_service(closed=frozenset({"ghost"})), encode(make_body(tenant_id="ghost")))
    assert found == {(OTHERS, "", "0", ""): 1, (OTHERS, "", "0", "tenant_id"): 1}


async def test_an_event_that_what_the_door_fills_in_makes_too_large_is_counted() -> None:
    body = encode(make_body(event_id=None, scenario_id="strict", action_type="impression", extra_data={"x": ""}))
    body = body.replace(b'"x":""', b'"x":"%b"' % (b"y" * (MAX_EVENT_BYTES - len(body))))
    assert await added(make_service(), body) == {("acme", "strict", "1", ""): 1}
