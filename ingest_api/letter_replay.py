"""What becomes of each dead letter of a replay: mended, judged again, told from what is known, reported. No I/O."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ingest_api.erased_events import body_of, unless_erased
from ingest_api.event_text import EventText, NotMendableError
from ingest_api.letter_mapping import Mapping as FieldMapping
from ingest_api.letter_mapping import mend
from ingest_api.letters import Letter, Place
from schemas.erased import USER_ERASED
from schemas.event import Event, Source
from schemas.ids import replayable_event_id
from schemas.topics import raw_topic
from schemas.verdict import Issue, Rejected
from tracking_configs.assembly import Arrival
from tracking_configs.judge import Judge

MAX_EXAMPLES: Final = 3  # of each outcome
MAX_EXAMPLE_BYTES: Final = 2000


class Example(msgspec.Struct, frozen=True):
    """One letter, and what became or would become of it. The texts are cut at MAX_EXAMPLE_BYTES."""

    partition: int
    offset: int
    outcome: str  # replayed, still_rejected or error
    before: str
    after: str
    problems: tuple[Issue, ...] = ()
    message: str = ""


class Report(msgspec.Struct, kw_only=True):
    """What became of the selected letters, each counted once; of a dry run, what would.

    `reasons`: of those still rejected, how many have each code. `next_cursor`: behind it there are more letters.
    """

    selected: int
    replayed: int = 0
    still_rejected: int = 0
    skipped_already: int = 0
    errors: int = 0
    dry_run: bool = False
    reasons: dict[str, int] = {}
    examples: list[Example] = []
    next_cursor: str | None = None


@dataclass(slots=True)
class Mended:
    """A letter as it would be sent. `problem`: why it cannot be."""

    letter: Letter
    value: bytes
    verdict: Event | Rejected | None
    problem: str = ""

    @property
    def place(self) -> Place:
        return self.letter.place

    @property
    def key(self) -> bytes | None:
        """The user's id, as every producer keys its events."""
        user: Any = self.verdict.user_id if isinstance(self.verdict, Event) else _given(self.value, "user_id")
        return user.encode() if isinstance(user, str) else None

    @property
    def event_id(self) -> str:
        return self.verdict.event_id if isinstance(self.verdict, Event) else str(_given(self.value, "event_id") or "")

    def is_sent(self, everything: bool) -> bool:
        """Whether it is to be sent, be it only what the judge accepts or everything; never what is to be forgotten."""
        if isinstance(self.verdict, Rejected):
            return everything and USER_ERASED not in self.verdict.errors
        return self.verdict is not None


def mended(letter: Letter, mapping: FieldMapping | None, judge: Judge, tenant: str, now_ms: int) -> Mended:
    """The letter as it would be sent now."""
    try:
        value = mend(
            letter.original,
            mapping,
            reasons=letter.reason_codes,
            scenario=letter.scenario_id or None,
            arrived=letter.timestamp,
        )
    except NotMendableError as error:
        return Mended(letter, letter.original, None, str(error))
    value = identified(value, letter)
    arrival = Arrival(Source.KAFKA, now_ms, tenant, raw_topic(tenant), letter.partition, letter.offset)
    verdict = judge.judge(value, arrival)
    erasures = judge.erased.of(tenant)
    if isinstance(verdict, Event) and erasures is not None:
        verdict = unless_erased(msgspec.structs.replace(verdict, received_at=letter.timestamp), erasures)
        value = body_of(verdict, value) if isinstance(verdict, Event) else value
    return Mended(letter, value, verdict)


def identified(value: bytes, letter: Letter) -> bytes:
    """The value with the id that the record would have had, had it been accepted; what is no object stays as it is."""
    try:
        text = EventText(value)
    except NotMendableError:
        return value
    if text.get("event_id") is not None:
        return value
    text.set("event_id", replayable_event_id(*letter.place, letter.original))
    return text.encode()


def split_known(letters: Iterable[Mended], stored: set[str]) -> tuple[list[Mended], list[Mended]]:
    """Those to be dealt with, and those whose event is stored or stands before them."""
    fresh: list[Mended] = []
    known: list[Mended] = []
    seen = set(stored)
    for each in letters:
        is_known = isinstance(each.verdict, Event) and each.verdict.event_id in seen
        (known if is_known else fresh).append(each)
        if isinstance(each.verdict, Event):
            seen.add(each.verdict.event_id)
    return fresh, known


def report_of(fresh: Iterable[Mended], failed: Mapping[Place, Exception], everything: bool) -> Report:
    """What becomes of these; `failed` are those that could not be sent."""
    report = Report(selected=0)
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for each in fresh:
        outcome, message = "replayed", ""
        if each.verdict is None or each.place in failed:
            outcome, message = "error", each.problem or f"not sent: {failed[each.place]!r}"
        elif not each.is_sent(everything):
            outcome = "still_rejected"
        problems = each.verdict.errors if isinstance(each.verdict, Rejected) else ()
        reasons.update({issue.code.value for issue in problems})
        counts[outcome] += 1
        if counts[outcome] <= MAX_EXAMPLES:
            report.examples.append(_example(each, outcome, problems, message))
    report.replayed, report.still_rejected = counts["replayed"], counts["still_rejected"]
    report.errors, report.reasons = counts["error"], dict(reasons.most_common())
    return report


def _example(each: Mended, outcome: str, problems: tuple[Issue, ...], message: str) -> Example:
    before, after = (value[:MAX_EXAMPLE_BYTES].decode(errors="replace") for value in (each.letter.original, each.value))
    return Example(each.letter.partition, each.letter.offset, outcome, before, after, problems, message)


def _given(value: bytes, name: str) -> Any:
    try:
        return EventText(value).get(name)
    except NotMendableError:
        return None
