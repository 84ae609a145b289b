"""A candidate config judged against past events: what it would pass, warn and reject, and why. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from schemas.verdict import Code
from tracking_configs.json_text import is_too_deep
from tracking_configs.model import TrackingConfig
from tracking_configs.past_event import Finding, Outcome, PastEvent, PastJudge

MAX_REASONS: Final = 10
MAX_EXAMPLE_BYTES: Final = 4096

_OUTCOMES: Final = {"passed": "pass", "warned": "warn", "rejected": "reject"}


class Counts(msgspec.Struct, frozen=True, rename=_OUTCOMES):
    """How many events have each outcome."""

    passed: int
    warned: int
    rejected: int


class Changed(msgspec.Struct, frozen=True):
    """How many events have this outcome then, and another one now."""

    newly_pass: int
    newly_warn: int
    newly_reject: int


class Window(msgspec.Struct, frozen=True, rename={"first": "from", "last": "to"}):
    """When the oldest and the newest of the events came in, ms UTC."""

    first: int
    last: int


class Reason(msgspec.Struct, frozen=True):
    """Why events warn or are rejected under the candidate.

    `field` has `*` for an item's number or key. `count` is of events, and `new` of those among them that do not have
    the same reason now. `message` and `example` are those of the newest such event: a JSON object, or its first
    MAX_EXAMPLE_BYTES as text where it is longer or none.
    """

    verdict: Outcome
    code: Code
    field: str
    count: int
    new: int
    message: str
    example: dict[str, Any] | str


class Preview(msgspec.Struct, frozen=True):
    """`now` is by the config in force, `then` by the candidate; `window` is None where there are no events."""

    events: int
    window: Window | None
    now: Counts
    then: Counts
    changed: Changed
    reasons: tuple[Reason, ...]


class _Key(NamedTuple):
    verdict: Outcome
    code: Code
    field: str


@dataclass(slots=True)
class _Tally:
    """What is counted while one event after the other is judged; nothing else is kept of the findings."""

    now: Counter[Outcome] = field(default_factory=Counter)
    then: Counter[Outcome] = field(default_factory=Counter)
    changed: Counter[Outcome] = field(default_factory=Counter)
    count: Counter[_Key] = field(default_factory=Counter)
    new: Counter[_Key] = field(default_factory=Counter)
    newest: dict[_Key, tuple[str, PastEvent]] = field(default_factory=dict)

    def add(self, event: PastEvent, now: Finding, then: Finding) -> None:
        self.now[now.outcome] += 1
        self.then[then.outcome] += 1
        same = now.outcome == then.outcome
        if not same:
            self.changed[then.outcome] += 1
        for (code, path), message in then.reasons.items():
            key = _Key(then.outcome, code, path)
            self.count[key] += 1
            if not same or (code, path) not in now.reasons:
                self.new[key] += 1
            if key not in self.newest or self.newest[key][1].received_at <= event.received_at:
                self.newest[key] = message, event

    def reasons(self) -> tuple[Reason, ...]:
        """The most frequent first, then those that are new for more events."""
        order = sorted(self.count, key=lambda key: (-self.count[key], -self.new[key], key))
        return tuple(_reason(key, self.count[key], self.new[key], *self.newest[key]) for key in order[:MAX_REASONS])


def preview(
    events: Sequence[PastEvent],
    now: TrackingConfig | None,
    then: TrackingConfig,
    *,
    refuse_unknown_scenarios: frozenset[str] = frozenset(),
) -> Preview:
    """What `then` would change for `events`, which are of its scenario; `now` is None where no config is in force.

    `refuse_unknown_scenarios`: the tenants of which no event is taken whose scenario has no config.
    """
    by_now, by_then = PastJudge(now, refuse_unknown_scenarios), PastJudge(then, refuse_unknown_scenarios)
    tally = _Tally()
    for event in events:
        tally.add(event, by_now.judge(event), by_then.judge(event))
    arrivals = [event.received_at for event in events]
    return Preview(
        events=len(events),
        window=Window(min(arrivals), max(arrivals)) if arrivals else None,
        now=Counts(*(tally.now[outcome] for outcome in Outcome)),
        then=Counts(*(tally.then[outcome] for outcome in Outcome)),
        changed=Changed(*(tally.changed[outcome] for outcome in Outcome)),
        reasons=tally.reasons(),
    )


def _reason(key: _Key, count: int, new: int, message: str, event: PastEvent) -> Reason:
    return Reason(*key, count=count, new=new, message=message, example=_shown(event.body))


def _shown(body: bytes) -> dict[str, Any] | str:
    if len(body) <= MAX_EXAMPLE_BYTES and not is_too_deep(body):
        try:
            return msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            pass
    return body[:MAX_EXAMPLE_BYTES].decode(errors="ignore")
