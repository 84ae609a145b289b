"""The base of an event: the fields that every event has, whatever its scenario (CONTRACTS §1).

Declared twice, for the two paths of `judge.py`: as structs that a good base decodes into, and as field
specs that name what is wrong with a bad one. A property test holds the two equal.
"""

from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Annotated, Any, Final

import msgspec

from schemas.event import Context, DeviceType
from schemas.limits import INT64_MAX, MAX_FUTURE_MS, MAX_ID, MAX_SCENARIO_ID, OLDEST_TIMESTAMP_MS
from schemas.topics import is_tenant
from schemas.verdict import Code, Issue
from tracking_configs.field_rules import explain_field, got, is_a, shortened
from tracking_configs.template import CUSTOM_PAYLOAD_KEY, FieldSpec, load_templates

ABSENT: Final = msgspec.Raw()
MAX_TENANT: Final = 63  # as the pattern of a tenant says
DEVICES: Final = frozenset(device.value for device in DeviceType)
DEVICE_ALIASES: Final = {"desktop": DeviceType.PC.value}

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID)]
_ScenarioId = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SCENARIO_ID)]
_Tenant = Annotated[str, msgspec.Meta(max_length=MAX_TENANT)]
_Label = Annotated[str, msgspec.Meta(max_length=MAX_ID)]
_Position = Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX)]


class Base(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A base whose fields have the right types and lengths, and no field beside them."""

    scenario_id: _ScenarioId
    user_id: _Id
    item_id: _Id
    action_type: str
    context: msgspec.Raw
    event_id: _Id | None = None
    tenant_id: _Tenant | None = None
    timestamp: int | None = None
    experiment_id: _Label | None = None
    experiment_group: _Label | None = None
    position: _Position | None = None
    scenario_data: msgspec.Raw = ABSENT
    extra_data: msgspec.Raw = ABSENT


decode_base: Final = msgspec.json.Decoder(Base).decode
decode_context: Final = msgspec.json.Decoder(Context).decode

BASE_FIELDS: Final = {
    spec.field_name: spec
    for spec in (
        FieldSpec(field_name="event_id", field_type="string", min_length=1, max_length=MAX_ID),
        FieldSpec(field_name="tenant_id", field_type="string"),
        FieldSpec(
            field_name="scenario_id", field_type="string", required=True, min_length=1, max_length=MAX_SCENARIO_ID
        ),
        FieldSpec(field_name="user_id", field_type="string", required=True, min_length=1, max_length=MAX_ID),
        FieldSpec(field_name="item_id", field_type="string", required=True, min_length=1, max_length=MAX_ID),
        FieldSpec(field_name="action_type", field_type="string", required=True),
        FieldSpec(field_name="timestamp", field_type="integer"),
        FieldSpec(field_name="context", field_type="object", required=True),
        FieldSpec(field_name="experiment_id", field_type="string", max_length=MAX_ID),
        FieldSpec(field_name="experiment_group", field_type="string", max_length=MAX_ID),
        FieldSpec(field_name="position", field_type="integer", min_value=0),
        FieldSpec(field_name="scenario_data", field_type="object"),
        FieldSpec(field_name="extra_data", field_type="object"),
    )
}
CONTEXT_FIELDS: Final = {
    "device_type": FieldSpec(
        field_name="device_type",
        field_type="string",
        required=True,
        enum_values=tuple(device.value for device in DeviceType),
        enum_aliases=DEVICE_ALIASES,
    ),
    **{name: FieldSpec(field_name=name, field_type="string") for name in Context.__struct_fields__[1:]},
}

is_known_tenant_name = lru_cache(maxsize=4096)(is_tenant)


@cache
def payload_keys() -> frozenset[str]:
    """Every key that may stand in `scenario_data`."""
    return frozenset({template.payload_key for template in load_templates().values()} | {CUSTOM_PAYLOAD_KEY})


def base_issues(values: Mapping[str, Any], received_at: int) -> Iterator[Issue]:
    """Every error of the base by itself; what depends on where the event came from is the judge's."""
    for name, spec in BASE_FIELDS.items():
        yield from explain_field(spec, values.get(name), name, required=spec.required)
    context = values.get("context")
    if isinstance(context, dict):
        for name, spec in CONTEXT_FIELDS.items():
            yield from explain_field(spec, context.get(name), f"context.{name}", required=spec.required)
    yield from _timestamp_issues(values.get("timestamp"), received_at)
    yield from _payload_issues(values.get("scenario_data"))


def _timestamp_issues(timestamp: Any, received_at: int) -> Iterator[Issue]:
    if not is_a("integer", timestamp):
        return
    if timestamp < OLDEST_TIMESTAMP_MS:
        yield Issue("timestamp", Code.TIMESTAMP_TOO_OLD, f"{shortened(str(timestamp))} ms is before the year 2000")
    elif timestamp > received_at + MAX_FUTURE_MS:
        message = f"{shortened(str(timestamp))} ms is more than 24 h after the time of arrival, {received_at}"
        yield Issue("timestamp", Code.TIMESTAMP_IN_FUTURE, message)


def _payload_issues(data: Any) -> Iterator[Issue]:
    if not isinstance(data, dict):
        return
    for key in list(data)[:10]:
        if key not in payload_keys():
            yield Issue(f"scenario_data.{shortened(key)}", Code.UNKNOWN_FIELD, "no scenario has this payload key")
    if len(data) != 1:
        yield Issue("scenario_data", Code.AMBIGUOUS_SCENARIO_DATA, f"expected exactly one key, got {len(data)}")
    for key, payload in data.items():
        if key in payload_keys() and not isinstance(payload, dict):
            yield Issue(f"scenario_data.{key}", Code.WRONG_TYPE, f"expected object, got {got(payload)}")
