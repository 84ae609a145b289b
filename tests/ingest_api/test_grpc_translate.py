"""Messages become the JSON that the same event has over HTTP."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recommender.v1 import behavior_pb2 as pb

from ingest_api.grpc_door.translate import event_json
from tests.factories import make_body
from tests.ingest_api.messages import message_of
from tracking_configs.template import load_templates

SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20)
OBJECTS = st.dictionaries(
    st.text(max_size=10),
    st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner)),
    max_size=5,
)


def plain(message: pb.BehaviorEvent) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(event_json(message))
    return decoded


@pytest.mark.parametrize("template_id", load_templates())
def test_a_templates_example_comes_through_unchanged(template_id: str) -> None:
    example = load_templates()[template_id].example
    assert plain(message_of(example)) == example


def test_nothing_becomes_nothing() -> None:
    assert plain(pb.BehaviorEvent()) == {}
    assert plain(pb.BehaviorEvent(context=pb.BehaviorContext(), scenario_data=pb.ScenarioSpecificData())) == {
        "context": {},
        "scenario_data": {},
    }


def test_zero_and_empty_are_not_absent() -> None:
    video = pb.VideoScenarioData(duration=0, is_muted=False, video_quality="")
    event = pb.BehaviorEvent(
        user_id="", position=0, timestamp=0, scenario_data=pb.ScenarioSpecificData(video_data=video)
    )
    assert plain(event) == {
        "user_id": "",
        "position": 0,
        "timestamp": 0,
        "scenario_data": {"video_data": {"duration": 0, "is_muted": False, "video_quality": ""}},
    }


def test_an_action_of_the_tenants_own_goes_by_its_name() -> None:
    custom = pb.BehaviorEvent(action_type=pb.ACTION_TYPE_CUSTOM, custom_action="park")
    assert plain(custom) == {"action_type": "park"}
    assert plain(pb.BehaviorEvent(action_type=pb.ACTION_TYPE_CUSTOM)) == {}
    assert plain(pb.BehaviorEvent(action_type=pb.ACTION_TYPE_PLAY, custom_action="park")) == {"action_type": "play"}


def test_a_number_of_a_later_version_is_not_taken_for_absent() -> None:
    event = pb.BehaviorEvent()
    event.MergeFromString(b"\x30\xe7\x07")  # action_type = 999
    assert plain(event) == {"action_type": "999"}


@given(extra=OBJECTS, more=OBJECTS)
def test_free_objects_come_through_unchanged(extra: dict[str, Any], more: dict[str, Any]) -> None:
    taken = {"device_type", "os", "location", "ip", "scene", "request_id"}
    body = make_body(
        extra_data=extra, context={"device_type": "pc"} | {k: v for k, v in more.items() if k not in taken}
    )
    assert plain(message_of(body)) == body
