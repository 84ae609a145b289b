"""Avro single-object encoding: two magic bytes, the schema's CRC-64-AVRO fingerprint, the record.

Source: Apache Avro 1.11 specification, "Single-object encoding".
"""

import io
import json
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

MAGIC = b"\xc3\x01"
HEADER_BYTES = len(MAGIC) + 8


class UnknownSchemaError(ValueError):
    """A value that is not a single-object record of the expected schema."""


class SingleObjectCodec:
    """Encodes records of one schema, and decodes those of it or of an older one, which gives the newer its defaults."""

    def __init__(self, schema: Mapping[str, Any], older: Iterable[Mapping[str, Any]] = ()) -> None:
        self.schema = fastavro.parse_schema(dict(schema))
        self.header = _header(self.schema)
        # Each parsed among names of its own: they name the same record differently.
        parsed = [fastavro.parse_schema(dict(each), named_schemas={}) for each in older]
        self._older = {_header(each): each for each in parsed}

    def encode(self, record: Mapping[str, Any]) -> bytes:
        """Raises ValueError or TypeError for a record that does not fit the schema."""
        out = io.BytesIO()
        out.write(self.header)
        fastavro.schemaless_writer(out, self.schema, record)
        return out.getvalue()

    def decode(self, value: bytes) -> dict[str, Any]:
        """Raises UnknownSchemaError for a value of an unknown schema or of no schema."""
        body = io.BytesIO(value[HEADER_BYTES:])
        record: dict[str, Any]
        if value.startswith(self.header):
            record = fastavro.schemaless_reader(body, self.schema, None)
        elif (writer := self._older.get(value[:HEADER_BYTES])) is not None:
            record = fastavro.schemaless_reader(body, writer, self.schema)
        else:
            raise UnknownSchemaError(f"value begins with {value[:HEADER_BYTES].hex()}, not {self.header.hex()}")
        return record


def _header(parsed: Any) -> bytes:
    return MAGIC + bytes.fromhex(fingerprint(to_parsing_canonical_form(parsed), "CRC-64-AVRO"))


def load_codec(name: str) -> SingleObjectCodec:
    """The codec of `schemas/avro/{name}.avsc`; older ones stand beside it as `{name}.v1.avsc` and so on."""
    folder = resources.files("schemas").joinpath("avro")
    older = sorted(file.name for file in folder.iterdir() if file.name.startswith(f"{name}.v"))
    newest, *rest = (json.loads(folder.joinpath(file).read_text()) for file in (f"{name}.avsc", *older))
    return SingleObjectCodec(newest, rest)
