"""Events of erased users at both doors."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from recommender.v1 import behavior_pb2 as pb
from recommender.v1 import behavior_pb2_grpc

from ingest_api.erased_events import body_of
from schemas.erased import Later
from tests.factories import NOON, make_body, make_event
from tests.ingest_api.doors import FakePublisher, grpc_channel, http_door, make_door_deps
from tests.schemas.test_erased import KEY, erased_users, erasure
from tracking_configs.judge import Judge
from tracking_configs.registry import ConfigRegistry

TRACK = "/api/v1/behaviors/track"


def judge(later: Later, erased_at: int = NOON - 1) -> Judge:
    erased = erased_users(later, ("acme", "other"))
    erased.note(erasure("acme", "ann", KEY, erased_at))
    return Judge(ConfigRegistry(), erased=erased)


async def test_both_doors_refuse_with_the_same_code() -> None:
    publisher = FakePublisher()
    async with http_door(publisher, parts={"judge": judge(Later.REFUSE)}) as http:
        refused = await http.post(TRACK, json=make_body(user_id="ann"))
        validated = await http.post("/api/v1/behaviors/validate", json=make_body(user_id="ann"))
        taken = await http.post(TRACK, json=make_body(user_id="bob"))
    assert (refused.status_code, taken.status_code) == (400, 200)
    assert refused.json()["errors"] == [{"field": "user_id", "code": "user_erased", "message": "the user was erased"}]
    assert validated.status_code == 400
    async with grpc_channel(replace(make_door_deps(publisher), judge=judge(Later.REFUSE))) as channel:
        stub: Any = behavior_pb2_grpc.BehaviorServiceStub(channel)
        events = [event_message("ann"), event_message("bob")]
        answer = await stub.TrackBatch(pb.TrackBatchRequest(events=events))
    assert [error.errors[0].code for error in answer.errors] == ["user_erased"]
    assert [published.user_id for published in publisher.published] == ["bob", "bob"]


def event_message(user: str) -> pb.BehaviorEvent:
    context = pb.BehaviorContext(device_type=pb.DEVICE_TYPE_MOBILE)
    named: Any = {"tenant_id": "acme", "scenario_id": "vlog_feed", "user_id": user, "item_id": "i1"}
    return pb.BehaviorEvent(**named, action_type=pb.ACTION_TYPE_PLAY, context=context, timestamp=NOON)


async def test_what_goes_to_kafka_under_a_pseudonym_names_nobody() -> None:
    publisher = FakePublisher()
    context = {"device_type": "desktop", "ip": "10.1.2.3", "location": "Ulm", "mail": "ann@example.org"}
    body = make_body(user_id="ann", context=context, extra_data={"name": "Ann"}, position=3, timestamp=None)
    async with http_door(publisher, parts={"judge": judge(Later.PSEUDONYMISE)}) as http:
        assert (await http.post(TRACK, json=body)).status_code == 200
    (published,) = publisher.published
    sent = msgspec.json.decode(published.value)
    assert sent["user_id"] == published.user_id
    assert published.user_id.startswith("anon_")
    assert sent["context"] == {"device_type": "pc"}
    assert (sent["position"], sent["timestamp"], sent["item_id"]) == (3, NOON, "i1")
    assert not any(secret in published.value.lower() for secret in (b"ann", b"ulm", b"10.1.2.3"))


async def test_with_accept_a_later_event_is_taken_as_it_is() -> None:
    publisher = FakePublisher()
    async with http_door(publisher, parts={"judge": judge(Later.ACCEPT)}) as http:
        assert (await http.post(TRACK, json=make_body(user_id="ann"))).status_code == 200
    assert msgspec.json.decode(publisher.published[0].value)["user_id"] == "ann"


@pytest.mark.parametrize("user", ["u1", "anon_0123456789abcdef01234567"])
def test_a_client_s_own_text_is_not_taken_apart(user: str) -> None:
    body = msgspec.json.encode(make_body(user_id=user, extra_data={"a": 1}))
    assert body_of(make_event(user_id=user), body) is body
