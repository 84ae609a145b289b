"""The ClickHouse engine of the chDB wheel, one connection a request, so that no request sees another's settings."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chdb.session import Session

from infra.stack.clickhouse_request import ClickHouseRequest, Insert

# As infra/docker/clickhouse-users.xml: reads collapse rows that were sent twice, and times without a zone are UTC.
PROFILE: Mapping[str, str] = {"final": "1", "session_timezone": "UTC"}
_ERROR_CODE = re.compile(r"Code: (\d+)")


class EngineError(RuntimeError):
    """The engine refused a statement; `code` is ClickHouse's, the message the engine's own."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        found = _ERROR_CODE.search(message)
        self.code = int(found[1]) if found else 1002  # UNKNOWN_EXCEPTION


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gave: bytes in the asked format, and the counts of X-ClickHouse-Summary."""

    data: bytes
    summary: str


class Engine:
    """The one holder of a data folder. Calls block and may come from several threads."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._path = str(path)
        self._session = Session(self._path)  # held open: it keeps the engine up between requests
        self.version = _text(self._session, "SELECT version()")
        self.timezone = PROFILE["session_timezone"]

    def close(self) -> None:
        """Finish background work and let go of the folder."""
        self._session.close()

    def execute(self, request: ClickHouseRequest) -> Answer:
        """Run one statement; EngineError carries the engine's message."""
        session = Session(self._path)
        try:
            _configure(session, request)
            if request.insert is not None:
                return _insert(session, request.insert, request.parameters)
            return _query(session, request)
        except UnicodeDecodeError as error:
            raise EngineError(f"Code: 62. DB::Exception: the statement is not UTF-8: {error} (SYNTAX_ERROR)") from error
        except RuntimeError as error:  # chdb's own errors are of this class
            raise EngineError(str(error)) from error
        finally:
            session.close()


def _text(session: Any, statement: str) -> str:
    return str(session.query(statement, "TabSeparatedRaw").bytes().decode().strip())


def _literal(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _identifier(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


def _configure(session: Any, request: ClickHouseRequest) -> None:
    if request.database:
        session.query(f"USE {_identifier(request.database)}")
    settings = {**PROFILE, **request.settings}
    if request.read_only:
        settings.setdefault("readonly", "2")
    session.query("SET " + ", ".join(f"{_identifier(name)} = {_literal(value)}" for name, value in settings.items()))


def _insert(session: Any, insert: Insert, parameters: Mapping[str, str]) -> Answer:
    for name, value in parameters.items():
        session.query(f"SET {_identifier('param_' + name)} = {_literal(value)}")
    with session.send_insert(insert.statement, insert.data_format) as stream:
        if insert.data:
            stream.append(insert.data)
        result = stream.finish()
    counts = {"written_rows": result.rows_written, "written_bytes": result.bytes_written}
    return Answer(b"", _summary(counts, result.elapsed))


def _query(session: Any, request: ClickHouseRequest) -> Answer:
    started = time.monotonic()
    result = session.query(request.text.decode(), request.output_format, params=dict(request.parameters) or None)
    counts = {
        "read_rows": result.storage_rows_read(),
        "read_bytes": result.storage_bytes_read(),
        "written_rows": result.rows_written(),
        "written_bytes": result.bytes_written(),
        "result_rows": result.rows_read(),
        "result_bytes": result.size(),
    }
    return Answer(result.bytes() or b"", _summary(counts, time.monotonic() - started))


def _summary(counts: Mapping[str, int], elapsed_s: float) -> str:
    names = ("read_rows", "read_bytes", "written_rows", "written_bytes", "result_rows", "result_bytes")
    every = {name: str(counts.get(name, 0)) for name in names}
    return json.dumps({**every, "total_rows_to_read": every["read_rows"], "elapsed_ns": str(int(elapsed_s * 1e9))})
