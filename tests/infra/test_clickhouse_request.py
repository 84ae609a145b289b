"""How a request to the ClickHouse front is taken apart, before any engine sees it."""

import gzip

import httpx
import lz4.frame
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from infra.stack.clickhouse_form import form_fields, is_form
from infra.stack.clickhouse_request import BadRequestError, decompress, read_request, split_insert

PACKERS = {"gzip": gzip.compress, "lz4": lz4.frame.compress, "zstd": zstd.compress}


@pytest.mark.parametrize(
    ("text", "statement", "data_format", "data"),
    [
        (b"INSERT INTO t FORMAT Native\n\x00\n ", "INSERT INTO t ", "Native", b"\x00\n "),
        (b"insert into t (a, b) format CSV 1,2", "insert into t (a, b) ", "CSV", b"1,2"),
        (b"/* FORMAT */ INSERT INTO `FORMAT x` FORMAT TSV\n1", "/* FORMAT */ INSERT INTO `FORMAT x` ", "TSV", b"1"),
        (
            b"-- c\nINSERT INTO t SETTINGS x='a FORMAT b' FORMAT TSV\n",
            "-- c\nINSERT INTO t SETTINGS x='a FORMAT b' ",
            "TSV",
            b"",
        ),
    ],
)
def test_the_data_of_an_insert_begins_after_its_format(
    text: bytes, statement: str, data_format: str, data: bytes
) -> None:
    insert = split_insert(text)
    assert insert is not None
    assert (insert.statement, insert.data_format, insert.data) == (statement, data_format, data)


@pytest.mark.parametrize("text", [b"SELECT 1 FORMAT CSV", b"INSERT INTO t VALUES (1)", b"INSERT INTO t SELECT 1"])
def test_what_the_engine_reads_itself_is_left_to_it(text: bytes) -> None:
    assert split_insert(text) is None


@given(st.binary(max_size=200))
def test_the_data_of_an_insert_is_never_changed(data: bytes) -> None:
    request = read_request({"query": "INSERT INTO t FORMAT RowBinary"}, {}, data or b"\0", read_only=False)
    assert request.insert is not None
    assert request.insert.data == (data or b"\0")


@pytest.mark.parametrize("encoding", PACKERS)
def test_a_body_of_several_frames_unpacks_whole(encoding: str) -> None:
    pack = PACKERS[encoding]
    assert decompress(pack(b"one") + pack(b"two"), encoding) == b"onetwo"


@pytest.mark.parametrize("encoding", PACKERS)
def test_a_body_that_unpacks_to_too_much_is_refused(encoding: str) -> None:
    with pytest.raises(BadRequestError, match="more than 1000 bytes"):
        decompress(PACKERS[encoding](b"x" * 100_000), encoding, limit=1000)


@pytest.mark.parametrize("encoding", [*PACKERS, "br"])
def test_a_body_that_is_not_what_it_says_is_refused(encoding: str) -> None:
    with pytest.raises(BadRequestError):
        decompress(b"SELECT 1, 2, 3, 4, 5, 6, 7, 8", encoding)


def test_arguments_that_are_not_http_s_own_are_settings_or_parameters() -> None:
    arguments = {"query": "SELECT 1", "database": "d", "max_threads": "1", "param_x": "y", "query_id": "q"}
    request = read_request(arguments, {}, b"", read_only=True)
    assert request.settings == {"max_threads": "1"}
    assert request.parameters == {"x": "y"}
    assert request.database == "d"


def test_an_empty_request_is_refused() -> None:
    with pytest.raises(BadRequestError, match="Empty query"):
        read_request({}, {}, b" \n", read_only=False)


def form_of(fields: dict[str, tuple[str | None, str | bytes]]) -> tuple[str, bytes]:
    """Content-Type and body of a multipart form: name -> (file name, value)."""
    request = httpx.Request("POST", "http://front", files=fields)
    return request.headers["content-type"], request.read()


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,20}", fullmatch=True), st.text(max_size=200), min_size=1, max_size=5))
def test_the_fields_of_a_form_come_as_they_were_sent(fields: dict[str, str]) -> None:
    kind, body = form_of({name: (None, value) for name, value in fields.items()})
    assert is_form(kind)
    assert form_fields(kind, body) == fields


@pytest.mark.parametrize("kind", ["", "text/plain; charset=utf-8", "application/x-www-form-urlencoded"])
def test_any_other_body_is_no_form(kind: str) -> None:
    assert not is_form(kind)


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"t": ("rows.csv", "1,2")}, "external data"), ({"param_x": (None, b"\xff")}, "param_x is not UTF-8")],
)
def test_a_form_that_carries_something_else_is_refused(
    fields: dict[str, tuple[str | None, str | bytes]], message: str
) -> None:
    with pytest.raises(BadRequestError, match=message):
        form_fields(*form_of(fields))


@pytest.mark.parametrize(
    "body", [b"", b"SELECT 1", b"--b\r\n\r\nSELECT 1\r\n--b--", b"--b\r\nContent-Disposition: form"]
)
def test_a_body_that_is_no_form_is_refused_where_it_should_be_one(body: bytes) -> None:
    with pytest.raises(BadRequestError):
        form_fields("multipart/form-data; boundary=b", body)
