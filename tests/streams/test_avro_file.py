"""Single-object records as one Avro file."""

import io

import fastavro
from hypothesis import given
from hypothesis import strategies as st

from schemas.event import Event
from schemas.single_object import load_codec
from schemas.validated import encode_event
from streams.avro_file import AvroFiles
from tests.factories import make_event
from tests.schemas.test_wire import events

CODEC = load_codec("validated_behavior")
FILES = AvroFiles(CODEC)


@given(st.lists(events, max_size=5))
def test_any_reader_of_avro_reads_the_records_back(written: list[Event]) -> None:
    values = [encode_event(event) for event in written]
    file = FILES.file_of(values)
    assert list(fastavro.reader(io.BytesIO(file))) == [CODEC.decode(value) for value in values]


def test_each_record_is_a_block_of_its_own() -> None:
    values = [encode_event(make_event(offset=n, user_id="u" * 200 * n)) for n in range(3)]
    assert [block.num_records for block in fastavro.block_reader(io.BytesIO(FILES.file_of(values)))] == [1, 1, 1]


def test_a_record_of_another_schema_is_not_taken() -> None:
    assert FILES.takes(encode_event(make_event()))
    assert not FILES.takes(b"")
    assert not FILES.takes(load_codec("session_summary").header)
