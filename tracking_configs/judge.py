"""The one judge of events: the doors and the stream use it, so an event's verdict does not depend on its way.

The fast path accepts an event with nothing to say about it, in a few microseconds, or gives up; the slow
path (`slow_path.py`) then looks at the whole of it and names everything. The two agree: what the fast path
accepts, the slow path accepts without a word.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from schemas.actions import BUILT_IN_ACTIONS
from schemas.erased import ErasedUsers
from schemas.event import Event
from schemas.ids import new_event_id
from schemas.limits import MAX_EVENT_BYTES, MAX_FUTURE_MS, MAX_NESTING, OLDEST_TIMESTAMP_MS
from schemas.verdict import Code, Issue, Rejected
from tracking_configs.assembly import NO_CONFIG, Arrival, Reading, assemble
from tracking_configs.base import (
    ABSENT,
    DEVICE_ALIASES,
    DEVICES,
    Base,
    decode_base,
    decode_context,
    is_known_tenant_name,
    payload_keys,
)
from tracking_configs.json_text import is_too_deep, respelled
from tracking_configs.raw_records import RawRecord, arrival_of
from tracking_configs.registry import ConfigRegistry
from tracking_configs.signals import NOTHING_DRAWN
from tracking_configs.slow_path import judge_slowly, signals_of_unjudged

__all__ = ["Arrival", "Judge", "wire_value"]

_UNJUDGED = (NO_CONFIG,)
_decode_payloads = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode


class Judge:
    """Judges events by the configs of a registry.

    `refuse_unknown_scenarios`: the tenants of which no event is taken whose scenario has no config. `erased`: who is
    asked, by whoever takes a batch, which accepted events may be taken; `judge` itself looks at the event alone.
    """

    def __init__(
        self,
        registry: ConfigRegistry,
        *,
        refuse_unknown_scenarios: frozenset[str] = frozenset(),
        erased: ErasedUsers | None = None,
    ) -> None:
        self.erased = ErasedUsers() if erased is None else erased
        self.registry = registry
        self._refusing = refuse_unknown_scenarios

    def judge(self, value: bytes | None, arrival: Arrival) -> Event | Rejected:
        """The accepted event, normalised, with its warnings; or everything that is wrong. Never raises."""
        if not value:
            return _rejected(Code.EMPTY, "the value is empty")
        if len(value) > MAX_EVENT_BYTES:
            return _rejected(Code.TOO_LARGE, f"{len(value)} bytes are more than {MAX_EVENT_BYTES}")
        if is_too_deep(value):
            return _rejected(Code.TOO_DEEP, f"nested more than {MAX_NESTING} deep")
        return self._judge_fast(value, arrival) or judge_slowly(value, arrival, self.registry, self._refusing)

    def judge_all(self, records: Iterable[RawRecord], tenant: str) -> list[Event | Rejected]:
        """The verdict on each record of one tenant's raw topic. Never raises."""
        return [self.judge(record.value, arrival_of(record, tenant)) for record in records]

    def _judge_fast(self, value: bytes, arrival: Arrival) -> Event | None:
        """The event where nothing need be said or changed; None where the slow path must look."""
        try:
            if not value.isascii():
                value.decode()
            base = decode_base(value)
            context = decode_context(base.context)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        if context.device_type in DEVICE_ALIASES:  # what web clients send: not worth the slow path
            context = msgspec.structs.replace(context, device_type=DEVICE_ALIASES[context.device_type])
            base.context = respelled(base.context, {"device_type": context.device_type})
        if not _completed(base, arrival) or context.device_type not in DEVICES or not is_object(base.extra_data):
            return None
        config = self.registry.get(base.tenant_id, base.scenario_id)  # type: ignore[arg-type]
        reading = self._read_unjudged(base) if config is None else config.read(base.action_type, base.scenario_data)
        if reading is None:
            return None
        return assemble(base, context, reading, arrival, _UNJUDGED if config is None else ())

    def _read_unjudged(self, base: Base) -> Reading | None:
        if base.tenant_id in self._refusing or base.action_type not in BUILT_IN_ACTIONS:
            return None
        if base.scenario_data is ABSENT:
            return signals_of_unjudged(None), 0, NOTHING_DRAWN
        try:
            ((key, payload),) = _decode_payloads(base.scenario_data).items()
        except (msgspec.MsgspecError, ValueError):
            return None
        signals = signals_of_unjudged(key)
        return (signals, 0, signals.draw(payload)) if key in payload_keys() else None


def _completed(base: Base, arrival: Arrival) -> bool:
    """Whether tenant, id and time are good, after a door has filled in what it may."""
    if arrival.topic is None:
        if base.tenant_id is None:
            base.tenant_id = arrival.tenant
        if base.event_id is None:
            base.event_id = new_event_id()
        if base.timestamp is None:
            base.timestamp = arrival.received_at
    elif base.tenant_id != arrival.tenant:
        return False
    tenant, timestamp = base.tenant_id, base.timestamp
    return (
        base.event_id is not None
        and tenant is not None
        and timestamp is not None
        and OLDEST_TIMESTAMP_MS <= timestamp <= arrival.received_at + MAX_FUTURE_MS
        and is_known_tenant_name(tenant)
    )


def is_object(raw: msgspec.Raw) -> bool:
    return raw is ABSENT or bytes(raw)[:1] == b"{"


def _rejected(code: Code, message: str) -> Rejected:
    return Rejected((Issue("", code, message),))


class _Filled(msgspec.Struct, gc=False):
    event_id: Any = None
    timestamp: Any = None
    tenant_id: Any = None


_decode_filled = msgspec.json.Decoder(_Filled).decode


def wire_value(body: bytes, event: Event) -> bytes:
    """The client's JSON of an accepted event, with event_id, timestamp and tenant_id where the door filled them in.

    They are appended, so the body is not taken apart; where one stood as null, the last of two equal keys counts.
    """
    given = _decode_filled(body)
    filled = {name: getattr(event, name) for name in _Filled.__struct_fields__ if getattr(given, name) is None}
    if not filled:
        return body
    end = body.rindex(b"}")
    return b"%b,%b" % (body[:end], msgspec.json.encode(filled)[1:])
