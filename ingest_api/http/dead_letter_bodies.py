"""What the calls about dead letters are told, and what they answer."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from pydantic import ConfigDict, Field

from ingest_api.api_codes import ApiCode
from ingest_api.dead_letters import Order, Page
from ingest_api.errors import RequestRefused
from ingest_api.http.config_bodies import Body
from ingest_api.letter_mapping import InvalidMappingError, Mapping, mapping_of
from ingest_api.letters import Letter, Wanted
from schemas.limits import MAX_SCENARIO_ID
from schemas.verdict import Code, Issue

MAX_REPLAY: Final = 1000  # letters of a call
MAX_PAGE: Final = 200
MAX_NAMED: Final = 100  # letters that are named one by one
PREVIEW_BYTES: Final = 300
LONGEST_MOMENT: Final = 40
MAX_OFFSET: Final = 2**63 - 1
MAX_PARTITION: Final = 2**31 - 1

_PLACE: Final = re.compile(r"([0-9]{1,10}):([0-9]{1,19})")
Moment = Annotated[
    int | str, Field(description="ms since the Unix epoch, or ISO 8601", examples=["2026-03-01T12:00:00Z"])
]


class ReplayBody(Body):
    """Which letters to replay, and how to mend them first. Without any filter: all that the tenant has."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "reason": "missing",
                    "scenario": "vlog_feed",
                    "fix": {"rules": [{"rename": {"uid": "user_id"}, "defaults": {"context.device_type": "mobile"}}]},
                    "dry_run": True,
                }
            ]
        }
    )

    tenant: str | None = Field(None, max_length=63)
    reason: str | None = Field(None, description="a code among theirs")
    scenario: str | None = Field(None, max_length=MAX_SCENARIO_ID)
    since: Moment | None = None
    until: Moment | None = None
    letters: list[str] = Field(
        [], max_length=MAX_NAMED, description="partition:offset in the raw topic", examples=[["0:15"]]
    )
    fix: dict[str, Any] | None = Field(None, description="a mapping, as docs/dead-letters.md describes it")
    everything: bool = Field(False, alias="all", description="also what would be rejected again")
    dry_run: bool = Field(False, description="say what would happen, and do nothing")
    limit: int = Field(MAX_REPLAY, ge=1, le=MAX_REPLAY)
    cursor: str | None = Field(None, max_length=1000)

    def order(self) -> Order:
        """Raises RequestRefused."""
        wanted = wanted_of(self.reason, self.scenario, self.since, self.until)
        offsets = tuple(place_of(text) for text in self.letters)
        return Order(
            wanted=msgspec.structs.replace(wanted, offsets=offsets),
            mapping=_mapping(self.fix),
            everything=self.everything,
            dry_run=self.dry_run,
            limit=self.limit,
            cursor=self.cursor,
        )


class ResumeBody(Body):
    """Whose raw events are to be judged on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"tenant": "acme"}]})

    tenant: str | None = Field(None, max_length=63)


def wanted_of(
    reason: str | None,
    scenario: str | None,
    since: int | str | None,
    until: int | str | None,
    replayed: bool | None = None,
) -> Wanted:
    """Raises RequestRefused for a reason that is none, or a moment that cannot be read."""
    if reason is not None and reason not in set(Code):
        raise refused("reason", Code.NOT_IN_ENUM, f"{reason[:60]!r} is not a code: docs/codes.md lists them")
    return Wanted(
        reason=reason,
        scenario=scenario,
        since=moment("since", since),
        until=moment("until", until),
        replayed=replayed,
    )


def moment(name: str, given: int | str | None) -> int | None:
    """ms of a moment: a number of them, or ISO 8601, UTC where it names no offset."""
    if given is None:
        return None
    text = str(given).strip()
    if text.isdecimal() and len(text) < 16:
        return int(text)
    try:
        at = datetime.fromisoformat(text[:LONGEST_MOMENT])
        return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        why = f"{text[:LONGEST_MOMENT]!r} is neither ms since the Unix epoch nor ISO 8601"
        raise refused(name, Code.WRONG_TYPE, why) from None


def place_of(text: str) -> tuple[int, int]:
    """(partition, offset)"""
    found = _PLACE.fullmatch(text)
    if found is None or int(found[1]) > MAX_PARTITION or int(found[2]) > MAX_OFFSET:
        raise refused("letters", Code.WRONG_TYPE, f"{text[:40]!r} is not partition:offset")
    return int(found[1]), int(found[2])


def refused(field: str, code: Code, message: str, status: int = 400) -> RequestRefused:
    return RequestRefused(ApiCode.INVALID_REQUEST, f"{field}: {message}", (Issue(field, code, message),), status=status)


def page_answer(page: Page) -> dict[str, Any]:
    return {"items": list(map(_listed, page.items)), "next_cursor": page.next_cursor}


def letter_answer(letter: Letter) -> dict[str, Any]:
    """A letter with its original: as text, or in base64 where it is no UTF-8."""
    shown = _shown(letter)
    try:
        return shown | {"original": letter.original.decode(), "encoding": "utf-8"}
    except UnicodeDecodeError:
        return shown | {"original": letter.original, "encoding": "base64"}  # msgspec writes bytes as base64


def _listed(letter: Letter) -> dict[str, Any]:
    preview = letter.original[:PREVIEW_BYTES].decode(errors="replace")
    return _shown(letter) | {"preview": preview}


def _shown(letter: Letter) -> dict[str, Any]:
    """What a list and a single letter have in common."""
    plain = msgspec.structs.asdict(letter)
    original = plain.pop("original")
    return plain | {"scenario_id": letter.scenario_id or None, "bytes": len(original)}


def _mapping(fix: dict[str, Any] | None) -> Mapping | None:
    try:
        return None if fix is None else mapping_of(fix)
    except InvalidMappingError as error:
        raise refused("fix", Code.WRONG_TYPE, str(error)) from None
