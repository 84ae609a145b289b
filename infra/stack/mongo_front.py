"""MongoDB's wire protocol over montydb: `python -m infra.stack.mongo_front FOLDER PORT`.

OP_MSG, and OP_QUERY for the hello with which older clients begin. Commands run one after the other in one thread,
which is what makes an upsert atomic here. Loopback only, without authentication.
"""

import asyncio
import signal
import struct
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import bson

from infra.stack.mongo_commands import Commands
from infra.stack.mongo_documents import Document, Documents
from infra.stack.ports import LOOPBACK

HEADER: Final = struct.Struct("<iiii")  # length, request id, response to, opcode
OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
CHECKSUM_PRESENT, MORE_TO_COME = 1, 2
MAX_MESSAGE_BYTES: Final = 48_000_000

Run = Callable[[Document], Document]


class ProtocolError(Exception):
    """Bytes that are not MongoDB's protocol; the connection is closed."""


def read_message(opcode: int, payload: bytes) -> tuple[Document, bool]:
    """The command of a message, and whether the client waits for an answer."""
    if opcode == OP_QUERY:
        name_end = payload.index(b"\0", 4)
        command = bson.decode(payload[name_end + 9 :])
        return {**command, "$db": payload[4:name_end].decode().partition(".")[0]}, True
    if opcode != OP_MSG:
        raise ProtocolError(f"opcode {opcode}")
    (flags,) = struct.unpack_from("<I", payload)
    end = len(payload) - (4 if flags & CHECKSUM_PRESENT else 0)
    return _read_sections(payload, 4, end), not flags & MORE_TO_COME


def _read_sections(payload: bytes, at: int, end: int) -> Document:
    """Kind 0 is the command; kind 1 holds a list of documents that belongs into it."""
    command: Document = {}
    lists: Document = {}
    while at < end:
        kind = payload[at]
        (size,) = struct.unpack_from("<i", payload, at + 1)
        section = payload[at + 1 : at + 1 + size]
        if kind == 0:
            command = bson.decode(section)
        elif kind == 1:
            name_end = section.index(b"\0", 4)
            lists[section[4:name_end].decode()] = bson.decode_all(section[name_end + 1 :])
        else:
            raise ProtocolError(f"section kind {kind}")
        at += 1 + size
    return {**command, **lists}


def write_answer(opcode: int, request_id: int, answer: Document) -> bytes:
    document = bson.encode(answer)
    if opcode == OP_QUERY:
        body, code = struct.pack("<iqii", 8, 0, 0, 1) + document, OP_REPLY
    else:
        body, code = struct.pack("<IB", 0, 0) + document, OP_MSG
    return HEADER.pack(HEADER.size + len(body), 0, request_id, code) + body


async def serve_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, run: Run) -> None:
    """Answers one connection's commands in order, until it is closed or sends what is no command."""
    loop = asyncio.get_running_loop()
    try:
        while True:
            length, request_id, _, opcode = HEADER.unpack(await reader.readexactly(HEADER.size))
            if not HEADER.size <= length <= MAX_MESSAGE_BYTES:
                raise ProtocolError(f"a message of {length} bytes")
            payload = await reader.readexactly(length - HEADER.size)
            command, is_waiting = read_message(opcode, payload)
            answer = await loop.run_in_executor(_COMMAND_THREAD, run, command)
            if is_waiting:
                writer.write(write_answer(opcode, request_id, answer))
                await writer.drain()
    except (
        asyncio.IncompleteReadError,
        ConnectionError,
        ProtocolError,
        bson.errors.BSONError,
        ValueError,
        struct.error,
    ):
        pass  # the client left, or speaks something else
    finally:
        writer.close()


_COMMAND_THREAD: Final = ThreadPoolExecutor(1, thread_name_prefix="commands")


async def serve(folder: Path, port: int) -> None:
    """Until SIGTERM or Ctrl-C."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # SQLite's connections belong to the thread that opened them.
    documents = await loop.run_in_executor(_COMMAND_THREAD, Documents, folder)
    commands = Commands(documents)
    server = await asyncio.start_server(lambda r, w: serve_client(r, w, commands.run), LOOPBACK, port)
    await stop.wait()
    server.close()
    await loop.run_in_executor(_COMMAND_THREAD, documents.close)


def main() -> None:
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))


if __name__ == "__main__":
    main()
