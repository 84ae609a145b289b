"""Kafka batches as ClickHouse columns: plain functions. No I/O."""

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from schemas.dead_letter import DeadLetter, decode_dead_letter
from schemas.event import Event
from schemas.single_object import UnknownSchemaError
from schemas.topics import REJECTED_PREFIX, VALIDATED_PREFIX, tenant_of
from schemas.validated import decode_event
from schemas.verdict import Code, Issue
from streams.transport import Batch, Record

USER_BEHAVIORS: Final = "user_behaviors"
REJECTED_BEHAVIORS: Final = "rejected_behaviors"
MAX_UINT32: Final = 2**32 - 1

EVENT_COLUMNS: Final[dict[str, Callable[[Event], Any]]] = {
    "event_id": lambda event: event.event_id,
    "tenant_id": lambda event: event.tenant_id,
    "scenario_id": lambda event: event.scenario_id,
    "scenario_type": lambda event: event.scenario_type,
    "user_id": lambda event: event.user_id,
    "item_id": lambda event: event.item_id,
    "action_type": lambda event: event.action_type,
    "timestamp": lambda event: event.timestamp,  # DateTime64(3) is ms
    "received_at": lambda event: event.received_at,
    "device_type": lambda event: event.context.device_type,
    "os": lambda event: event.context.os,
    "location": lambda event: event.context.location,
    "ip": lambda event: event.context.ip,
    "scene": lambda event: event.context.scene,
    "request_id": lambda event: event.context.request_id,
    "context": lambda event: event.context_json,
    "position": lambda event: event.position,
    "experiment_id": lambda event: event.experiment_id,
    "experiment_group": lambda event: event.experiment_group,
    "source": lambda event: event.source,
    "config_version": lambda event: event.config_version,
    "validation_warnings": lambda event: issue_tuples(event.validation_warnings),
    "scenario_data": lambda event: event.scenario_data,
    "extra_data": lambda event: event.extra_data,
    "weight": lambda event: event.weight,
    "positive": lambda event: event.positive,
    "dwell_ms": lambda event: event.dwell_ms,
    "completion": lambda event: event.completion,
    "category": lambda event: event.category,
    "kafka_partition": lambda event: event.partition,
    "kafka_offset": lambda event: event.offset,
}
REJECTED_COLUMNS: Final = (
    *("tenant_id", "scenario_id", "config_version", "timestamp"),
    *("reason_codes", "fields", "errors", "message", "original"),
    *("kafka_topic", "kafka_partition", "kafka_offset"),
)


@dataclass(frozen=True, slots=True)
class Rows:
    """What one batch adds to each table: accepted events, and rows of rejected ones in REJECTED_COLUMNS' order."""

    events: list[Event]
    rejected: list[tuple[Any, ...]]

    def __len__(self) -> int:
        return len(self.events) + len(self.rejected)


def rows_of(batch: Batch) -> Rows:
    """The rows of a batch of a validated or rejected topic. A record that is neither becomes a rejected row."""
    events: list[Event] = []
    rejected: list[tuple[Any, ...]] = []
    is_validated = batch.topic.startswith(VALIDATED_PREFIX)
    tenant = tenant_of(batch.topic, VALIDATED_PREFIX if is_validated else REJECTED_PREFIX) or ""
    for record in batch.records:
        try:
            if is_validated:
                events.append(decode_event(record.value or b""))
            else:
                rejected.append(rejected_row(tenant, decode_dead_letter(record.value or b"")))
        except (UnknownSchemaError, msgspec.MsgspecError, ValueError, TypeError, EOFError, IndexError) as error:
            rejected.append(parked_row(tenant, record, f"not a record of this topic: {error}"))
    return Rows(events, rejected)


def issue_tuples(issues: Iterable[Issue]) -> list[tuple[str, str, str]]:
    """Issues as the tables hold them: (field, code, message)."""
    return [(issue.field, issue.code.value, issue.message) for issue in issues]


def event_columns(events: Sequence[Event]) -> list[list[Any]]:
    """One list per column of user_behaviors, in the order of EVENT_COLUMNS."""
    return [[value(event) for event in events] for value in EVENT_COLUMNS.values()]


def rejected_columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    """One list per column of rejected_behaviors, in the order of REJECTED_COLUMNS."""
    return [list(column) for column in zip(*rows, strict=True)]


def rejected_row(tenant: str, letter: DeadLetter) -> tuple[Any, ...]:
    judged = (tenant, letter.scenario_id or "", letter.config_version, letter.timestamp)
    fields = [issue.field for issue in letter.errors]
    why = (list(letter.reason_codes), fields, issue_tuples(letter.errors), letter.message)
    return (*judged, *why, letter.original, letter.topic, letter.partition, letter.offset)


def parked_row(tenant: str, record: Record, why: str) -> tuple[Any, ...]:
    """A rejected row for a Kafka record that cannot be stored as what it should be."""
    judged = (tenant, "", 0, record.timestamp)
    where = (record.topic, record.partition, record.offset)
    return (*judged, *_not_storable(why), _base64(record.value or b""), *where)


def refused_row(event: Event, why: str) -> tuple[Any, ...]:
    """A rejected row for an accepted event that the engine refused."""
    version = event.config_version if 0 <= event.config_version <= MAX_UINT32 else 0  # it may be what was refused
    judged = (event.tenant_id, event.scenario_id, version, event.received_at)
    where = (VALIDATED_PREFIX + event.tenant_id, event.partition, event.offset)
    return (*judged, *_not_storable(why), _base64(msgspec.json.encode(event)), *where)


def _not_storable(why: str) -> tuple[list[str], list[str], list[tuple[str, str, str]], str]:
    """reason_codes, fields, errors and message."""
    code, message = Code.NOT_STORABLE.value, why[:500]
    return [code], [], [("", code, message)], message


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
