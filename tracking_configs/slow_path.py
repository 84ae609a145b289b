"""The slow path of the judge: it looks at the whole event, names everything, and repairs what may be repaired."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from schemas.actions import BUILT_IN_ACTIONS
from schemas.event import Context, Event
from schemas.ids import new_event_id, replayable_event_id
from schemas.limits import MAX_ID, MAX_SCENARIO_ID
from schemas.verdict import Code, Issue, Rejected
from tracking_configs.assembly import NO_CONFIG, Arrival, Reading, assemble
from tracking_configs.base import (
    ABSENT,
    BASE_FIELDS,
    CONTEXT_FIELDS,
    MAX_TENANT,
    Base,
    base_issues,
    is_known_tenant_name,
)
from tracking_configs.compiler import CompiledConfig
from tracking_configs.explain import bounded, explain_payload, own_spellings
from tracking_configs.field_rules import shortened
from tracking_configs.json_text import decode_raws, plain, respelled
from tracking_configs.registry import ConfigRegistry
from tracking_configs.signals import NOTHING_DRAWN, Signals, signals_by_payload_key, signals_of_template
from tracking_configs.template import CUSTOM

Values = Mapping[str, Any]

_BOM: Final = b"\xef\xbb\xbf"


def judge_slowly(
    value: bytes, arrival: Arrival, registry: ConfigRegistry, refusing: frozenset[str]
) -> Event | Rejected:
    """The verdict on a value that is neither empty nor too large nor too deep."""
    raws = _fields_of(value)
    if isinstance(raws, Rejected):
        return raws
    given = {name: plain(raws[name]) for name in BASE_FIELDS if name in raws}
    values = _filled(given, arrival, value)
    config = _config_of(values, registry)
    errors = [
        *base_issues(values, arrival.received_at),
        *_origin_issues(values, arrival),
        *action_issues(values, config),
        *([NO_CONFIG] if config is None and _is_one_of(values.get("tenant_id"), refusing) else ()),
    ]
    event_id = _client_id(given)
    if errors:
        return Rejected(bounded(errors), event_id, *_judged_by(values, config))
    scenario = bounded(scenario_issues(values, config))
    if config is not None and config.rejects and scenario:
        return Rejected(scenario, event_id, *_judged_by(values, config))
    warnings = bounded([*_base_warnings(raws, given, arrival), *scenario])
    return assemble(_base(values, raws, config), _context(values), _reading(values, config), arrival, warnings)


def _fields_of(value: bytes) -> dict[str, msgspec.Raw] | Rejected:
    try:
        value.decode()
        return decode_raws(value)
    except UnicodeDecodeError as error:
        why = Issue("", Code.INVALID_JSON, f"not UTF-8: byte 0x{value[error.start]:02x} at {error.start}")
    except msgspec.ValidationError:
        why = Issue("", Code.NOT_AN_OBJECT, "expected a JSON object")
    except msgspec.DecodeError as error:
        bom = value.startswith(_BOM)
        why = Issue("", Code.INVALID_JSON, "begins with a byte order mark" if bom else str(error))
    return Rejected((why,))


def _filled(given: Values, arrival: Arrival, value: bytes) -> dict[str, Any]:
    """The values, with what the platform fills in: at a door id, time and tenant, on a raw topic the id."""
    values = {name: each for name, each in given.items() if each is not None}
    if arrival.topic is not None:
        values.setdefault("event_id", replayable_event_id(arrival.topic, arrival.partition, arrival.offset, value))
        return values
    values.setdefault("event_id", new_event_id())
    values.setdefault("timestamp", arrival.received_at)
    if arrival.tenant is not None:
        values.setdefault("tenant_id", arrival.tenant)
    return values


def _judged_by(values: Values, config: CompiledConfig | None) -> tuple[str | None, int]:
    """The scenario that a rejected event names, and the version of the config that was asked."""
    scenario = values.get("scenario_id")
    usable = isinstance(scenario, str) and 0 < len(scenario) <= MAX_SCENARIO_ID
    return scenario if usable else None, config.version if config else 0


def _client_id(given: Values) -> str | None:
    """The event_id by which the client knows a rejected event, where it gave a good one."""
    event_id = given.get("event_id")
    return event_id if isinstance(event_id, str) and 0 < len(event_id) <= MAX_ID else None


def _config_of(values: Values, registry: ConfigRegistry) -> CompiledConfig | None:
    tenant, scenario = values.get("tenant_id"), values.get("scenario_id")
    return registry.get(tenant, scenario) if isinstance(tenant, str) and isinstance(scenario, str) else None


def _is_one_of(tenant: Any, tenants: frozenset[str]) -> bool:
    return isinstance(tenant, str) and tenant in tenants


def _origin_issues(values: Values, arrival: Arrival) -> Iterator[Issue]:
    tenant = values.get("tenant_id")
    if tenant is None:
        yield Issue("tenant_id", Code.MISSING, "required string is missing")
    elif isinstance(tenant, str):
        if len(tenant) > MAX_TENANT or not is_known_tenant_name(tenant):
            message = f"{shortened(tenant)!r} is not a tenant: [a-z0-9][a-z0-9_-]{{0,62}}, and not reserved"
            yield Issue("tenant_id", Code.INVALID_TENANT, message)
        if arrival.topic is not None and tenant != arrival.tenant:
            message = f"{shortened(tenant)!r} is not the topic's tenant {arrival.tenant!r}"
            yield Issue("tenant_id", Code.TENANT_MISMATCH, message)
    if values.get("timestamp") is None:
        yield Issue("timestamp", Code.MISSING, "required integer is missing")


def action_issues(values: Values, config: CompiledConfig | None) -> Iterator[Issue]:
    """The error of an action that nobody knows; of an event's values, `action_type` alone is looked at."""
    action = values.get("action_type")
    if not isinstance(action, str) or action in BUILT_IN_ACTIONS or (config and action in config.required):
        return
    message = f"{shortened(action)!r} is in no template's list and not declared by a tracking config"
    yield Issue("action_type", Code.UNKNOWN_ACTION, message)


