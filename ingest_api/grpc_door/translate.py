"""A BehaviorEvent message as the JSON that the same event would have over HTTP.

What is absent in the message is absent in the JSON; a zero that is set is a zero.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from recommender.v1 import behavior_pb2 as pb

_ACTION_PREFIX: Final = "ACTION_TYPE_"
_DEVICE_PREFIX: Final = "DEVICE_TYPE_"
_EXACT_FLOAT: Final = 2**53  # integers up to here pass through Struct's doubles unchanged

encode = msgspec.json.Encoder().encode


def event_json(event: pb.BehaviorEvent) -> bytes:
    """The event's JSON."""
    plain: dict[str, Any] = {}
    for field, value in event.ListFields():
        if field.name not in _SPECIAL:
            plain[field.name] = value
        elif (translated := _SPECIAL[field.name](event)) is not None:
            plain[field.name] = translated
    return encode(plain)


def _action(event: pb.BehaviorEvent) -> str | None:
    number = event.action_type
    if number == pb.ACTION_TYPE_CUSTOM:
        return event.custom_action if event.HasField("custom_action") else None
    name = _ACTIONS.get(number)
    return str(number) if name is None else name.removeprefix(_ACTION_PREFIX).lower()  # a number of a later version


def _context(event: pb.BehaviorEvent) -> dict[str, Any]:
    context = event.context
    plain = _struct(context.more) if context.HasField("more") else {}
    for field, value in context.ListFields():
        if field.name == "device_type":
            name = _DEVICES.get(value)
            plain["device_type"] = str(value) if name is None else name.removeprefix(_DEVICE_PREFIX).lower()
        elif field.name != "more":
            plain[field.name] = value
    return plain


def _scenario(event: pb.BehaviorEvent) -> dict[str, Any]:
    kind = event.scenario_data.WhichOneof("data")
    if kind is None:
        return {}
    data = getattr(event.scenario_data, kind)
    return {kind: _struct(data) if isinstance(data, Struct) else _message(data)}


def _message(message: Message) -> dict[str, Any]:
    """A scenario message; an empty array cannot be told from none, so it is none."""
    return {field.name: _plain(value) for field, value in message.ListFields()}


def _plain(value: Any) -> Any:
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Struct):
        return _struct(value)
    return dict(value) if hasattr(value, "items") else [_plain(item) for item in value]


def _struct(struct: Struct) -> dict[str, Any]:
    return {name: _value(value) for name, value in struct.fields.items()}


def _value(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind is None or kind == "null_value":
        return None
    found = getattr(value, kind)
    if isinstance(found, Struct):
        return _struct(found)
    if isinstance(found, ListValue):
        return [_value(item) for item in found.values]
    if kind == "number_value" and found.is_integer() and abs(found) <= _EXACT_FLOAT:
        return int(found)  # Struct knows doubles alone; JSON's 5 came as 5.0
    return found


_ACTIONS: Final = {number: name for name, number in pb.ActionType.items()}
_DEVICES: Final = {number: name for name, number in pb.DeviceType.items()}
_SPECIAL: Final[dict[str, Callable[[pb.BehaviorEvent], Any]]] = {
    "action_type": _action,
    "custom_action": lambda _: None,
    "context": _context,
    "scenario_data": _scenario,
    "extra_data": lambda event: _struct(event.extra_data),
}
