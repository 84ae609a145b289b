"""From an event's JSON to its message, the way a client of gRPC would write it: the inverse of the door."""

from typing import Any

from google.protobuf.json_format import ParseDict
from recommender.v1 import behavior_pb2 as pb

NAMED_CONTEXT = {field.name for field in pb.BehaviorContext.DESCRIPTOR.fields} - {"more"}


def message_of(body: dict[str, Any]) -> pb.BehaviorEvent:
    """Raises ParseError for what a message cannot say: a number for a string, say."""
    plain = dict(body)
    if (action := plain.pop("action_type", None)) is not None:
        known = f"ACTION_TYPE_{action.upper()}" in pb.ActionType.keys()  # noqa: SIM118 - an enum wrapper, no dict
        plain["action_type"] = f"ACTION_TYPE_{action.upper()}" if known else "ACTION_TYPE_CUSTOM"
        if not known:
            plain["custom_action"] = action
    if (context := plain.pop("context", None)) is not None:
        plain["context"] = {name: value for name, value in context.items() if name in NAMED_CONTEXT}
        if "device_type" in context:
            plain["context"]["device_type"] = f"DEVICE_TYPE_{context['device_type'].upper()}"
        if more := {name: value for name, value in context.items() if name not in NAMED_CONTEXT}:
            plain["context"]["more"] = more
    return ParseDict(plain, pb.BehaviorEvent())
