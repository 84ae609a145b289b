"""Events planted among the real ones: some to be rejected, each for its own reason, and some to be warned."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from infra.demo.data import SCENARIO, TENANT

DAY_MS: Final = 24 * 60 * 60 * 1000


def rejected_by_the_stream(now_ms: int) -> dict[str, bytes]:
    """What is wrong -> a raw Kafka value that becomes a dead letter for it."""
    return {
        "not JSON at all": b'{"user_id": "7", "item_id": ',
        "no user": _event(now_ms, user_id=None),
        "an action nobody knows": _event(now_ms, action_type="teleport"),
        "from the day after tomorrow": _event(now_ms, timestamp=now_ms + 2 * DAY_MS),
        "another tenant's": _event(now_ms, tenant_id="someone-else"),
        "a device that is none": _event(now_ms, context={"device_type": "toaster"}),
        "a position below zero": _event(now_ms, position=-1),
    }


def refused_at_the_door(now_ms: int) -> list[bytes]:
    """Events that HTTP and gRPC answer with an error, so that nothing is sent on."""
    return [_event(now_ms, item_id=None), _event(now_ms, action_type="teleport")]


def warned(now_ms: int, door: str) -> list[bytes]:
    """Events that are taken by a door, each with a warning."""
    cases: list[Mapping[str, Any]] = [
        {"action_type": "play_end"},  # requires video_data
        {"action_type": "play_end", "scenario_data": {"video_data": _WATCHED | {"completion_rate": 1.8}}},
        {"action_type": "add_cart"},  # no action of films
        {"scenario_id": "trailers"},  # has no tracking config
    ]
    if door != "grpc":  # an undeclared field is not even expressible in protobuf
        cases.append({"action_type": "share", "scenario_data": {"video_data": {"seen_with": "friends"}}})
    return [_event(now_ms, event_id=f"planted_{door}_{number}", **case) for number, case in enumerate(cases)]


_WATCHED: Final = {"duration": 5400, "watch_duration": 5400, "completion_rate": 1.0}


def _event(now_ms: int, **fields: Any) -> bytes:
    """An event of user 405; a field set to None is left out."""
    event = {
        "tenant_id": TENANT,
        "scenario_id": SCENARIO,
        "user_id": "405",
        "item_id": "50",
        "action_type": "play",
        "timestamp": now_ms,
        "context": {"device_type": "pc"},
    }
    return msgspec.json.encode({name: value for name, value in (event | fields).items() if value is not None})
