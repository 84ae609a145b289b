"""A candidate config against past events."""

from collections import Counter
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.event import Event
from schemas.topics import raw_topic
from schemas.verdict import Code, Issue
from tests.tracking_configs.event_strategies import configs, events
from tests.tracking_configs.factories import (
    ARRIVED,
    NOON,
    encode,
    make_config,
    make_field,
    make_registry,
    on_topic,
    template_config,
)
from tracking_configs.judge import Judge
from tracking_configs.model import TrackingConfig
from tracking_configs.past_event import BASE_WARNINGS, PastEvent, RefusedEvent, TakenEvent
from tracking_configs.preview import MAX_EXAMPLE_BYTES, Counts, Preview, Reason, Window, preview

ENFORCEMENTS = st.sampled_from(["warn", "reject"])
DECLARED = st.sampled_from([("spin",), ()])
UNKNOWN_FIELD = Issue("surplus", Code.UNKNOWN_FIELD, "not part of an event, and not stored")


def taken(payload: Any = None, **parts: Any) -> TakenEvent:
    """An accepted event; `payload` is what stands under `custom_data`."""
    fields: dict[str, Any] = {
        "event_id": "evt_1",
        "tenant_id": "acme",
        "scenario_id": "feed",
        "user_id": "u1",
        "item_id": "i1",
        "action_type": "click",
        "timestamp": NOON,
        "context": msgspec.Raw('{"device_type":"mobile"}'),
        "received_at": ARRIVED,
    }
    data = {} if payload is None else {"scenario_data": msgspec.Raw(encode({"custom_data": payload}))}
    return TakenEvent(**(fields | data | parts))


def refused(body: Any) -> RefusedEvent:
    """A rejected event: its bytes, or what they are the JSON of."""
    value = body if isinstance(body, bytes) else encode(body)
    return RefusedEvent(body=value, topic=raw_topic("acme"), partition=3, offset=41, received_at=ARRIVED)


def body_of(**parts: Any) -> dict[str, Any]:
    base = {"event_id": "evt_1", "tenant_id": "acme", "scenario_id": "feed", "user_id": "u1", "item_id": "i1"}
    return base | {"action_type": "click", "timestamp": NOON, "context": {"device_type": "mobile"}} | parts


def reasons(found: Preview) -> list[tuple[str, str, str, int, int]]:
    return [(each.verdict, each.code, each.field, each.count, each.new) for each in found.reasons]


def with_minutes(**parts: Any) -> TrackingConfig:
    """A config under which `minutes` is a required integer."""
    return make_config(fields=[make_field("minutes", "integer", required=True)], **parts)


def test_counts_now_then_and_what_changes() -> None:
    past = [taken({"minutes": 5}), taken({"minutes": 5}), taken({"minutes": "x"}), taken({})]
    now = with_minutes()
    then = make_config(fields=[make_field("minutes", "string")], enforcement="reject")
    found = preview(past, now, then)
    assert found.now == Counts(2, 2, 0)
    assert found.then == Counts(2, 0, 2)
    assert msgspec.to_builtins(found.changed) == {"newly_pass": 2, "newly_warn": 0, "newly_reject": 2}
    assert reasons(found) == [("reject", "wrong_type", "scenario_data.custom_data.minutes", 2, 2)]


def test_says_it_all_in_the_names_of_the_answer() -> None:
    found = msgspec.json.decode(
        encode(preview([taken({}), taken({"minutes": 1}, received_at=NOON)], None, with_minutes()))
    )
    assert found["events"] == 2
    assert found["window"] == {"from": NOON, "to": ARRIVED}
    assert found["now"] == {"pass": 0, "warn": 2, "reject": 0}
    assert found["then"] == {"pass": 1, "warn": 1, "reject": 0}
    assert found["reasons"] == [
        {
            "verdict": "warn",
            "code": "missing",
            "field": "scenario_data.custom_data.minutes",
            "count": 1,
            "new": 1,
            "message": "required integer is missing",
            "example": body_of(scenario_data={"custom_data": {}}),
        }
    ]


def test_no_events_have_no_window() -> None:
    found = preview([], None, make_config())
    assert (found.events, found.window, found.then, found.reasons) == (0, None, Counts(0, 0, 0), ())


