"""ClickHouse's HTTP interface over the embedded engine: clickhouse-connect, curl and any other client work on it.

GET reads only, as on ClickHouse; POST may do everything. Each request is a session of its own: settings in the URL
hold for it alone. Run as a process: `python -m infra.stack.clickhouse_front DATA_DIR PORT`.
"""

import argparse
import asyncio
import contextlib
import socket
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from infra.stack.clickhouse_engine import Engine, EngineError
from infra.stack.clickhouse_form import form_fields, is_form
from infra.stack.clickhouse_request import MAX_BODY_BYTES, BadRequestError, ClickHouseRequest, decompress, read_request
from infra.stack.ports import LOOPBACK

ENGINE_THREADS = 4
STOP_GRACE_S = 5

# From ClickHouse's own table of exception codes to statuses; all else is 500.
_NOT_FOUND = (60, 46, 47, 50, 56, 81, 115, 63, 73, 336, 511)
_BAD_REQUEST = (6, 26, 27, 33, 36, 38, 41, 53, 62, 72, 117, 130, 131, 302, 354, 427, 456, 457)
STATUS_OF_CODE = {
    **dict.fromkeys(_NOT_FOUND, 404),
    **dict.fromkeys(_BAD_REQUEST, 400),
    48: 501,  # NOT_IMPLEMENTED
    159: 408,  # TIMEOUT_EXCEEDED
    307: 413,  # TOO_MANY_BYTES
}
_CONTENT_TYPES = {
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream",
    "Arrow": "application/octet-stream",
    "ArrowStream": "application/octet-stream",
    "Parquet": "application/octet-stream",
}


class Front:
    """The ASGI handlers; statements run on worker threads, so that one slow query holds up no other."""

    def __init__(self, engine: Engine, executor: ThreadPoolExecutor) -> None:
        self._engine = engine
        self._executor = executor

    async def ping(self, request: Request) -> Response:
        """What ClickHouse answers on /ping."""
        return PlainTextResponse("Ok.\n")

    async def statement(self, request: Request) -> Response:
        """Run the statement of one request."""
        headers = self._headers(request)
        if request.method in {"GET", "HEAD"} and not request.url.query:
            return PlainTextResponse("Ok.\n", headers=headers)
        try:
            asked = await _read(request)
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(self._executor, self._engine.execute, asked)
        except BadRequestError as error:
            return _failure(error.code, f"Code: {error.code}. DB::Exception: {error}", headers)
        except EngineError as error:
            return _failure(error.code, str(error), headers)
        headers["X-ClickHouse-Format"] = asked.output_format
        headers["X-ClickHouse-Summary"] = answer.summary
        media_type = _CONTENT_TYPES.get(asked.output_format, "text/plain; charset=UTF-8")
        return Response(answer.data, headers=headers, media_type=media_type)

    def _headers(self, request: Request) -> dict[str, str]:
        return {
            "X-ClickHouse-Server-Display-Name": "millrace-embedded",
            "X-ClickHouse-Timezone": self._engine.timezone,
            "X-ClickHouse-Query-Id": request.query_params.get("query_id") or str(uuid.uuid4()),
        }


async def _read(request: Request) -> ClickHouseRequest:
    encoding = Headers(scope=request.scope).get("content-encoding", "").lower()
    packed = await _bounded_body(request)
    body = await asyncio.to_thread(decompress, packed, encoding) if encoding else packed
    arguments, kind = dict(request.query_params), request.headers.get("content-type", "")
    if is_form(kind):
        arguments, body = form_fields(kind, body) | arguments, b""
    return read_request(arguments, request.headers, body, read_only=request.method != "POST")


async def _bounded_body(request: Request) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise BadRequestError(307, f"The body is longer than {MAX_BODY_BYTES} bytes. (TOO_MANY_BYTES)")
        parts.append(part)
    return b"".join(parts)


def _failure(code: int, message: str, headers: dict[str, str]) -> Response:
    headers["X-ClickHouse-Exception-Code"] = str(code)
    return PlainTextResponse(message.rstrip() + "\n", STATUS_OF_CODE.get(code, 500), headers)


def clickhouse_app(data_dir: Path) -> Starlette:
    """The application over the engine's data in `data_dir`; the engine opens with the lifespan and closes with it."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        engine = await asyncio.to_thread(Engine, data_dir)
        with ThreadPoolExecutor(ENGINE_THREADS, thread_name_prefix="clickhouse") as executor:
            front = Front(engine, executor)
            app.router.routes.append(Route("/ping", front.ping, methods=["GET", "HEAD"]))
            app.router.routes.append(Route("/replicas_status", front.ping, methods=["GET", "HEAD"]))
            app.router.routes.append(Route("/", front.statement, methods=["GET", "POST"]))
            yield
        await asyncio.to_thread(engine.close)

    return Starlette(lifespan=lifespan)


def main() -> None:
    """Serve until SIGTERM, then close the engine, so that its data is complete on disk."""
    parser = argparse.ArgumentParser(description="ClickHouse's HTTP interface over the embedded engine.")
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("port", type=int)
    arguments = parser.parse_args()
    config = uvicorn.Config(
        clickhouse_app(arguments.data_dir),
        access_log=False,
        log_level="info",
        lifespan="on",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=STOP_GRACE_S,
    )
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, arguments.port))
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
