"""What an HTTP request to ClickHouse asks for: statement, data, settings, parameters, answer's format."""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

MAX_BODY_BYTES = 256 * 1024 * 1024

# Read by the HTTP interface itself; every other argument of the URL is a setting of the query.
# A request stands alone: session_id is taken and means nothing, as between two sessions.
_HTTP_ARGUMENTS = frozenset(
    "query database default_format user password quota_key query_id session_id session_timeout session_check "
    "close_session wait_end_of_query buffer_size stacktrace role client_protocol_version".split()
)
_BLOCK_COMPRESSION = ("compress", "decompress")

_SKIP = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
_QUOTED = r"'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.)*`|\"(?:[^\"\\]|\\.)*\""
_INSERT = re.compile(rf"{_SKIP}INSERT\s".encode(), re.IGNORECASE | re.DOTALL)
_INSERT_TOKEN = re.compile(
    rf"{_QUOTED}|--[^\n]*(?:\n|$)|/\*.*?\*/|\bFORMAT\s+(?P<format>\w+)|(?P<inline>\b(?:VALUES|SELECT|WITH)\b)".encode(),
    re.IGNORECASE | re.DOTALL,
)
_TRAILING_FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*(?:\bSETTINGS\s[^;]*)?;?\s*$", re.IGNORECASE)
# ClickHouse drops the blanks after FORMAT X up to and including one line end; all after it is data, even a blank.
_BLANKS_BEFORE_DATA = re.compile(rb"[ \t;]*\r?\n?")


class BadRequestError(ValueError):
    """A request that is refused before the engine sees it; carries ClickHouse's code for the fact."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT whose data follows: the statement without its FORMAT, the format, the data as it came."""

    statement: str
    data_format: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ClickHouseRequest:
    """One statement as ClickHouse's HTTP interface takes it."""

    text: bytes
    insert: Insert | None
    output_format: str
    database: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    read_only: bool = False


def read_request(
    arguments: Mapping[str, str], headers: Mapping[str, str], body: bytes, *, read_only: bool
) -> ClickHouseRequest:
    """Put together URL, headers and (already decompressed) body; BadRequestError when nothing is asked for."""
    text = _statement(arguments.get("query", ""), body)
    if not text.strip():
        raise BadRequestError(62, "Empty query. (SYNTAX_ERROR)")
    for name in _BLOCK_COMPRESSION:
        if arguments.get(name, "0") not in {"0", "false"}:
            raise BadRequestError(48, f"{name}=1 is not served here; use Content-Encoding. (NOT_IMPLEMENTED)")
    named = headers.get("x-clickhouse-format") or arguments.get("default_format") or "TabSeparated"
    insert = split_insert(text)
    trailing = None if insert else _TRAILING_FORMAT.search(text[-4096:])
    return ClickHouseRequest(
        text=text,
        insert=insert,
        output_format=trailing[1].decode() if trailing else named,
        database=headers.get("x-clickhouse-database") or arguments.get("database"),
        settings={k: v for k, v in arguments.items() if not _is_of_http(k)},
        parameters={k.removeprefix("param_"): v for k, v in arguments.items() if k.startswith("param_")},
        read_only=read_only,
    )


def _is_of_http(name: str) -> bool:
    return name in _HTTP_ARGUMENTS or name in _BLOCK_COMPRESSION or name.startswith("param_")


def _statement(query: str, body: bytes) -> bytes:
    if not query:
        return body
    return query.encode() + b"\n" + body if body else query.encode()


def split_insert(text: bytes) -> Insert | None:
    """The parts of an `INSERT ... FORMAT X <data>`; None for anything else, an INSERT with VALUES or SELECT too."""
    start = _INSERT.match(text)
    if start is None:
        return None
    for token in _INSERT_TOKEN.finditer(text, start.end()):
        if token["inline"]:
            return None
        if token["format"]:
            if token["format"].upper() == b"VALUES":  # the engine evaluates expressions in it itself
                return None
            blanks = _BLANKS_BEFORE_DATA.match(text, token.end())
            data_start = blanks.end() if blanks else token.end()
            statement = text[: token.start()].decode(errors="replace")
            return Insert(statement, token["format"].decode(), text[data_start:])
    return None


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def _decompressor(encoding: str) -> _Decompressor:
    if encoding == "lz4":
        from lz4.frame import LZ4FrameDecompressor

        return LZ4FrameDecompressor()  # type: ignore[no-any-return]
    if encoding == "zstd":
        from backports.zstd import ZstdDecompressor

        return ZstdDecompressor()
    if encoding in {"gzip", "deflate"}:
        return zlib.decompressobj(47)  # gzip and zlib headers alike
    raise BadRequestError(48, f"Content-Encoding {encoding} is not known: lz4, gzip, zstd, deflate. (NOT_IMPLEMENTED)")


def decompress(body: bytes, encoding: str, limit: int = MAX_BODY_BYTES) -> bytes:
    """The body without its Content-Encoding, which may be several frames on end; never more than `limit` bytes."""
    if encoding in {"", "identity"}:
        return body
    parts: list[bytes] = []
    rest, left = body, limit
    while rest:
        frame = _decompressor(encoding)
        try:
            part = frame.decompress(rest, left + 1)
        except (RuntimeError, zlib.error, ValueError, EOFError) as error:
            raise BadRequestError(354, f"The body is not {encoding}: {error}. (ZLIB_INFLATE_FAILED)") from error
        except Exception as error:
            if type(error).__name__ == "ZstdError":
                raise BadRequestError(354, f"The body is not zstd: {error}. (ZSTD_DECODER_FAILED)") from error
            raise
        left -= len(part)
        if left < 0:
            raise BadRequestError(307, f"The body unpacks to more than {limit} bytes. (TOO_MANY_BYTES)")
        if not frame.eof:
            raise BadRequestError(33, f"The {encoding} body ends too early. (CANNOT_READ_ALL_DATA)")
        parts.append(part)
        rest = frame.unused_data or b""
    return b"".join(parts)
