"""Any traffic of one tenant, for property tests."""

from itertools import count

from hypothesis import strategies as st

from schemas.event import Context, Event
from streams.features.model import DAY_MS, ScenarioSignals
from tests.factories import NOON, make_event

MINUTE = 60_000
SIGNALS = {
    "feed": ScenarioSignals(30 * MINUTE, DAY_MS),
    "s:p%cial": ScenarioSignals(10 * MINUTE, 6 * 60 * MINUTE),
    "新闻": ScenarioSignals(30 * MINUTE, 60 * MINUTE),
}
CATALOGUE = {"i1": "slots", "i:2": "a/b:c%d", "電影": '"quoted" \\ 電影\n'}

USERS = ("u1", "u:2", "u%3A2", "ユーザー")
ITEMS = ("i1", "i:2", "i%3", "電影", 'quote"\\/', "i6", "i7")
ACTIONS = ("impression", "click", "play", "follow", "add_friend", "block", "dismiss")
CATEGORIES = (None, None, "", "live", "a:b", '"\\', "a/b:c%d")
HOUR = 60 * MINUTE
ARRIVALS = (5, 5, 5, HOUR + 1, 4 * HOUR, -2 * HOUR, 70 * HOUR, 9 * DAY_MS, 300 * DAY_MS)  # behind NOON, ms

_tenants = count()


def signals(tenant: str, scenario_id: str, scenario_type: str) -> ScenarioSignals:
    return SIGNALS[scenario_id]


def new_tenant() -> str:
    """A tenant that no other example has."""
    return f"t{next(_tenants)}x"


@st.composite
def an_event(draw: st.DrawFn) -> Event:
    """An event within some hours, in minutes' steps, so that gaps are met exactly; of few ids, so that they repeat."""
    moment = draw(st.integers(-200, 200)) * MINUTE + draw(st.sampled_from((0, 0, 1)))
    grouped = draw(st.booleans())
    return make_event(
        event_id=draw(st.integers(0, 60).map("evt_{}".format)),
        user_id=draw(st.sampled_from(USERS)),
        item_id=draw(st.sampled_from(ITEMS)),
        scenario_id=draw(st.sampled_from(tuple(SIGNALS))),
        action_type=draw(st.sampled_from(ACTIONS)),
        timestamp=NOON + moment,
        weight=draw(st.sampled_from((-1.0, 0.0, 0.5, 3.0))),
        dwell_ms=draw(st.sampled_from((0, 0, 1500, -7, 10**15))),
        category=draw(st.sampled_from(CATEGORIES)),
        received_at=NOON + draw(st.sampled_from(ARRIVALS)),
        context=Context(draw(st.sampled_from(("mobile", "pc")))),
        experiment_id=draw(st.sampled_from((None, "exp"))) if grouped else None,
        experiment_group=draw(st.sampled_from((None, "b"))) if grouped else None,
    )


@st.composite
def a_burst(draw: st.DrawFn) -> list[Event]:
    """A user's events, a little apart, mostly in order."""
    first = draw(an_event())
    rest = draw(st.lists(an_event(), max_size=6))
    moment, events = first.timestamp, [first]
    for event in rest:
        moment += draw(st.sampled_from((0, 1, 1, 5, 9, 10, 11, 29, 30, 31, -1, -10, -11, -30, -31))) * MINUTE
        event.user_id, event.scenario_id, event.timestamp = first.user_id, first.scenario_id, moment
        events.append(event)
    return events


def numbered(events: list[Event], tenant: str) -> list[Event]:
    """The events as a tenant's partition holds them; between them stand records that were rejected."""
    for place, event in enumerate(events):
        event.tenant_id, event.offset = tenant, 2 * place
    return events


def traffic(max_bursts: int = 12) -> st.SearchStrategy[list[Event]]:
    return st.lists(a_burst(), min_size=1, max_size=max_bursts).map(lambda bursts: [e for b in bursts for e in b])