def _base_warnings(raws: Values, given: Values, arrival: Arrival) -> Iterator[Issue]:
    if arrival.topic is not None and given.get("event_id") is None:
        yield Issue("event_id", Code.EVENT_ID_MISSING, "made from topic, partition, offset and value")
    for name in raws:
        if name not in BASE_FIELDS:
            yield Issue(shortened(name), Code.UNKNOWN_FIELD, "not part of an event, and not stored")


def scenario_issues(values: Values, config: CompiledConfig | None) -> Iterator[Issue]:
    """What the scenario's config says of an event that has a good base: its `action_type` and `scenario_data`."""
    if config is None:
        yield NO_CONFIG
        return
    action = values["action_type"]
    if action not in config.required:
        message = f"{action!r} is not in the list of scenario type {config.config.scenario_type}"
        yield Issue("action_type", Code.ACTION_NOT_IN_SCENARIO, message)
    key, payload = _payload(values)
    if key is not None and key != config.payload_key:
        message = f"scenario type {config.config.scenario_type} has {config.payload_key}"
        yield Issue(f"scenario_data.{key}", Code.SCENARIO_DATA_MISMATCH, message)
    else:
        yield from explain_payload(config, action, payload, f"scenario_data.{config.payload_key}")


def _payload(values: Values) -> tuple[str | None, Values]:
    data = values.get("scenario_data")
    return next(iter(data.items())) if data else (None, {})


def _reading(values: Values, config: CompiledConfig | None) -> Reading:
    key, payload = _payload(values)
    if config is None:
        signals = signals_of_unjudged(key)
        return signals, 0, signals.draw(payload)
    drawn = config.signals.draw(payload) if key == config.payload_key else NOTHING_DRAWN
    return config.signals, config.version, drawn


def signals_of_unjudged(payload_key: str | None) -> Signals:
    """The signals of an event without a config: those that its payload's key tells, else a custom scenario's."""
    return signals_by_payload_key().get(payload_key or "", signals_of_template(CUSTOM))


def _base(values: Values, raws: Mapping[str, msgspec.Raw], config: CompiledConfig | None) -> Base:
    kept: dict[str, Any] = {name: values.get(name) for name in BASE_FIELDS}
    kept["timestamp"] = int(values["timestamp"])
    kept["position"] = int(values["position"]) if "position" in values else None
    kept["context"] = respelled(raws["context"], own_spellings(CONTEXT_FIELDS, values["context"]))
    kept["extra_data"] = raws["extra_data"] if "extra_data" in values else ABSENT
    kept["scenario_data"] = _data_of(values, raws["scenario_data"], config) if "scenario_data" in values else ABSENT
    return Base(**kept)


def _data_of(values: Values, raw: msgspec.Raw, config: CompiledConfig | None) -> msgspec.Raw:
    """The scenario data with the enums' own values where aliases stood."""
    key, payload = _payload(values)
    if config is None or key != config.payload_key:
        return raw
    spellings = own_spellings(config.specs, payload)
    return respelled(raw, {key: respelled(decode_raws(raw)[key], spellings)}) if spellings else raw


def _context(values: Values) -> Context:
    context = values["context"]
    spellings = own_spellings(CONTEXT_FIELDS, context)
    return Context(**{name: spellings.get(name, context.get(name)) for name in Context.__struct_fields__})