def test_without_a_config_in_force_everything_warns_that_there_is_none() -> None:
    past = [taken({"minutes": 5}), taken(action_type="spin")]
    assert preview(past, None, make_config(actions=["spin"])).now == Counts(0, 1, 1)
    deleted = msgspec.structs.replace(with_minutes(), is_active=False)
    assert preview(past, deleted, make_config()).now == Counts(0, 1, 1)


def test_where_unknown_scenarios_are_refused_a_first_config_takes_what_was_rejected() -> None:
    past: list[PastEvent] = [taken({"minutes": 5}), refused(body_of())]
    found = preview(past, None, make_config(), refuse_unknown_scenarios=frozenset({"acme"}))
    assert (found.now, found.then) == (Counts(0, 0, 2), Counts(2, 0, 0))


def test_an_action_that_the_candidate_no_longer_declares_is_rejected() -> None:
    found = preview([taken(action_type="spin")], make_config(actions=["spin"]), make_config())
    assert reasons(found) == [("reject", "unknown_action", "action_type", 1, 1)]


def test_what_no_config_can_change_warns_under_every_one_and_is_not_new() -> None:
    found = preview([taken({}, base_warnings=(UNKNOWN_FIELD,))], make_config(), make_config(enforcement="reject"))
    assert found.now == found.then == Counts(0, 1, 0)
    assert reasons(found) == [("warn", "unknown_field", "surplus", 1, 0)]


def test_a_rejected_event_is_judged_whole_at_its_own_place_and_time() -> None:
    strict = with_minutes(enforcement="reject")
    repaired = refused(body_of(scenario_data={"custom_data": {"minutes": "x"}}))
    of_another_tenant = refused(body_of(tenant_id="globex"))
    of_the_future = refused(body_of(timestamp=ARRIVED + 2 * 24 * 3600 * 1000))
    found = preview([repaired, of_another_tenant, of_the_future], strict, make_config())
    assert (found.now, found.then) == (Counts(0, 0, 3), Counts(1, 0, 2))
    assert reasons(found) == [
        ("reject", "tenant_mismatch", "tenant_id", 1, 0),
        ("reject", "timestamp_in_future", "timestamp", 1, 0),
    ]


def test_items_of_an_array_or_an_object_are_one_reason_and_count_once_an_event() -> None:
    config = make_config(
        fields=[make_field("seek", "array", item_type="integer"), make_field("shares", "object", item_type="number")]
    )
    past = [taken({"seek": [1, "a", "b"]}), taken({"seek": ["c"], "shares": {"x.y": "z"}}), taken({"odd.1": 1})]
    assert [each[1:4] for each in reasons(preview(past, None, config))] == [
        ("wrong_type", "scenario_data.custom_data.seek.*", 2),
        ("undeclared_field", "scenario_data.custom_data.odd.1", 1),
        ("wrong_type", "scenario_data.custom_data.shares.*", 1),
    ]


def test_ten_reasons_are_given_the_most_frequent_first() -> None:
    past = [taken({f"field_{name}": 1 for name in range(size)}) for size in range(1, 13)]
    found = preview(past, None, make_config(fields=[make_field("minutes", "integer")])).reasons
    assert [each.count for each in found] == list(range(12, 2, -1))
    assert found[0].field == "scenario_data.custom_data.field_0"


def example(event: PastEvent) -> Any:
    found: tuple[Reason, ...] = preview([event], None, with_minutes()).reasons
    return found[0].example


def test_the_example_is_the_newest_event() -> None:
    past = [taken({}, event_id=f"e{at}", received_at=at) for at in (7, 9, 8)]
    (reason,) = preview(past, None, with_minutes()).reasons
    assert isinstance(reason.example, dict)
    assert reason.example["event_id"] == "e9"


def test_an_example_that_is_long_or_no_object_is_text_and_bounded() -> None:
    long = example(taken({"text": "ß" * MAX_EXAMPLE_BYTES}))
    assert long.startswith('{"event_id":"evt_1"')
    assert len(long.encode()) in (MAX_EXAMPLE_BYTES, MAX_EXAMPLE_BYTES - 1)
    for odd in (b'{"scenario_id":"feed","x":"\xff"}', b'{"x":1e999}', b'{"x":' + b"[" * 1500 + b"]" * 1500 + b"}"):
        assert isinstance(example(refused(odd)), str)


