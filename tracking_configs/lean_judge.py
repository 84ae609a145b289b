"""The judge for those who need what an event says and none of its texts, such as the features: at half the price.

An event is decoded once, by the config that is likely to be its own, where `judge.py` decodes base, context and
payload one after the other and keeps their texts. What cannot be read so goes to the judge, so that the verdicts are
the judge's: a property test holds the two equal.
"""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from schemas.event import Event, Source
from schemas.limits import MAX_EVENT_BYTES, MAX_FUTURE_MS, OLDEST_TIMESTAMP_MS
from schemas.verdict import Rejected
from tracking_configs.base import ABSENT, DEVICES, is_known_tenant_name
from tracking_configs.compiler import CompiledConfig
from tracking_configs.json_text import is_too_deep
from tracking_configs.judge import Judge, is_object
from tracking_configs.raw_records import RawRecord, arrival_of, source_of

_SCENARIO: Final = re.compile(rb'"scenario_id"\s*+:\s*+("[^"\\]++")')


class LeanJudge:
    """As `judge`, for records of raw topics, with `context_json`, `scenario_data` and `extra_data` left empty."""

    def __init__(self, judge: Judge) -> None:
        self.erased = judge.erased
        self._judge = judge

    def judge_all(self, records: Iterable[RawRecord], tenant: str) -> list[Event | Rejected]:
        """The verdict on each record of one tenant's raw topic. Never raises."""
        verdicts: list[Event | Rejected] = []
        reader: _Reader | None = None
        for record in records:
            value, event = record.value, None
            if value and len(value) <= MAX_EVENT_BYTES and not is_too_deep(value):
                if reader is None or reader.token not in value:
                    reader = self._reader(value, tenant)
                event = reader and reader.read(value, record)
            verdicts.append(event or self._judge_whole(record, tenant))
        return verdicts

    def _reader(self, value: bytes, tenant: str) -> "_Reader | None":
        """Of the scenario whose name stands in the event's bytes: in a part of its own, perhaps, but see `read`."""
        found = _SCENARIO.search(value)
        if found is None or not is_known_tenant_name(tenant):
            return None
        token: bytes = found[1]
        config = self._judge.registry.get(tenant, token[1:-1].decode(errors="replace"))
        return None if config is None else _Reader(token, tenant, config)

    def _judge_whole(self, record: RawRecord, tenant: str) -> Event | Rejected:
        verdict = self._judge.judge(record.value, arrival_of(record, tenant))
        return without_texts(verdict) if isinstance(verdict, Event) else verdict


class _Reader:
    """Reads the events of one scenario that nothing need be said of. `token`: the scenario's name as JSON."""

    __slots__ = ("_config", "_decode", "_scenario_id", "_tenant", "token")

    def __init__(self, token: bytes, tenant: str, config: CompiledConfig) -> None:
        self.token = token
        self._tenant = tenant
        self._scenario_id = config.config.scenario_id
        self._config = config
        self._decode = config.decode_event

    def read(self, value: bytes, record: RawRecord) -> Event | None:
        """None for every event that the judge must look at."""
        try:
            if not value.isascii():
                value.decode()
            base = self._decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        action, context, timestamp, received_at = base.action_type, base.context, base.timestamp, record.timestamp
        if (
            base.scenario_id != self._scenario_id
            or base.tenant_id != self._tenant
            or base.event_id is None
            or timestamp is None
            or not OLDEST_TIMESTAMP_MS <= timestamp <= received_at + MAX_FUTURE_MS
            or context.device_type not in DEVICES
            or not (base.extra_data is ABSENT or is_object(base.extra_data))
        ):
            return None
        drawn = self._config.drawn_of(action, base.scenario_data)
        if drawn is None:
            return None
        signals = self._config.signals
        return Event(  # by position, as in `assembly.py`
            base.event_id,
            base.tenant_id,
            base.scenario_id,
            base.user_id,
            base.item_id,
            action,
            timestamp,
            context,
            "",
            base.experiment_id,
            base.experiment_group,
            base.position,
            None,
            None,
            received_at,
            source_of(record.headers) if record.headers else Source.KAFKA.value,
            signals.scenario_type,
            self._config.version,
            (),
            signals.weights[action],
            signals.is_positive(action, drawn),
            drawn.dwell_ms,
            drawn.completion,
            drawn.category,
            record.partition,
            record.offset,
        )


def without_texts(event: Event) -> Event:
    """The event as `LeanJudge` gives it."""
    event.context_json, event.scenario_data, event.extra_data = "", None, None
    return event
