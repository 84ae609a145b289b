"""One service function, two transports: the same events get the same receipts by HTTP and by gRPC."""

import json
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from recommender.v1 import behavior_pb2 as pb

from tests.factories import NOON, make_body
from tests.ingest_api.doors import FakePublisher, grpc_door, http_door
from tests.ingest_api.messages import message_of
from tracking_configs.template import load_templates

CASES: dict[str, dict[str, Any]] = {
    **{f"the example of {name}": template.example for name, template in load_templates().items()},
    "without a user": make_body(user_id=None),
    "an empty item": make_body(item_id=""),
    "a long scenario": make_body(scenario_id="s" * 129),
    "another tenant's name": make_body(tenant_id="A B"),
    "an unknown action": make_body(action_type="fly"),
    "an old timestamp": make_body(timestamp=1),
    "the day after tomorrow": make_body(timestamp=NOON + 2 * 86_400_000),
    "a negative position": make_body(position=-1),
    "no context": make_body(context=None),
    "no device": make_body(context={"os": "iOS"}),
    "further context": make_body(context={"device_type": "pc", "cart": {"size": 3, "open": True}}),
    "a watch longer than the video": make_body(scenario_data={"video_data": {"duration": 0, "completion_rate": 7}}),
    "free data": make_body(scenario_data={"custom_data": {"a": [1, 2.5, None, {"b": "ä"}]}}),
    "an empty payload": make_body(scenario_data={}),
    "a large one": make_body(extra_data={"pad": "x" * 70_000}),
    "no id": make_body(event_id=None),
    "no timestamp": make_body(timestamp=None),
    "no tenant": make_body(tenant_id=None),
}


def issues(found: Any) -> list[tuple[str, str, str]]:
    return [
        (issue["field"], issue["code"], issue["message"])
        if isinstance(issue, dict)
        else (issue.field, issue.code, issue.message)
        for issue in found
    ]


async def test_a_batch_gets_the_same_receipts_by_either_door() -> None:
    bodies = list(CASES.values())
    by_http, by_grpc = FakePublisher(), FakePublisher()
    async with http_door(by_http) as http, grpc_door(by_grpc) as stub:
        answer = (await http.post("/api/v1/behaviors/track/batch", json={"events": bodies})).json()
        reply = await stub.TrackBatch(pb.TrackBatchRequest(events=map(message_of, bodies)))
    assert (reply.success, reply.total, reply.succeeded, reply.failed) == (
        answer["success"],
        answer["total"],
        answer["succeeded"],
        answer["failed"],
    )
    assert [(line.index, line.event_id or None, issues(line.errors)) for line in reply.errors] == [
        (line["index"], line.get("event_id"), issues(line["errors"])) for line in answer["errors"]
    ]
    assert [comparable(sent.value) for sent in by_grpc.published] == [
        comparable(sent.value) for sent in by_http.published
    ]
    assert {sent.source for sent in by_grpc.published} == {"grpc"}


def comparable(value: bytes) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(value)
    if event["event_id"] != CASES["without a user"]["event_id"] and event not in CASES.values():
        event["event_id"] = "made"
    return event


# Alone, a large one is refused by HTTP before it is read, in other words.
@pytest.mark.parametrize("case", sorted(CASES.keys() - {"a large one"}))
async def test_an_event_gets_the_same_receipt_by_either_door(case: str) -> None:
    body = CASES[case]
    async with http_door() as http, grpc_door() as stub:
        calls: dict[str, tuple[Any, Any]] = {
            "track": (stub.TrackEvent, pb.TrackEventRequest),
            "validate": (stub.ValidateEvent, pb.ValidateEventRequest),
        }
        for path, (call, request) in calls.items():
            answer = await http.post(f"/api/v1/behaviors/{path}", json=body)
            content = answer.json()
            try:
                reply = await call(request(event=message_of(body)))
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
                assert answer.status_code in {400, 413}
                assert error.details() == content["message"]
                assert violations(error) == issues(content["errors"])
                continue
            assert answer.status_code == 200
            assert reply.success
            assert reply.message == content["message"]
            assert issues(reply.validation_warnings) == issues(content.get("validation_warnings", []))
            if "event_id" in body:
                assert reply.event_id == content["event_id"] == body["event_id"]


def violations(error: grpc.aio.AioRpcError) -> list[tuple[str, str, str]]:
    trailer = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailer["grpc-status-details-bin"])
    found = error_details_pb2.BadRequest()
    assert status.details[0].Unpack(found)
    return [(each.field, each.reason, each.description) for each in found.field_violations]
