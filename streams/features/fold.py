"""The specification of the features: one event after the other, in plain Python, slow and easy to read.

`fold` gives what Redis holds of one tenant after its events, in the order of their raw offsets (events of
different partitions: in the order they were applied). `deltas.py` and `apply.lua` must come to the same,
whatever the batches were. Sessions are in `session_fold.py`. Lifetimes, the size of the hot lists and the forgetting
of old event ids are not part of it: they depend on the clock, or on more events than a test has.

Hot lists are plain exponential decay here, without landmarks: with each arrival every item's heat shrinks. Where
events of one scenario disagree on its half-life (they have no config, and payloads of several templates), a batch
goes by its first one's, which one event at a time cannot show.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from schemas.event import Event
from schemas.hot import CATEGORY, GLOBAL, GLOBAL_SHORT, SCENARIO, SCENARIO_SHORT
from schemas.keys import encode_id
from streams.features.decay import TENANT_HALF_LIFE_MS, short_half_life_ms
from streams.features.model import BLOCKS, FOLLOWS, LINKS, HeatCap, Signals, Sizes
from streams.features.session_fold import Session, Sessions, json_text
from streams.features.watermark import Closing


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

    all_sessions: Sessions = field(default_factory=Sessions)
    recents: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    hot: dict[str, HotList] = field(default_factory=dict)  # by key without tenant
    given: defaultdict[tuple[str, int], dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    follows: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    blocks: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    @property
    def sessions(self) -> dict[str, Session]:
        """user -> the current one."""
        return self.all_sessions.current


class Fold:
    """Takes one tenant's events, one after the other; `content` is what Redis holds after them.

    `catalogue` is item -> category.
    """

    def __init__(
        self,
        signals: Signals,
        *,
        catalogue: Mapping[str, str] | None = None,
        sizes: Sizes | None = None,
        cap: HeatCap | None = None,
        closing: Closing | None = None,
    ) -> None:
        self._signals = signals
        self._catalogue = catalogue or {}
        self._sizes = sizes or Sizes()
        self._cap = cap or HeatCap()
        self._seen: set[str] = set()
        self.content = Content(Sessions(closing or Closing()))

    def is_new(self, event: Event) -> bool:
        """Whether the event would count."""
        return event.event_id not in self._seen

    def add(self, event: Event) -> None:
        """The next event of its partition; one whose id came before changes nothing."""
        if not self.is_new(event):
            return
        self._seen.add(event.event_id)
        content, sizes = self.content, self._sizes
        category = event.category or self._catalogue.get(event.item_id)
        gap_ms = self._signals(event.tenant_id, event.scenario_id, event.scenario_type).session_gap_ms
        content.all_sessions.add(event, category, gap_ms, sizes)
        fold_recent(content, event, sizes)
        fold_hot(content, event, category, self._signals, sizes, self._cap)
        fold_links(content, event)


def fold(
    events: Iterable[Event],
    *,
    signals: Signals,
    catalogue: Mapping[str, str] | None = None,
    sizes: Sizes | None = None,
    cap: HeatCap | None = None,
    closing: Closing | None = None,
) -> Content:
    """The content after `events` of one tenant, once all sessions are closed that the watermark has passed."""
    folding = Fold(signals, catalogue=catalogue, sizes=sizes, cap=cap, closing=closing)
    for event in events:
        folding.add(event)
    folding.content.all_sessions.close_passed()
    return folding.content


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
