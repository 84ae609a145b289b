"""The specification of the features: one event after the other, in plain Python, slow and easy to read.

`fold` gives what Redis holds of one tenant after its events, in the order of their raw offsets (events of
different partitions: in the order they were applied). `deltas.py` and `apply.lua` must come to the same,
whatever the batches were. Lifetimes, the size of the hot lists and the forgetting of old event ids are not
part of it: they depend on the clock, or on more events than a test has.

Hot lists are plain exponential decay here, without landmarks: with each arrival every item's heat shrinks. Where
events of one scenario disagree on its half-life (they have no config, and payloads of several templates), a batch
goes by its first one's, which one event at a time cannot show.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from schemas.event import Event
from schemas.hot import CATEGORY, GLOBAL, GLOBAL_SHORT, SCENARIO, SCENARIO_SHORT
from schemas.keys import encode_id
from streams.features.decay import TENANT_HALF_LIFE_MS, short_half_life_ms
from streams.features.model import BLOCKS, FOLLOWS, LINKS, MAX_DWELL_MS, HeatCap, Signals, Sizes

T = TypeVar("T")


@dataclass(slots=True)
class Session:
    """One user's current session; times in ms, lists newest first."""

    session_id: str
    started_at: int
    last_at: int
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

    def as_hash(self) -> dict[str, str]:
        """The fields of `user:session:{user}`."""
        plain = {
            "session_id": self.session_id,
            "started_at": self.started_at,
            "last_at": self.last_at,
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
        return {name: str(value) for name, value in (plain | counts).items()}


@dataclass(slots=True)
class HotList:
    """Each item's heat at `as_of`, ms, the latest arrival of an event that belongs to the list."""

    half_life_ms: int
    as_of: int
    heat: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def move(self, arrival: int, half_life_ms: int) -> None:
        """To a later moment, and from then on to another half-life."""
        later = max(arrival, self.as_of)
        share_left = 2.0 ** ((self.as_of - later) / self.half_life_ms)
        for item in self.heat:
            self.heat[item] *= share_left
        self.as_of, self.half_life_ms = later, half_life_ms

    def add(self, item: str, weight: float, moment: int) -> None:
        self.heat[item] += weight * 2.0 ** ((moment - self.as_of) / self.half_life_ms)


@dataclass(slots=True)
class Content:
    """Everything Redis holds of one tenant's users and hot lists."""

    sessions: dict[str, Session] = field(default_factory=dict)
    recents: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    hot: dict[str, HotList] = field(default_factory=dict)  # by key without tenant
    given: defaultdict[tuple[str, int], dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    follows: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    blocks: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


def fold(
    events: Iterable[Event],
    *,
    signals: Signals,
    catalogue: Mapping[str, str] | None = None,
    sizes: Sizes | None = None,
    cap: HeatCap | None = None,
) -> Content:
    """The content after `events` of one tenant. `catalogue` is item -> category."""
    content, seen = Content(), set[str]()
    for event in events:
        if event.event_id in seen:
            continue
        seen.add(event.event_id)
        category = event.category or (catalogue or {}).get(event.item_id)
        fold_session(content, event, category, signals, sizes or Sizes())
        fold_recent(content, event, sizes or Sizes())
        fold_hot(content, event, category, signals, sizes or Sizes(), cap or HeatCap())
        fold_links(content, event)
    return content


def fold_session(content: Content, event: Event, category: str | None, signals: Signals, sizes: Sizes) -> None:
    """By event time: begins a session, or joins the current one, or is late for it."""
    gap = signals(event.tenant_id, event.scenario_id, event.scenario_type).session_gap_ms
    session = content.sessions.get(event.user_id)
    if session is None or event.timestamp > session.last_at + gap:
        session = Session(session_id_of(event), event.timestamp, event.timestamp)
        content.sessions[event.user_id] = session
    elif event.timestamp < session.started_at - gap:
        session.late += 1
        return
    join(session, event, category, sizes)


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


def fold_recent(content: Content, event: Event, sizes: Sizes) -> None:
    """In order of arrival: late events too."""
    entry = json_text([event.item_id, event.action_type, event.timestamp])
    content.recents[event.user_id] = [entry, *content.recents[event.user_id]][: sizes.recent]


def fold_hot(
    content: Content, event: Event, category: str | None, signals: Signals, sizes: Sizes, cap: HeatCap
) -> None:
    """Only a positive signal makes an item hotter; what is dated ahead of its arrival counts as of its arrival."""
    if not event.weight > 0:
        return
    moment = min(event.timestamp, event.received_at)
    lists = hot_lists(content, event, category, signals, sizes)
    weight = weight_counted(content.given[event.user_id, moment // cap.window_ms], event, cap)
    for hot in lists:
        if weight > 0:
            hot.add(event.item_id, weight, moment)


def hot_lists(content: Content, event: Event, category: str | None, signals: Signals, sizes: Sizes) -> list[HotList]:
    """The lists that an event belongs to, moved to its arrival; without those that the tenant has no place for."""
    half_life_ms = signals(event.tenant_id, event.scenario_id, event.scenario_type).half_life_ms
    scenario = encode_id(event.scenario_id)
    half_lives = {
        GLOBAL: TENANT_HALF_LIFE_MS,
        GLOBAL_SHORT: short_half_life_ms(TENANT_HALF_LIFE_MS),
        f"{SCENARIO}:{scenario}": half_life_ms,
        f"{SCENARIO_SHORT}:{scenario}": short_half_life_ms(half_life_ms),
    }
    if category:
        half_lives[f"{CATEGORY}:{encode_id(category)}"] = TENANT_HALF_LIFE_MS
    for name, half_life in half_lives.items():
        if name in content.hot:
            content.hot[name].move(event.received_at, half_life)
        elif has_place(content.hot, name, sizes):
            content.hot[name] = HotList(half_life, event.received_at)
    return [content.hot[name] for name in half_lives if name in content.hot]


def has_place(hot: Iterable[str], name: str, sizes: Sizes) -> bool:
    """Whether a tenant with these lists may have another."""
    most = {CATEGORY: sizes.hot_categories, SCENARIO: sizes.hot_scenarios, SCENARIO_SHORT: sizes.hot_scenarios}
    kind = name.rpartition(":")[0]
    return kind not in most or sum(other.rpartition(":")[0] == kind for other in hot) < most[kind]


def weight_counted(given: dict[str, float], event: Event, cap: HeatCap) -> float:
    """What of the event's weight still counts, now added to what its user has `given` each item in the window."""
    if event.item_id not in given and len(given) >= cap.items:
        return 0.0
    before = given.get(event.item_id, 0.0)
    given[event.item_id] = min(before + event.weight, cap.weight)
    return event.weight if before + event.weight <= cap.weight else cap.weight - before


def fold_links(content: Content, event: Event) -> None:
    kind = LINKS.get(event.action_type)
    if kind == FOLLOWS:
        content.follows[event.user_id].add(event.item_id)
    elif kind == BLOCKS:
        content.blocks[event.user_id].add(event.item_id)


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
