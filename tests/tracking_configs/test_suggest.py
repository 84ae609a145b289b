"""A config proposed from sample events: what it decides, and what holds for any samples at all."""

import json
import math
import random
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.actions import BUILT_IN_ACTIONS
from schemas.event import Event
from tests.tracking_configs.factories import NOON, at_door, make_registry
from tracking_configs.checks import check_config
from tracking_configs.errors import NothingToSuggestError
from tracking_configs.field_evidence import type_of
from tracking_configs.judge import Judge
from tracking_configs.model import FieldSpec, TrackingConfig, config_of, draft_of, parse_draft, payload_key
from tracking_configs.nearest_template import lower_bound
from tracking_configs.suggest import FieldEvidence, Suggestion, suggest
from tracking_configs.template import Template, load_templates


def sample(payload: Any = None, action: Any = "play", key: str = "custom_data") -> dict[str, Any]:
    """An event with a good base."""
    body: dict[str, Any] = {
        "event_id": "evt_1",
        "tenant_id": "acme",
        "scenario_id": "feed",
        "user_id": "u1",
        "item_id": "i1",
        "action_type": action,
        "timestamp": NOON,
        "context": {"device_type": "mobile"},
    }
    return body if payload is None else body | {"scenario_data": {key: payload}}


def config_from(found: Suggestion) -> TrackingConfig:
    """The proposed config, checked as a draft and again as the version that the change feed would check."""
    draft = parse_draft(found.draft)
    check_config(draft)
    config = config_of(draft, version=1, created_at=NOON, updated_at=NOON)
    check_config(draft_of(config))
    return config


def fields_of(found: Suggestion) -> dict[str, FieldSpec]:
    return {field.field_name: field for field in config_from(found).fields}


def evidence_of(found: Suggestion, name: str) -> FieldEvidence:
    return next(field for field in found.fields if field.name == name)


def reasons(found: Suggestion) -> dict[str, str]:
    return {each.name: each.why for each in found.left_out}


def one_field(values: list[Any], name: str = "level") -> FieldSpec:
    return fields_of(suggest("acme", "feed", [sample({name: value}) for value in values]))[name]


def value_for(spec: FieldSpec, rng: random.Random) -> Any:
    """A value that keeps the rule of a template's field."""
    low, high = spec.min_value or 0, spec.max_value or 500
    item = FieldSpec(field_name="item", field_type=spec.item_type or "string")
    if spec.enum_values is not None:
        return rng.choice([*spec.enum_values, *spec.enum_aliases])
    if spec.pattern is not None:
        return rng.choice(["EUR", "USD", "SEK"])
    match spec.field_type:
        case "integer":
            return rng.randint(math.ceil(low), math.floor(high))
        case "number":
            return rng.uniform(low, high)
        case "boolean":
            return rng.random() < 0.5
        case "array":
            return [value_for(item, rng) for _ in range(rng.randint(0, 4))]
        case "object":
            return {f"k{number}": value_for(item, rng) for number in range(rng.randint(0, 4))}
    return f"{spec.field_name} {rng.randint(0, 10_000)}"


def template_samples(template: Template, count: int = 200, key: str | None = None) -> list[dict[str, Any]]:
    """Events as the template wants them: the required fields always, every other one half of the time."""
    rng = random.Random(template.id)
    samples = []
    for _ in range(count):
        action = rng.choice(list(template.actions))
        payload = {
            spec.field_name: value_for(spec, rng)
            for spec in template.fields
            if action in spec.required_for or rng.random() < 0.5
        }
        samples.append(sample(payload, action, key or template.payload_key))
    return samples


# The template.


@pytest.mark.parametrize("template", load_templates().values(), ids=lambda template: template.id)
def test_a_templates_own_events_give_it_back_with_its_rules(template: Template) -> None:
    found = suggest("acme", "feed", template_samples(template))
    assert found.events == 200
    assert (found.template.id, found.template.confidence) == (template.id, lower_bound(200, 200))
    assert fields_of(found) == {spec.field_name: spec for spec in template.fields}
    assert found.draft["actions"] == []
    assert found.left_out == ()
    config, whole = config_from(found), load_templates()[template.id]
    assert (config.dwell, config.completion_field) == (whole.dwell, whole.completion_field)
    assert config.category_fields == whole.category_fields


