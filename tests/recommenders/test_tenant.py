"""One tenant's state in the worker: what events do to it, and that no other tenant's do anything."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommenders.mix import Mixes, RecallMix
from recommenders.pending import Pending
from recommenders.scenes import Scene
from recommenders.tenant import TenantSettings, TenantState
from schemas.event import Event
from tests.factories import NOON
from tests.recommenders.factories import HOME, SLOTS, make_event, make_mix, no_mix

events = st.builds(
    make_event,
    tenant_id=st.sampled_from(["acme", "zeta"]),
    user_id=st.sampled_from(["u1", "u2"]),
    item_id=st.sampled_from(["a", "b", "c", "d"]),
    weight=st.sampled_from([-1.0, 0.0, 1.0]),
    positive=st.booleans(),
    category=st.sampled_from([None, "slots"]),
)


def make_state(tenant: str = "acme", mixes: Mixes = no_mix, **settings: Any) -> TenantState:
    return TenantState(tenant, TenantSettings(**settings), mixes, lambda: NOON)


def fold(state: TenantState, log: list[Event]) -> TenantState:
    for offset, event in enumerate(log):
        event.offset = offset
        state.fold(event)
        state.queue(event, offset)
    return state


def all_of(state: TenantState) -> Any:
    """Everything in the state that events can change."""
    stores = state.stores
    return (
        stores.items.ids,
        stores.item_cf.rows,
        list(stores.item_cf.row_sums),
        [stores.catalogue.category(item) for item in range(len(stores.items))],
        {user: state.histories.get(user) for user in ("u1", "u2")},
        [touched.user_id for touched in state.pending],
    )


@given(st.lists(events, max_size=40))
def test_a_tenants_state_is_what_its_events_alone_make_of_it(log: list[Event]) -> None:
    together = {tenant: make_state(tenant) for tenant in ("acme", "zeta")}
    for tenant, state in together.items():
        fold(state, [event for event in log if event.tenant_id == tenant])
    alone = fold(make_state("acme"), [event for event in log if event.tenant_id == "acme"])
    assert all_of(together["acme"]) == all_of(alone)


@given(st.lists(events, max_size=30), st.data())
def test_a_repeated_run_of_records_changes_nothing(log: list[Event], data: st.DataObject) -> None:
    state = make_state()
    fold(state, log)
    before = str(all_of(state))
    first = data.draw(st.integers(0, len(log)))
    assert not any(state.fold(event) for event in log[first:])
    assert str(all_of(state)) == before


def test_partitions_are_told_apart_when_repetitions_are_dropped() -> None:
    state = make_state()
    assert state.fold(make_event(partition=0, offset=5))
    assert state.fold(make_event(partition=1, offset=5))
    assert not state.fold(make_event(partition=1, offset=4))


def test_what_was_turned_down_is_seen_and_not_liked() -> None:
    state = make_state()
    fold(state, [make_event(item_id="a", weight=-1.0), make_event(item_id="b"), make_event(item_id="c", weight=0.0)])
    history = state.histories.of("u1")
    assert history.items == [1]
    assert list(history.seen) == [0, 1]


def test_liked_is_what_the_config_calls_positive_whatever_it_weighs() -> None:
    state = make_state()
    little_seen = make_event(item_id="a", weight=2.0, positive=False)
    liked = make_event(item_id="b", weight=0.0, positive=True)
    turned_down = make_event(item_id="c", weight=-1.0, positive=True)
    fold(state, [little_seen, liked, turned_down])
    history = state.histories.of("u1")
    assert history.items == [1]
    assert list(history.seen) == [0, 1, 2]


def test_beyond_the_bound_an_unknown_item_is_not_learnt() -> None:
    state = fold(make_state(max_items=1), [make_event(item_id="a"), make_event(item_id="b")])
    assert state.stores.items.ids == ["a"]
    assert state.histories.of("u1").items == [0]


def test_an_impression_queues_a_user_only_while_the_lists_are_old() -> None:
    state = fold(make_state(), [make_event(weight=0.0)])
    assert [touched.user_id for touched in state.pending] == ["u1"]
    state.pending.take(list(state.pending))
    state.histories.of("u1").listed_at["home"] = NOON - 10
    state.queue(make_event(weight=0.0), 1)
    assert len(state.pending) == 0
    state.queue(make_event(weight=0.0, positive=True), 2)
    assert len(state.pending) == 1


def test_a_list_just_written_waits_its_turn() -> None:
    state = fold(make_state(rewrite_ms=300), [make_event()])
    (touched,) = state.pending
    assert state._may_write(touched)
    state.histories.of("u1").listed_at["home"] = NOON - 299
    assert not state._may_write(touched)
    state.histories.of("u1").listed_at["home"] = NOON - 300
    assert state._may_write(touched)


def test_a_wrong_pipeline_file_leaves_the_tenant_with_the_built_in_one(tmp_path: Any) -> None:
    (tmp_path / "acme.yaml").write_text("scenes: 1")
    assert make_state(pipelines_dir=tmp_path).pipeline.default_scene == "home"


def test_a_list_is_made_under_the_mix_that_its_own_tenant_and_scenario_have_at_that_moment() -> None:
    shown = {("acme", "feed"): make_mix(hot=(0, 0.0))}

    def mixes(tenant: str, scenario: str) -> RecallMix:
        return shown.get((tenant, scenario), {})

    log = [make_event(user_id="u1", scenario_id="feed"), make_event(user_id="u2", scenario_id="wall")]
    acme, zeta = fold(make_state("acme", mixes), log), fold(make_state("zeta", mixes), log)
    assert mixes_of(acme) == {"feed": shown["acme", "feed"], "wall": {}}
    assert mixes_of(zeta) == {"feed": {}, "wall": {}}
    shown["acme", "feed"] = make_mix(hot=(5, 1.0))
    assert mixes_of(acme)["feed"] == shown["acme", "feed"]


def mixes_of(state: TenantState) -> dict[str, RecallMix]:
    """By scenario, of the lists now due."""
    return {query.scenario: query.mix for query in state._queries(list(state.pending), NOON)}


def test_each_scenes_list_is_made_for_the_scenario_that_asked_for_it_last() -> None:
    state = fold(make_state(), [make_event(scenario_id="game"), make_event(scenario_id="vlog_feed")])
    asked = {query.scene.name: query.scenario for query in state._queries(list(state.pending), NOON)}
    assert asked == {"home": "vlog_feed", "slots": "game", "crash": "game", "live": "game"}


def add(pending: Pending, user: str, order: int, *scenes: Scene) -> None:
    pending.add(user, scenes or (HOME,), "game", order=order, received_at=order)


def test_a_queued_user_stands_once_with_all_scenes_and_the_oldest_event() -> None:
    pending = Pending()
    add(pending, "u", 1, HOME)
    add(pending, "v", 2)
    add(pending, "u", 3, SLOTS)
    touched, other = pending.due(10, lambda _: True)
    assert (touched.user_id, touched.order, touched.received_at) == ("u", 1, 1)
    assert touched.scenes.keys() == {"home", "slots"}
    assert other.user_id == "v"


def test_a_batch_that_was_not_written_comes_back_with_what_was_queued_meanwhile() -> None:
    pending = Pending()
    add(pending, "u", 1, HOME)
    batch = pending.due(10, lambda _: True)
    pending.take(batch)
    add(pending, "v", 2)
    add(pending, "u", 3, SLOTS)
    pending.put_back(batch)
    first, second = pending
    assert (first.user_id, first.order, set(first.scenes)) == ("u", 1, {"home", "slots"})
    assert second.user_id == "v"


async def test_the_oldest_waiting_counts_the_batch_in_hand() -> None:
    state = fold(make_state(), [make_event(user_id="u1"), make_event(user_id="u2")])
    waiting: list[int | None] = []

    async def write(*_: Any) -> int:
        waiting.append(state.oldest_waiting())
        raise ConnectionError

    state._write = write  # type: ignore[method-assign, assignment]
    with pytest.raises(ConnectionError):
        await state.renew(None)  # type: ignore[arg-type]
    assert waiting == [0]
    assert state.oldest_waiting() == 0
    assert len(state.pending) == 2