def test_the_window_is_of_arrivals_in_any_order() -> None:
    found = preview([taken(received_at=at) for at in (5, 9, 3)], None, make_config())
    assert found.window == Window(3, 9)


# Against the judge itself: an event under the config that it met, then under two others.


@st.composite
def bodies(draw: st.DrawFn, config: TrackingConfig) -> dict[str, Any]:
    changes: list[dict[str, Any]] = [{}, {"surplus": 1}, {"event_id": None}, {"user_id": ""}]
    return {**draw(events(config)), **draw(st.sampled_from(changes))}


def past(body: dict[str, Any], met: TrackingConfig | None) -> tuple[PastEvent, bytes]:
    """The event as it is kept, and the whole of it rebuilt: an accepted one has its enums' own values."""
    arrival = on_topic()
    verdict = Judge(make_registry(*[met] if met else [])).judge(encode(body), arrival)
    if not isinstance(verdict, Event):
        return refused(body), encode(body)
    data = verdict.scenario_data
    kept = taken(
        event_id=verdict.event_id,
        user_id=verdict.user_id,
        action_type=verdict.action_type,
        base_warnings=tuple(issue for issue in verdict.validation_warnings if issue.code in BASE_WARNINGS),
        **({} if data is None else {"scenario_data": msgspec.Raw(data)}),
    )
    return kept, encode(body | ({} if data is None else {"scenario_data": msgspec.Raw(data)}))


def outcome(whole: bytes, config: TrackingConfig | None) -> tuple[str, set[tuple[str, str]]]:
    verdict = Judge(make_registry(*[config] if config else [])).judge(whole, on_topic())
    issues = verdict.validation_warnings if isinstance(verdict, Event) else verdict.errors
    name = "reject" if not isinstance(verdict, Event) else "warn" if issues else "pass"
    return name, {(issue.code.value, folded(issue)) for issue in issues}


def folded(issue: Issue) -> str:
    parts = issue.field.split(".")
    return ".".join([*parts[:3], "*"]) if len(parts) > 3 else issue.field


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_preview_is_what_the_judge_says_of_every_event(data: st.DataObject) -> None:
    rules = [data.draw(configs()), data.draw(configs())]
    met, now, then = (
        msgspec.structs.replace(
            data.draw(st.sampled_from(rules)), enforcement=data.draw(ENFORCEMENTS), actions=data.draw(DECLARED)
        )
        for _ in range(3)
    )
    met_or_none, now_or_none = data.draw(st.sampled_from([met, None])), data.draw(st.sampled_from([now, None]))
    kept = [past(data.draw(bodies(data.draw(st.sampled_from(rules)))), met_or_none) for _ in range(6)]
    found = preview([event for event, _ in kept], now_or_none, then)
    befores = [outcome(whole, now_or_none) for _, whole in kept]
    afters = [outcome(whole, then) for _, whole in kept]
    for counts, outcomes in ((found.now, befores), (found.then, afters)):
        by_name = Counter(name for name, _ in outcomes)
        assert msgspec.to_builtins(counts) == {name: by_name[name] for name in ("pass", "warn", "reject")}
    count: Counter[tuple[str, ...]] = Counter()
    new: Counter[tuple[str, ...]] = Counter()
    for (old, had), (name, why) in zip(befores, afters, strict=True):
        count.update((name, *each) for each in why)
        new.update((name, *each) for each in why if name != old or each not in had)
    if len(count) <= 10:
        assert {each[:3]: each[3:] for each in reasons(found)} == {key: (count[key], new[key]) for key in count}


def test_an_event_that_met_a_template_is_clean_under_it() -> None:
    config = template_config("video")
    body = encode({"video_data": {"duration": 30, "watch_duration": 3, "completion_rate": 0.1, "seek_positions": [1]}})
    past = [taken(scenario_id=config.scenario_id, action_type="play_end", scenario_data=msgspec.Raw(body))]
    assert preview(past, None, config).then == Counts(1, 0, 0)