@pytest.mark.parametrize("template", load_templates().values(), ids=lambda template: template.id)
def test_a_template_is_known_by_its_names_where_no_payload_key_tells(template: Template) -> None:
    found = suggest("acme", "feed", template_samples(template, key="payload"))
    assert found.template.id == template.id
    assert found.template.confidence > 0.9
    assert found.template.runner_up not in (None, template.id)
    assert reasons(found)["'payload'"] == "no scenario has this payload key: such events are rejected"


def test_custom_data_makes_a_custom_scenario_and_names_the_template_it_is_like() -> None:
    found = suggest("acme", "feed", template_samples(load_templates()["music"], key="custom_data"))
    assert (found.template.id, found.template.runner_up) == ("custom", "music")


def test_events_that_any_template_has_are_near_to_none() -> None:
    found = suggest("acme", "feed", [sample(None, "impression")] * 50)
    assert (found.template.id, found.template.confidence) == ("custom", 0.0)
    assert found.draft["required_fields"] == found.draft["optional_fields"] == []


def test_a_few_events_with_another_payload_key_are_left_out() -> None:
    strays = [sample({"word_count": 3}, "read", "news_data")] * 10
    found = suggest("acme", "feed", template_samples(load_templates()["video"]) + strays)
    assert found.template.id == "video"
    assert "word_count" not in fields_of(found)
    assert reasons(found)["news_data"] == "scenario type video has video_data"


def test_a_rule_of_the_template_that_many_values_break_is_not_kept() -> None:
    good = template_samples(load_templates()["video"])
    bad = [sample({"completion_rate": 87.5, "video_quality": "8K"}, "like", "video_data")] * 20
    stray = [sample({"duration": "long"}, "like", "video_data")] * 2
    found = suggest("acme", "feed", good + bad + stray)
    fields = fields_of(found)
    assert (fields["completion_rate"].min_value, fields["completion_rate"].max_value) == (0, None)
    assert fields["completion_rate"].description == "Share of the video watched"
    assert fields["completion_rate"].required_for == ("play_end",)
    assert "(out_of_range 20 times): it is not kept" in evidence_of(found, "completion_rate").notes[0]
    assert "8K" in (fields["video_quality"].enum_values or ())
    assert fields["duration"].field_type == "integer"  # two strings among many: they will warn
    assert evidence_of(found, "duration").notes[0].startswith("integer in ")
    assert config_from(found).completion_field is None  # it means something else here
    assert config_from(found).dwell == load_templates()["video"].dwell


def test_a_few_values_that_break_the_templates_rule_are_what_it_is_to_find() -> None:
    good = template_samples(load_templates()["video"])
    bad = [sample({"completion_rate": 87.5}, "like", "video_data")] * 2
    found = suggest("acme", "feed", good + bad)
    assert fields_of(found)["completion_rate"].max_value == 1
    assert "(out_of_range 2 times): they will warn" in evidence_of(found, "completion_rate").notes[0]
    assert config_from(found).completion_field == "completion_rate"


def test_a_template_field_stays_required_for_the_actions_that_carry_it() -> None:
    events = [sample({"course_id": "c1"}, action, "education_data") for action in ("learn", "complete")] * 20
    found = suggest("acme", "feed", [*events, sample({}, "learn", "education_data")])
    assert fields_of(found)["course_id"].required_for == ("complete", "pause")
    assert "missing in events of learn" in evidence_of(found, "course_id").notes[-1]


# The type.


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 3], "integer"),
        ([1.0, 2, None], "integer"),
        ([1, 2.5], "number"),
        ([1, 2**70], "number"),
        ([1e300], "number"),
        (["a", ""], "string"),
        ([True, False], "boolean"),
        ([[1], []], "array"),
        ([{}, {"a": 1}], "object"),
    ],
)
def test_the_type_is_the_narrowest_that_all_values_have(values: list[Any], expected: str) -> None:
    assert one_field(values).field_type == expected


def test_a_field_of_mixed_types_is_left_out_and_said_so() -> None:
    found = suggest("acme", "feed", [sample({"level": value}) for value in [1, 2, "high", True, [1]]])
    assert found.fields == ()
    assert reasons(found)["level"] == "mixed types: 2 integer, 1 array, 1 boolean, 1 string"


def test_what_is_not_json_counts_as_another_type() -> None:
    found = suggest("acme", "feed", [sample({"level": value}) for value in [math.nan, math.inf, 10**400, "\ud800"]])
    assert reasons(found)["level"] == "mixed types: 4 other"


