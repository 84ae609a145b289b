"""Single-object Avro records as one Avro file, which ClickHouse decodes into columns: Python touches no field.

Each record is a block of its own, so that a damaged one is refused instead of being read on into its neighbour.
Source: Apache Avro 1.11 specification, "Object Container Files".
"""

from collections.abc import Iterable
from functools import lru_cache

from fastavro.schema import to_parsing_canonical_form

from schemas.single_object import HEADER_BYTES, SingleObjectCodec

FILE_MAGIC = b"Obj\x01"
SYNC = b"millrace-records"  # 16 bytes that end every block; a file is read whole, so they need not be random
ONE_OBJECT = b"\x02"  # the count 1, as Avro writes numbers


class AvroFiles:
    """Makes files of the records of one schema."""

    def __init__(self, codec: SingleObjectCodec) -> None:
        self._header = codec.header
        metadata = {b"avro.schema": to_parsing_canonical_form(codec.schema).encode(), b"avro.codec": b"null"}
        pairs = b"".join(_text(name) + _text(value) for name, value in metadata.items())
        self._head = FILE_MAGIC + _long(len(metadata)) + pairs + _long(0) + SYNC

    def takes(self, value: bytes) -> bool:
        """Whether `value` begins as a record of the schema does; the rest is looked at by who reads the file."""
        return value.startswith(self._header)

    def file_of(self, values: Iterable[bytes]) -> bytes:
        """The file of `values`, each of which `takes` accepts."""
        parts = [self._head]
        for value in values:
            parts += (ONE_OBJECT, _long(len(value) - HEADER_BYTES), value[HEADER_BYTES:], SYNC)
        return b"".join(parts)


def _text(value: bytes) -> bytes:
    return _long(len(value)) + value


@lru_cache(maxsize=4096)
def _long(number: int) -> bytes:
    """A number of at least 0 as Avro's long: zigzag, then seven bits a byte, lowest first."""
    rest, out = number << 1, bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)
