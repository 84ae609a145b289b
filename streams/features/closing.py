"""What close.lua answers: sessions it has closed, and the summaries that are to be shipped."""

from dataclasses import dataclass
from typing import Any

import msgspec

_decode = msgspec.msgpack.Decoder(list[str]).decode


@dataclass(frozen=True, slots=True)
class Summary:
    """A session that has ended, as its hash was then. `sequence` is its id in the outbox; they only rise."""

    sequence: str
    user_id: str
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class Closed:
    """`sessions` were closed; `more` can be at once, and the next at `next_at`, ms, None: none is open."""

    sessions: int
    more: bool
    next_at: int | None
    outbox: list[Summary]


def parse_closed(answer: list[Any]) -> Closed:
    """What stands behind `closed` in the script's answer."""
    sessions, more, next_at, entries = answer
    outbox = [_summary(sequence.decode(), value) for sequence, (_, value) in entries]
    return Closed(sessions, bool(more), int(float(next_at)) if next_at else None, outbox)


def _summary(sequence: str, value: bytes) -> Summary:
    """Without fields where somebody else wrote the entry, which must not hold up those behind it."""
    try:
        user, *pairs = _decode(value)
        return Summary(sequence, user, dict(zip(pairs[::2], pairs[1::2], strict=True)))
    except ValueError:
        return Summary(sequence, "", {})


def sequence_key(sequence: str) -> tuple[int, int]:
    """Orders ids of a Redis stream, `ms-number`."""
    ms, _, number = sequence.partition("-")
    return int(ms), int(number)


def id_behind(sequence: str) -> str:
    """The least id above this one; "" for none."""
    if not sequence:
        return ""
    ms, number = sequence_key(sequence)
    return f"{ms}-{number + 1}"
