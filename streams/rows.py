"""Kafka batches as ClickHouse columns: plain functions. No I/O."""

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec

from schemas.dead_letter import DeadLetter, decode_dead_letter
from schemas.event import Event
from schemas.single_object import load_codec
from schemas.topics import REJECTED_PREFIX, SUMMARIES_PREFIX, VALIDATED_PREFIX, tenant_of
from schemas.validated import decode_event
from schemas.verdict import Code, Issue
from streams.avro_file import AvroFiles
from streams.session_rows import session_row
from streams.transport import Batch, Record

T = TypeVar("T")

TOPIC_PREFIXES: Final = (VALIDATED_PREFIX, REJECTED_PREFIX, SUMMARIES_PREFIX)  # of the topics that become rows
USER_BEHAVIORS: Final = "user_behaviors"
REJECTED_BEHAVIORS: Final = "rejected_behaviors"
ARRIVAL_STEP: Final = 64  # records of a partition, a few ms under load
MAX_UINT32: Final = 2**32 - 1
VALIDATED_FILES: Final = AvroFiles(load_codec("validated_behavior"))

# What msgspec and fastavro raise on bytes that are something else.
NOT_A_RECORD: Final = (msgspec.MsgspecError, ValueError, TypeError, EOFError, LookupError, OverflowError)

# The specification of user_behaviors: what the engine must make of a validated record, and what Python makes of it.
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
    """What one batch adds to each table.

    `validated` are events of the newest schema, as they came: the engine decodes them itself. `events` are those of
    an older schema. `rejected` and `sessions` are rows in the order of their tables' columns. `arrivals` are the
    events', in ms; `size_bytes` is what the batch holds.
    """

    tenant: str
    validated: list[Record] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    rejected: list[tuple[Any, ...]] = field(default_factory=list)
    sessions: list[tuple[Any, ...]] = field(default_factory=list)
    arrivals: list[int] = field(default_factory=list)
    size_bytes: int = 0

    def __len__(self) -> int:
        return len(self.validated) + len(self.events) + len(self.rejected) + len(self.sessions)


def rows_of(batch: Batch) -> Rows:
    """The rows of a batch. A record that is not what its topic holds becomes a rejected row."""
    tenant, size_bytes = tenant_of_rows(batch.topic), sum(len(record.value or b"") for record in batch.records)
    if batch.topic.startswith(VALIDATED_PREFIX):
        return _validated_rows(tenant, batch.records, size_bytes)
    if batch.topic.startswith(SUMMARIES_PREFIX):
        sessions, parked = _decoded(batch.records, session_row)
        return Rows(tenant, sessions=sessions, rejected=parked, size_bytes=size_bytes)
    letters, parked = _decoded(batch.records, _letter_row)
    return Rows(tenant, rejected=letters + parked, size_bytes=size_bytes)


def _validated_rows(tenant: str, records: Sequence[Record], size_bytes: int) -> Rows:
    newest: list[Record] = []
    other: list[Record] = []
    for record in records:
        (newest if VALIDATED_FILES.takes(record.value or b"") else other).append(record)
    events, parked = decoded_events(other)
    arrivals = [event.received_at for event in events] + _arrivals(newest)
    return Rows(tenant, newest, events, parked, arrivals=arrivals, size_bytes=size_bytes)


def _arrivals(records: Sequence[Record]) -> list[int]:
    """When each event came in. One in ARRIVAL_STEP is read, and those after it count as if they had come with it."""
    arrivals: list[int] = []
    for first in range(0, len(records), ARRIVAL_STEP):
        part = records[first : first + ARRIVAL_STEP]
        arrivals += [event.received_at for event in decoded_events(part[:1])[0]] * len(part)
    return arrivals


def decoded_events(records: Iterable[Record]) -> tuple[list[Event], list[tuple[Any, ...]]]:
    """The events of validated records, and a rejected row for each that is none: slow, and says what is wrong."""
    return _decoded(records, lambda record: decode_event(record.value or b""))


def _decoded(records: Iterable[Record], decode: Callable[[Record], T]) -> tuple[list[T], list[tuple[Any, ...]]]:
    good: list[T] = []
    parked: list[tuple[Any, ...]] = []
    for record in records:
        try:
            good.append(decode(record))
        except NOT_A_RECORD as error:
            parked.append(parked_row(record, f"not a record of this topic: {error}"))
    return good, parked


def issue_tuples(issues: Iterable[Issue]) -> list[tuple[str, str, str]]:
    """Issues as the tables hold them: (field, code, message)."""
    return [(issue.field, issue.code.value, issue.message) for issue in issues]


def event_columns(events: Sequence[Event]) -> list[list[Any]]:
    """One list per column of user_behaviors, in the order of EVENT_COLUMNS."""
    return [[value(event) for event in events] for value in EVENT_COLUMNS.values()]


def as_columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    """One list per column of rows that stand in the order of their table's columns."""
    return [list(column) for column in zip(*rows, strict=True)]


def _letter_row(record: Record) -> tuple[Any, ...]:
    return rejected_row(tenant_of_rows(record.topic), decode_dead_letter(record.value or b""))


def rejected_row(tenant: str, letter: DeadLetter) -> tuple[Any, ...]:
    judged = (tenant, letter.scenario_id or "", letter.config_version, letter.timestamp)
    fields = [issue.field for issue in letter.errors]
    why = (list(letter.reason_codes), fields, issue_tuples(letter.errors), letter.message)
    return (*judged, *why, letter.original, letter.topic, letter.partition, letter.offset)


def parked_row(record: Record, why: str) -> tuple[Any, ...]:
    """A rejected row for a Kafka record that cannot be stored as what it should be."""
    judged = (tenant_of_rows(record.topic), "", 0, record.timestamp)
    where = (record.topic, record.partition, record.offset)
    return (*judged, *_not_storable(why), _base64(record.value or b""), *where)


def refused_row(event: Event, why: str) -> tuple[Any, ...]:
    """A rejected row for an accepted event that the engine refused."""
    version = event.config_version if 0 <= event.config_version <= MAX_UINT32 else 0  # it may be what was refused
    judged = (event.tenant_id, event.scenario_id, version, event.received_at)
    where = (VALIDATED_PREFIX + event.tenant_id, event.partition, event.offset)
    return (*judged, *_not_storable(why), _base64(msgspec.json.encode(event)), *where)


def tenant_of_rows(topic: str) -> str:
    """Empty for a topic of no tenant, which the app's pattern keeps away."""
    return next((tenant for prefix in TOPIC_PREFIXES if (tenant := tenant_of(topic, prefix))), "")


def _not_storable(why: str) -> tuple[list[str], list[str], list[tuple[str, str, str]], str]:
    """reason_codes, fields, errors and message."""
    code, message = Code.NOT_STORABLE.value, why[:500]
    return [code], [], [("", code, message)], message


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
