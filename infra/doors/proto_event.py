"""A line of JSON as the BehaviorEvent message that says the same."""

from typing import Any, Final

import msgspec
from google.protobuf.json_format import ParseDict, ParseError
from recommender.v1 import behavior_pb2 as pb

_NAMED_IN_CONTEXT: Final = frozenset({"os", "location", "ip", "scene", "request_id"})
_PLAIN: Final = (
    ("event_id", str),
    ("tenant_id", str),
    ("scenario_id", str),
    ("user_id", str),
    ("item_id", str),
    ("timestamp", int),
    ("experiment_id", str),
    ("experiment_group", str),
    ("position", int),
)
_DEVICES: Final = {"mobile": pb.DEVICE_TYPE_MOBILE, "pc": pb.DEVICE_TYPE_PC, "desktop": pb.DEVICE_TYPE_PC} | {
    "tablet": pb.DEVICE_TYPE_TABLET
}
_ACTIONS: Final = {name.removeprefix("ACTION_TYPE_").lower(): number for name, number in pb.ActionType.items()}


class NotExpressibleError(ValueError):
    """An event whose JSON has no form in the protocol: gRPC clients cannot even make it."""


def proto_event(line: bytes) -> pb.BehaviorEvent:
    """Raises NotExpressibleError for what is not an event by its types; the door judges everything else."""
    try:
        plain = msgspec.json.decode(line, type=dict[str, Any])
        event = pb.BehaviorEvent(**{name: plain[name] for name, kind in _PLAIN if _is(plain.get(name), kind)})
        _set_action(event, plain.get("action_type"))
        _set_context(event.context, plain.get("context") or {})
        if isinstance(data := plain.get("scenario_data"), dict):
            ParseDict(data, event.scenario_data)  # a field that protobuf does not know is not dropped in silence
        if isinstance(extra := plain.get("extra_data"), dict):
            event.extra_data.update(extra)
    except (msgspec.MsgspecError, ParseError, ValueError, TypeError, AttributeError) as error:
        raise NotExpressibleError(str(error)) from error
    return event


def _is(value: Any, kind: type) -> bool:
    if value is None:
        return False
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{value!r} is not of type {kind.__name__}")
    return True


def _set_action(event: pb.BehaviorEvent, action: Any) -> None:
    if not _is(action, str):
        return
    event.action_type = _ACTIONS.get(action, pb.ACTION_TYPE_CUSTOM)
    if event.action_type == pb.ACTION_TYPE_CUSTOM:
        event.custom_action = action


def _set_context(context: pb.BehaviorContext, plain: dict[str, Any]) -> None:
    context.device_type = _DEVICES.get(plain.get("device_type", ""), pb.DEVICE_TYPE_UNSPECIFIED)
    more = {}
    for name, value in plain.items():
        if name in _NAMED_IN_CONTEXT and isinstance(value, str):
            setattr(context, name, value)
        elif name != "device_type":
            more[name] = value
    if more:
        context.more.update(more)