def test_a_stray_type_does_not_change_the_fields_own() -> None:
    found = suggest("acme", "feed", [sample({"level": value}) for value in [*range(99), "x"]])
    assert fields_of(found)["level"].field_type == "integer"
    level = evidence_of(found, "level")
    assert level.types == {"integer": 99, "string": 1}
    assert "integer in 99 of 100 values: the others will warn" in level.notes
    assert level.confidence == lower_bound(99, 100)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([1, 2], "integer"),
        ([1, 2.5], "number"),
        (["a"], "string"),
        ([{}], "object"),
        ([1, "a"], None),
        (["a", None], None),
        ([[1]], None),
        ([], None),
    ],
)
def test_items_have_a_type_where_all_have_the_same(items: list[Any], expected: str | None) -> None:
    assert one_field([items] * 20).item_type == expected
    assert one_field([{f"k{index}": item for index, item in enumerate(items)}] * 20).item_type == expected


def test_one_strange_item_leaves_the_items_type_open() -> None:
    assert one_field([["a"]] * 99 + [["a", 1]]).item_type is None


def test_a_few_items_do_not_tell_their_type() -> None:
    assert one_field([["a"]] * 19).item_type is None


# Bounds and enums.


@pytest.mark.parametrize(
    ("values", "name", "expected"),
    [
        ([0.0, 0.25, 1.0], "level", (0, 1)),
        ([0, 1], "level", (0, None)),  # integers: a flag or a count, no share
        ([0.5, 1.5], "level", (0, None)),
        ([-1, 1], "level", (None, None)),
        ([3, 4711], "level", (0, None)),
        ([3, 80.5], "level", (0, None)),
        ([3, 80.5], "done_pct", (0, 100)),
        ([3, 180], "done_pct", (0, None)),
        ([-0.0, 5], "level", (0, None)),
    ],
)
def test_bounds_are_those_that_are_plain(values: list[Any], name: str, expected: tuple[Any, Any]) -> None:
    spec = one_field(values * 20, name)
    assert (spec.min_value, spec.max_value) == expected


def test_a_few_values_tell_no_bounds() -> None:
    assert one_field([5] * 19).min_value is None


def test_few_strings_that_come_again_and_again_are_an_enum_the_commonest_first() -> None:
    assert one_field(["low"] * 20 + ["high"] * 40).enum_values == ("high", "low")


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (["low", "high"] * 24, "level"),  # too few values
        (["low", "high"] * 30 + ["odd"] * 2, "level"),  # one of them may be a slip
        ([f"v{number}" for number in range(21)] * 5, "level"),
        (["only"] * 90, "level"),
        (["a", "x" * 65] * 30, "level"),
        (["a", "b\n"] * 30, "level"),
        (["c1", "c2"] * 30, "course_id"),
    ],
)
def test_other_strings_are_no_enum(values: list[str], name: str) -> None:
    assert one_field(values, name).enum_values is None


# Required, left out, actions.


def test_a_field_of_every_event_is_required() -> None:
    events = [sample({"always": 1, "sometimes": index} if index % 2 else {"always": 2}) for index in range(60)]
    found = suggest("acme", "feed", events)
    assert [field["field_name"] for field in found.draft["required_fields"]] == ["always"]
    assert [field["field_name"] for field in found.draft["optional_fields"]] == ["sometimes"]
    assert (evidence_of(found, "sometimes").seen, evidence_of(found, "sometimes").missing) == (30, 30)


def test_a_field_of_all_of_too_few_events_is_optional() -> None:
    assert not one_field([1] * 29).required


def test_a_field_of_some_actions_is_required_for_those() -> None:
    events = [sample({"score": 1}, "play_end"), sample({"score": 1}, "spin"), sample(None, "impression")] * 10
    events += [sample({"score": 1}, "like"), sample({}, "like"), sample({"score": 1}, "share")] * 5
    assert fields_of(suggest("acme", "feed", events))["score"].required_for == ("play_end", "spin")


def test_a_rare_field_is_left_out_unless_an_action_needs_it() -> None:
    events = [sample({"usual": 1}, "click") for _ in range(2000)]
    events += [sample({"usual": 1, "typo": 1}, "click")] * 19
    events += [sample({"usual": 1, "price": 1}, "purchase")] * 10
    found = suggest("acme", "feed", events)
    assert fields_of(found).keys() == {"usual", "price"}
    assert fields_of(found)["price"].required_for == ("purchase",)
    assert reasons(found)["typo"] == "in only 19 of 2029 events"


