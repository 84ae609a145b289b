"""An event of a scenario as an Avro record, for a tenant that sends or stores its events as Avro.

Avro has no type for any value. Where a config leaves a type open, the schema takes null, boolean, long, double and
string: an array or object in such a place stands as its JSON text. Further keys of the context have no place.
"""

import re
from typing import Any, Final
from zlib import crc32

from tracking_configs.exports.shape import Choice, ListOf, MapOf, Member, Record, Type, shape_of
from tracking_configs.exports.words import sentence, values_in_words
from tracking_configs.model import TrackingConfig

Schema = dict[str, Any]

_SCALARS: Final[dict[str, Any]] = {
    "integer": "long",
    "number": "double",
    "string": "string",
    "boolean": "boolean",
    "any": ["null", "boolean", "long", "double", "string"],
}
_TIMESTAMP: Final = {"type": "long", "logicalType": "timestamp-millis"}
_SYMBOL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def event_avro(config: TrackingConfig) -> Schema:
    """The schema of this scenario's events, as a client sends them. What is optional is null where it is absent."""
    shape = shape_of(config)
    namespace = f"millrace.{_segment(config.tenant_id)}.{_segment(config.scenario_id)}"
    schema = _record(shape.event)
    return {**schema, "namespace": namespace, "doc": f"{shape.title} {schema['doc']}"}


def _segment(text: str) -> str:
    """The text as a part of a namespace; what has to be respelled gets a checksum, to stay different from others."""
    if _SYMBOL.fullmatch(text):
        return text
    legal = re.sub(r"[^A-Za-z0-9_]", "_", text)
    return f"{'_' if legal[0].isdigit() else ''}{legal}_{crc32(text.encode()):08x}"


def _record(record: Record) -> Schema:
    fields = [_field(member) for member in record.members]
    return {"type": "record", "name": record.name, "doc": record.comment, "fields": fields}


def _field(member: Member) -> Schema:
    kind = _TIMESTAMP if member.name == "timestamp" else _type(member.type)
    doc = member.comment
    if isinstance(member.type, Choice) and kind in ("string", "long"):
        doc = f"{doc} {sentence(values_in_words(member.type.values))}".lstrip()
    field: Schema = {"name": member.name, "type": ["null", kind] if member.optional else kind}
    return field | ({"doc": doc} if doc else {}) | ({"default": None} if member.optional else {})


def _type(kind: Type) -> Any:
    match kind:
        case Choice():
            return _choice(kind)
        case Record():
            return _record(kind)
        case ListOf():
            return {"type": "array", "items": _type(kind.item)}
        case MapOf():
            return {"type": "map", "values": _type(kind.values)}
        case _:
            return _SCALARS[kind]


def _choice(choice: Choice) -> Any:
    """An enum where Avro can spell every value, and no other spelling is taken."""
    if isinstance(choice.values[0], int):
        return "long"
    if choice.fixed or choice.aliased or not all(_SYMBOL.fullmatch(str(value)) for value in choice.values):
        return "string"
    return {"type": "enum", "name": choice.name, "doc": choice.comment, "symbols": list(choice.values)}
