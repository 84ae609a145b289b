"""What is said about dead letters: which are wanted, a letter as it is stored, and what became of it."""

import base64
import binascii
from enum import StrEnum
from typing import Annotated, NamedTuple

import msgspec

from schemas.limits import INT64_MAX
from schemas.verdict import Issue
from tracking_configs.errors import InvalidCursorError


class Place(NamedTuple):
    """Where a rejected record stands: the identity of its letter."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


class ReplayOutcome(StrEnum):
    """What a replay did: it sent the event, or found that an accepted event had its id already."""

    SENT = "sent"
    FOUND = "found"


class Replayed(msgspec.Struct, frozen=True):
    """When a letter was replayed, in ms, as which event, and what that did."""

    event_id: str
    outcome: ReplayOutcome
    replayed_at: int


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter. `timestamp` is ms of arrival; scenario and version are empty and 0 where none is known."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    scenario_id: str
    config_version: int
    reason_codes: tuple[str, ...]
    message: str
    errors: tuple[Issue, ...]
    original: bytes
    replayed: Replayed | None = None

    @property
    def place(self) -> Place:
        return Place(self.topic, self.partition, self.offset)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which letters: those for which all that is given holds. Times are ms of arrival, `until` excluded.

    `offsets` are (partition, offset) in the tenant's raw topic; `raw_only` leaves out what a store refused and
    what was an erased user's: neither can be replayed.
    """

    reason: str | None = None
    scenario: str | None = None
    since: int | None = None
    until: int | None = None
    replayed: bool | None = None
    offsets: tuple[tuple[int, int], ...] = ()
    raw_only: bool = False


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """The last letter of a page."""

    timestamp: Annotated[int, msgspec.Meta(ge=-INT64_MAX, le=INT64_MAX)]
    topic: str
    partition: Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
    offset: Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX)]

    def encode(self) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")


def cursor_after(letter: Letter) -> str:
    return Cursor(letter.timestamp, *letter.place).encode()


def read_cursor(text: str | None) -> Cursor | None:
    """Raises InvalidCursorError."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=Cursor)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise InvalidCursorError from error
