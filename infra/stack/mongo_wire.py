"""MongoDB's wire protocol: OP_MSG both ways, and OP_QUERY for the first hello of older handshakes."""

import struct
from dataclasses import dataclass

import bson

from infra.stack.mongo_commands import MAX_MESSAGE_BYTES
from infra.stack.mongo_store import CODEC, Document

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
HEADER = struct.Struct("<iiii")  # length with header, request id, response to, opcode
_CHECKSUM_PRESENT, _MORE_TO_COME = 1, 2
_REPLY_HEAD = struct.Struct("<iqii")  # flags, cursor, starting from, number returned
_AWAIT_CAPABLE = 8


class WireError(RuntimeError):
    """Bytes that are not the protocol; the connection is closed."""


@dataclass(frozen=True, slots=True)
class Message:
    """One command as it came: who to answer, how, and whether an answer is wanted."""

    request_id: int
    opcode: int
    command: Document
    wants_answer: bool = True


def body_length(header: bytes) -> int:
    """Bytes that follow a header; WireError when the message is too long or no message."""
    length = int(HEADER.unpack(header)[0]) - HEADER.size
    if not 0 < length <= MAX_MESSAGE_BYTES:
        raise WireError(f"a message of {length} bytes")
    return length


def read_message(header: bytes, body: bytes) -> Message:
    """Decode one message; WireError for another opcode or broken framing."""
    _, request_id, _, opcode = HEADER.unpack(header)
    try:
        if opcode == OP_MSG:
            return _read_msg(request_id, body)
        if opcode == OP_QUERY:
            return _read_query(request_id, body)
    except (struct.error, bson.errors.BSONError, IndexError, ValueError) as error:
        raise WireError(f"a broken message: {error}") from error
    raise WireError(f"opcode {opcode} is not served")


def _read_msg(request_id: int, body: bytes) -> Message:
    (flags,) = struct.unpack_from("<I", body)
    end = len(body) - (4 if flags & _CHECKSUM_PRESENT else 0)
    command: Document = {}
    sequences: Document = {}
    at = 4
    while at < end:
        kind, at = body[at], at + 1
        (size,) = struct.unpack_from("<i", body, at)
        if size < 5 or at + size > end:
            raise WireError("a section longer than its message")
        if kind == 0:
            command = bson.decode(body[at : at + size], CODEC)
        elif kind == 1:
            stop = body.index(b"\0", at + 4)
            sequences[body[at + 4 : stop].decode()] = bson.decode_all(body[stop + 1 : at + size], CODEC)
        else:
            raise WireError(f"section kind {kind}")
        at += size
    return Message(request_id, OP_MSG, {**command, **sequences}, not flags & _MORE_TO_COME)


def _read_query(request_id: int, body: bytes) -> Message:
    stop = body.index(b"\0", 4)
    namespace = body[4:stop].decode()
    if not namespace.endswith(".$cmd"):
        raise WireError("OP_QUERY is served for commands only")
    command = bson.decode(body[stop + 9 :], CODEC)
    return Message(request_id, OP_QUERY, {**command, "$db": namespace.removesuffix(".$cmd")})


def write_answer(message: Message, answer: Document) -> bytes:
    """The bytes of an answer, in the form in which the question came."""
    document = bson.encode(answer, codec_options=CODEC)
    if message.opcode == OP_QUERY:
        body, opcode = _REPLY_HEAD.pack(_AWAIT_CAPABLE, 0, 0, 1) + document, OP_REPLY
    else:
        body, opcode = b"\0\0\0\0\0" + document, OP_MSG
    return HEADER.pack(HEADER.size + len(body), 0, message.request_id, opcode) + body