def test_null_is_absent() -> None:
    found = suggest("acme", "feed", [sample({"level": 1, "gone": None}), sample({"level": None})] * 20)
    assert (evidence_of(found, "level").seen, evidence_of(found, "level").missing) == (20, 20)
    assert reasons(found)["gone"] == "always null"


def test_actions_beyond_the_templates_list_are_declared() -> None:
    events = [sample({"duration": 60}, action, "video_data") for action in ("play", "spin", "spin", "Auto Play")]
    found = suggest("acme", "feed", events)
    assert found.draft["actions"] == ["spin"]
    assert found.actions == {"spin": 2, "play": 1}
    assert reasons(found)["'Auto Play'"] == "not a legal name, or one action too many"


def test_names_that_are_not_legal_are_left_out() -> None:
    found = suggest("acme", "feed", [sample({"Level": 1, "größe": 1, "x" * 999: 1, "\ud800": 1, "level": 1})] * 5)
    assert fields_of(found).keys() == {"level"}
    assert reasons(found).keys() == {"'Level'", "'gr\\xf6\\xdfe'", f"'{'x' * 64}'", "'\\ud800'"}


BAD_DATA: list[Any] = [{}, [], {"video_data": 1}, {"a": {}, "b": {}}]


@pytest.mark.parametrize(
    ("samples", "why"),
    [
        ([], "there are no events"),
        ([{}, {"action_type": 3}, []], "none of the samples is usable (1 not an object, 2 without an action_type)"),
        (
            [sample() | {"scenario_data": wrong} for wrong in BAD_DATA],
            "none of the samples is usable (4 whose scenario_data is not one object under one key)",
        ),
    ],
)
def test_nothing_usable_is_said(samples: list[Any], why: str) -> None:
    with pytest.raises(NothingToSuggestError, match="nothing to propose") as caught:
        suggest("acme", "feed", samples)
    assert str(caught.value).endswith(why)


def test_unusable_samples_are_counted_beside_the_usable() -> None:
    found = suggest("acme", "feed", [sample({"level": 1}), {"action_type": None}, {"oops": 1}])
    assert found.events == 1
    assert reasons(found)[""] == "no usable event: without an action_type"


# Bounded, whatever comes.


def test_hostile_samples_are_counted_in_bounds() -> None:
    rng = random.Random(7)
    crowd = {f"f{number}": rng.choice([1, "x", "y" * 10_000, [1, "z"] * 500, math.nan]) for number in range(10_000)}
    odd = {f"Odd {number}": 1 for number in range(10_000)}
    events = [sample(crowd, f"a{number}", key) for number, key in enumerate(["custom_data", "k", "video_data"] * 100)]
    started = time.monotonic()
    found = suggest("acme", "feed", [*events[:5], sample(odd), *(sample({"v": number}) for number in range(5000))])
    assert time.monotonic() - started < 10
    config_from(found)
    assert len(found.left_out) == 100
    assert len(suggest("acme", "feed", [sample({}, f"a{number}") for number in range(999)]).draft["actions"]) == 200


def test_at_most_200_fields_are_proposed_the_most_frequent_first() -> None:
    events = [sample({f"f{number}": 1 for number in range(300 - share)}) for share in range(100)]
    found = suggest("acme", "feed", events)
    assert [field.name for field in found.fields] == sorted([f"f{number}" for number in range(201)])[:200]
    assert "no room" in found.left_out[0].why


def test_a_config_is_never_too_large() -> None:
    values = [{f"f{name}": f"{number:0>2}" + "\\" * 62 for name in range(200)} for number in range(20)]
    found = suggest("acme", "feed", [sample(payload) for payload in values * 3])
    config_from(found)
    assert len(found.fields) < 200
    assert "no room" in found.left_out[0].why


# Properties.

