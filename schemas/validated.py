"""A validated event on the wire: `Event` to and from the Avro record on `validated-behaviors-{tenant}`."""

from typing import Any

import msgspec

from schemas.event import Context, Event
from schemas.single_object import load_codec
from schemas.validated_writer import write_event
from schemas.verdict import Code, Issue

_CODEC = load_codec("validated_behavior")
_SAME_NAME = tuple(
    name
    for name in Event.__struct_fields__
    if name not in {"context", "context_json", "validation_warnings", "partition", "offset"}
)


def encode_event(event: Event) -> bytes:
    """Single-object Avro of an accepted event. Raises ValueError, TypeError or OverflowError for one that has none."""
    return _CODEC.header + write_event(event)


def encode_event_plainly(event: Event) -> bytes:
    """The reference of `encode_event`: what fastavro makes of the event and the schema."""
    record: dict[str, Any] = {name: getattr(event, name) for name in _SAME_NAME}
    record |= msgspec.structs.asdict(event.context)
    record["context"] = event.context_json
    record["validation_warnings"] = [msgspec.structs.asdict(issue) for issue in event.validation_warnings]
    record["kafka_partition"] = event.partition
    record["kafka_offset"] = event.offset
    return _CODEC.encode(record)


def decode_event(value: bytes) -> Event:
    """The event of `encode_event`, of this release or an older one. Raises UnknownSchemaError for anything else."""
    record = _CODEC.decode(value)
    if not value.startswith(_CODEC.header):  # before configs said what is positive, every weight above 0 was
        record["positive"] = record["weight"] > 0
    context = Context(**{name: record[name] for name in Context.__struct_fields__})
    warnings = tuple(
        Issue(issue["field"], Code(issue["code"]), issue["message"]) for issue in record["validation_warnings"]
    )
    return Event(
        context=context,
        context_json=record["context"],
        validation_warnings=warnings,
        partition=record["kafka_partition"],
        offset=record["kafka_offset"],
        **{name: record[name] for name in _SAME_NAME},
    )
