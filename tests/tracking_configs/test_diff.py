"""What a new version changes for events: each kind of change, what is said of it, and an event that flips."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
import pytest

from schemas.verdict import Rejected
from tests.tracking_configs.factories import at_door, codes, encode, make_config, make_field, make_registry
from tracking_configs.diff import Change, Verdict, compare
from tracking_configs.interest import Dwell, Positive, SourceShare
from tracking_configs.judge import Judge
from tracking_configs.model import FieldSpec, TrackingConfig, payload_key

COMPATIBLE, WIDENING, BREAKING = Verdict
BASE: Final = {"event_id": "e", "user_id": "u", "item_id": "i", "scenario_id": "feed", "context": {"device_type": "pc"}}


class Outcome(NamedTuple):
    """What became of an event: clean, warned or rejected, and why."""

    word: str
    why: list[tuple[str, str]]


def outcomes_under(config: TrackingConfig) -> Callable[[dict[str, Any]], Outcome]:
    judge = Judge(make_registry(config))

    def outcome(event: dict[str, Any]) -> Outcome:
        verdict = judge.judge(encode(BASE | event), at_door())
        if isinstance(verdict, Rejected):
            return Outcome("rejected", sorted(codes(verdict.errors)))
        return Outcome("warned" if verdict.validation_warnings else "clean", sorted(codes(verdict.validation_warnings)))

    return outcome


def an_event(action: str = "click", scenario_type: str = "custom", /, **payload: Any) -> dict[str, Any]:
    return {"action_type": action, "scenario_data": {payload_key(scenario_type): payload}}


def declaring(*fields: FieldSpec, **parts: Any) -> TrackingConfig:
    """A custom scenario of these fields and another, so that it is never free."""
    return make_config(fields=[*fields, make_field("other", "boolean")], **parts)


def x(field_type: str, **parts: Any) -> TrackingConfig:
    return declaring(make_field("x", field_type, **parts))


def replaced(config: TrackingConfig, **parts: Any) -> TrackingConfig:
    return msgspec.structs.replace(config, **parts)


NO_X: Final = declaring()
GONE: Final = replaced(NO_X, is_active=False)
STRICT: Final = declaring(enforcement="reject")
FREE: Final = make_config()
VIDEO: Final = make_config(scenario_type="video", fields=[make_field("x", "integer")])
BARE: Final = make_config(scenario_type="video")  # not free: a template's payload holds declared fields only
BUYING: Final = replaced(VIDEO, actions=("purchase",))
QUALITY: Final[dict[str, Any]] = {"enum_values": ("low", "high"), "enum_aliases": {"hi": "high"}}
ON_PLAY: Final[dict[str, Any]] = {"required": True, "required_for": ("play",)}

WARNS, FINE = ("clean", "warned"), ("warned", "clean")
WORSE: Final = (WARNS, ("clean", "rejected"), ("warned", "rejected"))

# What changes: the old version, the new one, the part x is changed in, a payload, and how it was and is judged.
FIELD_FLIPS: Final[dict[str, tuple[TrackingConfig, TrackingConfig, str, dict[str, Any], tuple[str, str]]]] = {
    "removed": (x("integer"), NO_X, "", {"x": 1}, WARNS),
    "added": (NO_X, x("integer"), "", {"x": 1}, FINE),
    "added as required": (NO_X, x("integer", required=True), "", {}, WARNS),
    "first of a free scenario": (FREE, x("integer"), "", {"y": 1}, WARNS),
    "last of a scenario": (x("integer"), FREE, "", {"y": 1}, FINE),
    "integer to number": (x("integer"), x("number"), ".field_type", {"x": 0.5}, FINE),
    "number to integer": (x("number"), x("integer"), ".field_type", {"x": 0.5}, WARNS),
    "limits of another type": (
        x("integer", min_value=1),
        x("string", min_length=1),
        ".field_type",
        {"x": 5},
        WARNS,
    ),
    "integer to string": (x("integer"), x("string"), ".field_type", {"x": 5}, WARNS),
    "required": (x("string"), x("string", required=True), ".required_for", {}, WARNS),
    "required of other actions": (x("string", **ON_PLAY), x("string", required=True), ".required_for", {}, WARNS),
    "required of fewer actions": (x("string", required=True), x("string", **ON_PLAY), ".required_for", {}, FINE),
    "optional": (x("string", required=True), x("string"), ".required_for", {}, FINE),
    "min_value": (x("integer"), x("integer", min_value=1), ".min_value", {"x": 0}, WARNS),
    "min_value below zero": (x("integer"), x("integer", min_value=-2), ".min_value", {"x": -3}, WARNS),
    "lower min_value": (x("number", min_value=1), x("number", min_value=0.5), ".min_value", {"x": 0.7}, FINE),
    "lower max_value": (x("number", max_value=2), x("number", max_value=1), ".max_value", {"x": 1.5}, WARNS),
    "no max_value": (x("number", max_value=1), x("number"), ".max_value", {"x": 2}, FINE),
    "min_length": (x("string"), x("string", min_length=2), ".min_length", {"x": "a"}, WARNS),
    "lower min_length": (x("array", min_length=2), x("array", min_length=1), ".min_length", {"x": [1]}, FINE),
    "lower max_length": (x("array", max_length=2), x("array", max_length=1), ".max_length", {"x": [1, 2]}, WARNS),
    "higher max_length": (x("string", max_length=1), x("string", max_length=2), ".max_length", {"x": "ab"}, FINE),
    "pattern": (x("string"), x("string", pattern="^a"), ".pattern", {"x": "b"}, WARNS),
    "other pattern": (x("string", pattern="b"), x("string", pattern="^a"), ".pattern", {"x": "b"}, WARNS),
    "no pattern": (x("string", pattern="^a"), x("string"), ".pattern", {"x": "b"}, FINE),
    "enum": (x("string"), x("string", **QUALITY), ".enum_values", {"x": "best"}, WARNS),
    "no enum": (x("string", **QUALITY), x("string"), ".enum_values", {"x": "best"}, FINE),
    "limit for an enum": (x("string", **QUALITY), x("string", max_length=3), ".enum_values", {"x": "high"}, WARNS),
    "value removed": (
        x("integer", enum_values=(1, 2)),
        x("integer", enum_values=(2,)),
        ".enum_values",
        {"x": 1},
        WARNS,
    ),
    "value added": (x("integer", enum_values=(1,)), x("integer", enum_values=(1, 3)), ".enum_values", {"x": 3}, FINE),
    "alias removed": (
        x("string", **QUALITY),
        x("string", enum_values=QUALITY["enum_values"]),
        ".enum_aliases",
        {"x": "hi"},
        WARNS,
    ),
    "alias added": (
        x("string", enum_values=QUALITY["enum_values"]),
        x("string", **QUALITY),
        ".enum_aliases",
        {"x": "hi"},
        FINE,
    ),
    "item_type": (x("array"), x("array", item_type="string"), ".item_type", {"x": [1]}, WARNS),
    "no item_type": (x("object", item_type="string"), x("object"), ".item_type", {"x": {"a": 1}}, FINE),
    "items to numbers": (
        x("array", item_type="integer"),
        x("array", item_type="number"),
        ".item_type",
        {"x": [0.5]},
        FINE,
    ),
    "items to integers": (
        x("array", item_type="number"),
        x("array", item_type="integer"),
        ".item_type",
        {"x": [0.5]},
        WARNS,
    ),
}


@pytest.mark.parametrize(("old", "new", "part", "payload", "flip"), FIELD_FLIPS.values(), ids=FIELD_FLIPS)
def test_a_change_of_a_field_flips_an_event(
    old: TrackingConfig, new: TrackingConfig, part: str, payload: dict[str, Any], flip: tuple[str, str]
) -> None:
    check_flip(old, new, f"fields.x{part}", an_event(**payload), flip)


CONFIG_FLIPS: Final[dict[str, tuple[TrackingConfig, TrackingConfig, str, dict[str, Any], tuple[str, str]]]] = {
    "action removed": (BUYING, VIDEO, "actions", an_event("purchase", "video"), WARNS),
    "action added": (VIDEO, BUYING, "actions", an_event("purchase", "video"), FINE),
    "own action removed": (declaring(actions=["spin"]), NO_X, "actions", an_event("spin"), ("clean", "rejected")),
    "own action added": (NO_X, declaring(actions=["spin"]), "actions", an_event("spin"), ("rejected", "clean")),
    "last field of a template": (VIDEO, BARE, "fields.x", an_event("click", "video", x=1), WARNS),
    "first field of a template": (BARE, VIDEO, "fields.x", an_event("click", "video", x=1), FINE),
    "warn to reject": (NO_X, STRICT, "enforcement", an_event(y=1), ("warned", "rejected")),
    "reject to warn": (STRICT, NO_X, "enforcement", an_event(y=1), ("rejected", "warned")),
    "type": (VIDEO, replaced(VIDEO, scenario_type="news"), "scenario_type", an_event("click", "video", x=1), WARNS),
    "deleted": (NO_X, GONE, "is_active", an_event(), WARNS),
    "deleted with an action": (
        declaring(actions=["spin"]),
        replaced(declaring(actions=["spin"]), is_active=False),
        "is_active",
        an_event("spin"),
        ("clean", "rejected"),
    ),
    "back again": (GONE, NO_X, "is_active", an_event(), FINE),
    "back again and rejecting": (GONE, STRICT, "is_active", an_event(y=1), ("warned", "rejected")),
}


@pytest.mark.parametrize(("old", "new", "field", "event", "flip"), CONFIG_FLIPS.values(), ids=CONFIG_FLIPS)
def test_a_change_of_a_config_flips_an_event(
    old: TrackingConfig, new: TrackingConfig, field: str, event: dict[str, Any], flip: tuple[str, str]
) -> None:
    check_flip(old, new, field, event, flip)


def check_flip(
    old: TrackingConfig, new: TrackingConfig, field: str, event: dict[str, Any], flip: tuple[str, str]
) -> None:
    """The change stands under that field alone, and the event is judged otherwise as its verdict says."""
    assert (outcomes_under(old)(event).word, outcomes_under(new)(event).word) == flip
    change = compare(old, new)
    expected = BREAKING if flip in WORSE else WIDENING
    judged = {detail.field: detail.verdict for detail in change.details if detail.verdict is not COMPATIBLE}
    assert judged.pop("fields.other", expected) == expected  # it comes and goes where a scenario was or becomes free
    assert judged == {field: expected}
    assert change.verdict == expected


def message(old: TrackingConfig, new: TrackingConfig, field: str) -> str:
    return {detail.field: detail.message for detail in compare(old, new).details}[field]


SENTENCES: Final[list[tuple[TrackingConfig, TrackingConfig, str, str]]] = [
    (x("integer"), NO_X, "fields.x", "events that carry it were fine and will warn"),
    (
        NO_X,
        x("integer", required=True, required_for=("play_end", "click")),
        "fields.x",
        "events that carry it warned and are fine from now on; "
        "events of click and play_end without it were fine and will warn",
    ),
    (
        x("integer"),
        x("integer", required=True),
        "fields.x.required_for",
        "events without it were fine and will warn",
    ),
    (x("integer"), x("integer", min_value=1), "fields.x.min_value", "values below 1 were fine and will warn"),
    (
        x("number", min_value=0),
        x("number", min_value=0.5),
        "fields.x.min_value",
        "values from 0 but below 0.5 were fine and will warn",
    ),
    (
        x("number", min_value=0, max_value=5),
        x("number", min_value=10, max_value=15),
        "fields.x.min_value",
        "values from 0 up to 5 were fine and will warn",
    ),
    (
        x("number", min_value=0, max_value=5),
        x("number", min_value=10, max_value=15),
        "fields.x.max_value",
        "values from 10 up to 15 warned and are fine from now on",
    ),
    (
        x("string", max_length=9),
        x("string", max_length=4),
        "fields.x.max_length",
        "strings of length above 4 up to 9 were fine and will warn",
    ),
    (
        x("string", **QUALITY),
        x("string", enum_values=("high", "best")),
        "fields.x.enum_values",
        "the values low were fine and will warn; the values best warned and are fine from now on",
    ),
    (
        x("string", **QUALITY),
        x("string", enum_values=("low", "high"), enum_aliases={"hi": "low"}),
        "fields.x.enum_aliases",
        "hi will be stored as another value than before",
    ),
    (x("integer"), x("boolean"), "fields.x.field_type", "values of type integer were fine and will warn"),
    (
        STRICT,
        declaring(make_field("x", "string"), enforcement="reject"),
        "fields.x",
        "events that carry it were rejected and are fine from now on",
    ),
    (
        x("string"),
        declaring(make_field("x", "string", min_length=1), enforcement="reject"),
        "fields.x.min_length",
        "strings of length below 1 were fine and will be rejected",
    ),
    (
        declaring(make_field("x", "string", required=True)),
        declaring(make_field("x", "string", required=True), actions=["spin"]),
        "actions",
        "events of spin were rejected and are fine from now on; they need x",
    ),
    (VIDEO, replaced(VIDEO, actions=("play",)), "actions", "no event is judged otherwise"),
    (NO_X, replaced(NO_X, description="new"), "description", "no event is judged otherwise"),
    (x("string"), x("string", default="a"), "fields.x.default", "no event is judged otherwise"),
    (x("string"), x("string", min_length=0), "fields.x.min_length", "no event is judged otherwise"),
    (
        VIDEO,
        replaced(VIDEO, weights=VIDEO.weights | {"like": 4.0}),
        "weights",
        "no event is judged otherwise; what is derived from events changes from now on: "
        'the weights of actions in hot lists, {"like":3.0} becomes {"like":4.0}',
    ),
    (
        VIDEO,
        replaced(VIDEO, dwell=Dwell(field="x", unit="s")),
        "dwell",
        "no event is judged otherwise; what is derived from events changes from now on: "
        'the field that says how long a user stayed, null becomes {"field":"x","unit":"s"}',
    ),
]


@pytest.mark.parametrize(("old", "new", "field", "sentence"), SENTENCES)
def test_says_what_will_happen_to_which_events(
    old: TrackingConfig, new: TrackingConfig, field: str, sentence: str
) -> None:
    assert message(old, new, field) == sentence


@pytest.mark.parametrize(
    "part",
    [
        {"name": "Another"},
        {"weights": {}},
        {"positive": Positive(actions=("like",))},
        {"hot_half_life_h": 1.0},
        {"session_gap_min": 5},
        {"completion_field": "x"},
        {"category_fields": ("x",)},
        {"recall_mix": {"hot": SourceShare(quota=7)}},
    ],
    ids=lambda part: next(iter(part)),
)
def test_what_is_derived_from_events_is_listed_and_compatible(part: dict[str, Any]) -> None:
    change = compare(VIDEO, replaced(VIDEO, **part))
    assert [(detail.field, detail.verdict) for detail in change.details] == [(*part, COMPATIBLE)]
    assert change.verdict is COMPATIBLE


def test_the_verdict_is_the_worst_and_details_stand_in_the_order_of_the_config() -> None:
    old = make_config(fields=[make_field("b", "string"), make_field("a", "integer", min_value=1)], actions=["spin"])
    new = make_config(
        name="New",
        fields=[make_field("a", "integer", max_value=9), make_field("c", "string"), make_field("b", "string")],
        enforcement="reject",
        session_gap_min=5,
        weights={"skip": 0.0},
    )
    change = compare(old, new)
    assert [detail.field for detail in change.details] == [
        "name",
        "fields.a.min_value",
        "fields.a.max_value",
        "fields.c",
        "actions",
        "enforcement",
        "weights",
        "session_gap_min",
    ]
    assert change.verdict is BREAKING


def test_what_only_a_new_action_needs_breaks_nothing() -> None:
    new = declaring(make_field("x", "string", required=True, required_for=("spin",)), actions=["spin"])
    assert [(detail.field, detail.verdict) for detail in compare(x("string"), new).details] == [
        ("fields.x.required_for", COMPATIBLE),
        ("actions", WIDENING),
        ("weights", COMPATIBLE),
    ]


def test_what_a_version_says_of_itself_is_no_change() -> None:
    later = replaced(VIDEO, version=2, updated_at=VIDEO.updated_at + 1, author="ada", reason="why not")
    assert compare(VIDEO, later) == Change(COMPATIBLE, ())


def test_a_large_change_has_short_messages() -> None:
    actions = [f"{'a' * 60}{n}" for n in range(200)]
    weights = dict.fromkeys(actions, 2.0)
    long = tuple(f"{'v' * 200}{n}" for n in range(500))
    old = declaring(make_field("x", "string", enum_values=long), make_field("p", "string", pattern="a" * 512))
    new = declaring(
        make_field("x", "string", enum_values=("v",), required=True, required_for=tuple(actions)),
        make_field("p", "string", pattern="b" * 512),
        actions=actions,
        weights=weights,
    )
    for before, after in ((old, new), (new, old)):
        assert all(len(detail.message) < 600 for detail in compare(before, after).details)