OWN = ("alpha", "beta", "rate_pct", "item_id")
NAMES = (*OWN, "duration", "completion_rate", "video_quality", "seek_positions", "audio_quality", "feature_importance")
KEYS = ("custom_data", "video_data", "music_data", "personalized_data")
ACTIONS = ("impression", "play", "play_end", "spin")
FOR_KIND: dict[str, st.SearchStrategy[Any]] = {
    "integer": st.integers(-3, 200) | st.sampled_from([2**63, -(2**63), 3.0, -0.0]),
    "share": st.floats(0, 1),
    "number": st.floats(allow_nan=False, allow_infinity=False) | st.just(2**80),
    "string": st.sampled_from(["a", "b", "", "1080p", "标准", "x" * 70, "\n"]),
    "boolean": st.booleans(),
    "array": st.lists(st.integers(0, 3) | st.sampled_from(["a", 0.5, None, 2**70]), max_size=3),
    "integers": st.lists(st.integers(0, 3), max_size=3),
    "object": st.dictionaries(st.sampled_from("ab"), st.integers(0, 3) | st.just(0.5), max_size=2),
    "any": st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just(math.nan),
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
payloads = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), json_values, max_size=5)
wild_samples = st.one_of(
    st.builds(sample, payloads, st.sampled_from(ACTIONS) | st.text(max_size=5), st.sampled_from([*KEYS, "x"])),
    st.builds(sample, st.none(), st.sampled_from(ACTIONS)),
    st.dictionaries(st.sampled_from(["action_type", "scenario_data", "x"]), json_values, max_size=3),
    json_values,
)


@st.composite
def tidy_samples(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Events of one scenario whose fields mostly have one type each; often so many that rules are read from them."""
    kinds = {name: draw(st.sampled_from(list(FOR_KIND))) for name in draw(st.sets(st.sampled_from(NAMES), max_size=5))}
    key = draw(st.sampled_from(KEYS))
    fields = st.fixed_dictionaries({}, optional={name: FOR_KIND[kind] for name, kind in kinds.items()})
    events = draw(st.lists(st.builds(sample, fields, st.sampled_from(ACTIONS), st.just(key)), min_size=1, max_size=8))
    return events * draw(st.sampled_from([1, 20]))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(wild_samples, max_size=8), st.sampled_from([1, 20]))
def test_the_draft_is_valid_whatever_the_samples(samples: list[Any], times: int) -> None:
    try:
        found = suggest("acme", "feed", samples * times)
    except NothingToSuggestError:
        return
    config_from(found)
    assert 0 < found.events <= len(samples) * times
    for field in found.fields:
        assert 0 <= field.confidence <= 1
        assert field.seen == sum(field.types.values())
    json.dumps(found.draft, allow_nan=False)


def agrees(spec: FieldSpec | None, value: Any) -> bool:
    return spec is not None and (
        value is None or type_of(value) in (spec.field_type, "integer" if spec.field_type == "number" else "")
    )


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tidy_samples())
def test_samples_of_proposed_fields_are_clean_under_the_proposed_config(samples: list[dict[str, Any]]) -> None:
    found = suggest("acme", "feed", samples)
    config, fields = config_from(found), fields_of(found)
    judge = Judge(make_registry(config))
    assert payload_key(config.scenario_type) in samples[0]["scenario_data"]
    for body in samples:
        (payload,) = body["scenario_data"].values()
        if fields and all(agrees(fields.get(name), value) for name, value in payload.items()):
            verdict = judge.judge(json.dumps(body).encode(), at_door())
            assert isinstance(verdict, Event), verdict
            assert verdict.validation_warnings == (), fields


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(wild_samples, max_size=8) | tidy_samples(), st.randoms(use_true_random=False))
def test_the_order_of_the_samples_does_not_matter(samples: list[Any], rng: random.Random) -> None:
    shuffled = rng.sample(samples, len(samples))
    try:
        found = suggest("acme", "feed", samples)
    except NothingToSuggestError:
        with pytest.raises(NothingToSuggestError):
            suggest("acme", "feed", shuffled)
        return
    assert suggest("acme", "feed", shuffled) == found


@given(st.integers(0, 500), st.integers(0, 500))
def test_confidence_grows_with_agreement_and_with_evidence(hits: int, misses: int) -> None:
    bound = lower_bound(hits, hits + misses)
    assert 0 <= bound <= (hits / (hits + misses) if hits + misses else 0) + 0.0005
    assert lower_bound(hits + 1, hits + misses + 1) >= bound
    assert lower_bound(2 * hits, 2 * (hits + misses)) >= bound


def test_every_built_in_action_of_a_custom_scenario_needs_no_declaring() -> None:
    found = suggest("acme", "feed", [sample({"level": 1}, action) for action in sorted(BUILT_IN_ACTIONS)])
    assert found.draft["actions"] == []
