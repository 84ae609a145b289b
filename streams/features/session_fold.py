"""The specification of sessions: one event after the other, in plain Python; part of `fold.py`.

By event time. An event joins its user's session when it is no more than the gap of its scenario behind the session's
last event, or before its first; a later one begins a new session, an older one is late and only counted. A session is
closed when the watermark of its partition has passed its last event by the gap, or, where that came late, the
watermark at which it came: events that a client sends hours later make one session, not one each. Where a user's events
lie in several partitions, those count as a session's whose events have put its end where it is. A closed
session takes nothing more: a newer event begins a new one, any other is late. The session that a new one replaces
ends as well. What ends is summarised as it was at that moment, once.
"""

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from schemas.event import Event
from streams.features.model import MAX_DWELL_MS, Sizes
from streams.features.watermark import Closing

T = TypeVar("T")


@dataclass(slots=True)
class Session:
    """One user's current session; times in ms, lists newest first."""

    session_id: str
    started_at: int
    last_at: int
    closes_at: int
    events: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    items: set[str] = field(default_factory=set)
    recent_items: list[str] = field(default_factory=list)
    recent_categories: list[str] = field(default_factory=list)
    dwell_ms: int = 0
    device: str = ""
    scenario: str = ""
    experiment: str = ""
    late: int = 0
    closed: bool = False

    def as_hash(self) -> dict[str, str]:
        """The fields of `user:session:{user}`."""
        plain = {
            "session_id": self.session_id,
            "started_at": self.started_at,
            "last_at": self.last_at,
            "closes_at": self.closes_at,
            "events": self.events,
            "items": len(self.items),
            "recent_items": json_text(self.recent_items),
            "recent_categories": json_text(self.recent_categories),
            "dwell_ms": self.dwell_ms,
            "ctr": click_through(self.actions["click"], self.actions["impression"]),
            "device": self.device,
            "scenario": self.scenario,
            "experiment": self.experiment,
            "late": self.late,
        }
        counts = {f"a:{action}": count for action, count in self.actions.items() if count}
        closed = {"closed": 1} if self.closed else {}
        return {name: str(value) for name, value in (plain | counts | closed).items()}


@dataclass(slots=True)
class Ended:
    """A session that has ended, as its hash was then, without its lists."""

    user_id: str
    fields: dict[str, str]


@dataclass(slots=True)
class Sessions:
    """All users' sessions of one tenant, the watermark of each partition, and what has ended, in order.

    `open`: by partition, when the sessions of the users it has events of end, as of its last event of each.
    """

    closing: Closing = field(default_factory=Closing)
    current: dict[str, Session] = field(default_factory=dict)
    watermarks: Counter[int] = field(default_factory=Counter)
    ended: list[Ended] = field(default_factory=list)
    open: defaultdict[int, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, event: Event, category: str | None, gap_ms: int, sizes: Sizes) -> None:
        """The next event of its partition."""
        mark = self.closing.mark(event.timestamp, event.received_at)
        self.watermarks[event.partition] = mark = max(mark, self.watermarks[event.partition])
        session = self.current.get(event.user_id)
        if session is not None and not session.closed and session.closes_at < mark:
            self.close(event.user_id, session)
        if session is None or event.timestamp > session.last_at + (0 if session.closed else gap_ms):
            session = self._begin(event, session)
        elif session.closed or event.timestamp < session.started_at - gap_ms:
            session.late += 1
            return
        join(session, event, category, sizes)
        session.closes_at = max(session.closes_at, max(event.timestamp, mark) + gap_ms)
        self.open[event.partition][event.user_id] = session.closes_at

    def _begin(self, event: Event, before: Session | None) -> Session:
        if before is not None and not before.closed:
            self.ended.append(ended(event.user_id, before))
        session = Session(session_id_of(event), event.timestamp, event.timestamp, closes_at=0)
        self.current[event.user_id] = session
        return session

    def close(self, user: str, session: Session) -> None:
        self.ended.append(ended(user, session))
        session.closed = True

    def close_passed(self) -> None:
        """Those of users who sent nothing more: what is found closed at their next event is closed now."""
        for partition, ends in self.open.items():
            for user, closes_at in ends.items():
                session = self.current[user]
                is_passed = closes_at < self.watermarks[partition]
                if is_passed and closes_at == session.closes_at and not session.closed:
                    self.close(user, session)


def ended(user: str, session: Session) -> Ended:
    lists = {"recent_items", "recent_categories"}
    return Ended(user, {name: value for name, value in session.as_hash().items() if name not in lists})


def join(session: Session, event: Event, category: str | None, sizes: Sizes) -> None:
    session.started_at = min(session.started_at, event.timestamp)
    session.last_at = max(session.last_at, event.timestamp)
    session.events += 1
    session.actions[event.action_type] += 1
    session.items.add(event.item_id)
    session.recent_items = to_front(session.recent_items, event.item_id, sizes.session_items)
    if category:
        session.recent_categories = to_front(session.recent_categories, category, sizes.session_categories)
    session.dwell_ms += dwell_of(event)
    session.device = event.context.device_type
    session.scenario = event.scenario_id
    session.experiment = experiment_of(event) or session.experiment


def session_id_of(first: Event) -> str:
    """The id of the session that `first` begins: a replay makes the same one."""
    seed = f"{first.tenant_id}|{first.user_id}|{first.event_id}".encode()
    return "ses_" + hashlib.sha1(seed, usedforsecurity=False).hexdigest()[:16]


def experiment_of(event: Event) -> str:
    """`id/group`, "" for an event outside any experiment."""
    return f"{event.experiment_id}/{event.experiment_group or ''}" if event.experiment_id else ""


def dwell_of(event: Event) -> int:
    return max(0, min(MAX_DWELL_MS, event.dwell_ms))


def click_through(clicks: int, impressions: int) -> str:
    return f"{clicks / impressions:.6g}" if impressions else "0"


def to_front(newest_first: list[T], value: T, size: int) -> list[T]:
    return [value, *(other for other in newest_first if other != value)][:size]


def json_text(value: object) -> str:
    return msgspec.json.encode(value).decode()
