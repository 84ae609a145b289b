"""Avro single-object encoding: two magic bytes, the schema's CRC-64-AVRO fingerprint, the record.

Source: Apache Avro 1.11 specification, "Single-object encoding".
"""

import io
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

MAGIC = b"\xc3\x01"
HEADER_BYTES = len(MAGIC) + 8


class UnknownSchemaError(ValueError):
    """A value that is not a single-object record of the expected schema."""


class SingleObjectCodec:
    """Encodes and decodes records of one schema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = fastavro.parse_schema(dict(schema))
        crc = fingerprint(to_parsing_canonical_form(self.schema), "CRC-64-AVRO")
        self.header = MAGIC + bytes.fromhex(crc)

    def encode(self, record: Mapping[str, Any]) -> bytes:
        """Raises ValueError or TypeError for a record that does not fit the schema."""
        out = io.BytesIO()
        out.write(self.header)
        fastavro.schemaless_writer(out, self.schema, record)
        return out.getvalue()

    def decode(self, value: bytes) -> dict[str, Any]:
        """Raises UnknownSchemaError for a value of another schema or of no schema."""
        if not value.startswith(self.header):
            raise UnknownSchemaError(f"value begins with {value[:HEADER_BYTES].hex()}, not {self.header.hex()}")
        record: dict[str, Any] = fastavro.schemaless_reader(io.BytesIO(value[HEADER_BYTES:]), self.schema, None)
        return record


def load_codec(name: str) -> SingleObjectCodec:
    """The codec of `schemas/avro/{name}.avsc`."""
    text = resources.files("schemas").joinpath("avro", f"{name}.avsc").read_text()
    return SingleObjectCodec(json.loads(text))
