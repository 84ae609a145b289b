"""Configs made from templates, and the plain JSON they are answered as."""

from typing import Any

import msgspec
import pytest

from schemas.actions import BUILT_IN_ACTIONS
from tests.tracking_configs.factories import make_config, make_field, template_config
from tracking_configs.checks import check_config
from tracking_configs.compiler import required_fields
from tracking_configs.errors import InvalidConfigError
from tracking_configs.from_template import from_template
from tracking_configs.interest import Positive
from tracking_configs.model import config_of, decode_config, draft_of, encode_config, known_actions
from tracking_configs.template import FieldSpec, load_templates

VIDEO = load_templates()["video"]


def field_of(name: str, **overrides: Any) -> FieldSpec:
    draft = from_template(VIDEO, "acme", "feed", "Feed", overrides)
    return {field.field_name: field for field in draft.required_fields + draft.optional_fields}[name]


def test_a_config_from_a_template_has_its_fields_and_actions() -> None:
    draft = from_template(VIDEO, "acme", "feed", "Feed")
    assert [field.field_name for field in draft.required_fields] == ["duration", "watch_duration", "completion_rate"]
    assert len(draft.optional_fields) == 6
    assert draft.actions == tuple(VIDEO.actions)


def test_an_override_replaces_parts_of_a_field() -> None:
    field = field_of("duration", fields={"duration": {"max_value": 600}})
    assert (field.min_value, field.max_value, field.required_for) == (1, 600, ("play_end",))


def test_an_override_may_make_a_field_optional_or_required() -> None:
    assert not field_of("duration", fields={"duration": {"required_for": []}}).required
    assert field_of("buffer_time", fields={"buffer_time": {"required_for": ["play"]}}).required


def test_an_override_may_add_a_field_and_actions() -> None:
    field = field_of("mood", fields={"mood": {"field_type": "string"}}, actions=["binge"])
    assert (field.field_type, field.required) == ("string", False)
    draft = from_template(VIDEO, "acme", "feed", "Feed", {"actions": ["binge", "play"]})
    assert draft.actions == (*VIDEO.actions, "binge")


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"feilds": {}}, "overrides.feilds"),
        ({"fields": []}, "overrides.fields"),
        ({"fields": {"duration": 5}}, "overrides.fields.duration"),
        ({"fields": {"duration": {"minimum": 5}}}, "overrides.fields.duration: .*`minimum`"),
        ({"fields": {"duration": {"min_value": "5"}}}, r"overrides.fields.duration.min_value"),
        ({"fields": {"mood": {}}}, "overrides.fields.mood: .*`field_type`"),
        ({"fields": {"duration": {"field_name": "length"}}}, "overrides.fields.duration.field_name"),
        ({"actions": "binge"}, "overrides.actions"),
    ],
)
def test_a_bad_override_is_named(overrides: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidConfigError, match=named):
        from_template(VIDEO, "acme", "feed", "Feed", overrides)


def test_a_field_required_for_no_action_in_particular_is_required_for_each() -> None:
    config = make_config(fields=[make_field("level", "integer", required=True)])
    assert required_fields(config, "impression") == required_fields(config, "play") == ("level",)


def test_a_field_is_required_only_for_the_actions_named() -> None:
    config = template_config("ecommerce")
    assert required_fields(config, "add_cart") == ("price", "currency")
    assert required_fields(config, "view") == ()


def test_a_custom_scenario_knows_every_built_in_action_and_its_own() -> None:
    assert known_actions(make_config(actions=["spin"])) == BUILT_IN_ACTIONS | {"spin"}


def test_a_config_reads_back_from_its_json() -> None:
    config = template_config("music", fields={"bpm": {"default": {"$any": 2**70}}})
    assert decode_config(encode_config(config)) == config


def test_the_json_of_a_field_has_the_parts_of_the_contract() -> None:
    field = msgspec.to_builtins(template_config("video"))["required_fields"][0]
    named = """field_name field_type required required_for description min_value max_value min_length max_length
    pattern enum_values item_type default"""
    assert field.keys() == {*named.split(), "enum_aliases"}
    assert field["required"] is True


def test_overrides_reach_what_a_scenario_says_of_interest() -> None:
    config = template_config(
        "video",
        None,
        actions={"binge": 7},
        weights={"like": 9},
        positive={"min_completion": 0.8},
        hot_half_life_h=2,
        session_gap_min=5,
        dwell=None,
        category_fields=["video_quality"],
        recall_mix={"hot": {"quota": 5, "weight": 0.9}},
    )
    assert (config.weights["binge"], config.weights["like"], config.weights["play"]) == (7, 9, 1)
    assert config.positive == Positive(actions=VIDEO.positive.actions, min_completion=0.8)
    assert (config.hot_half_life_h, config.session_gap_min) == (2, 5)
    assert (config.dwell, config.completion_field, config.category_fields) == (
        None,
        "completion_rate",
        ("video_quality",),
    )
    assert config.recall_mix["hot"].quota == 5
    assert config.recall_mix["item_cf"] == VIDEO.recall_mix["item_cf"]


def test_null_takes_a_field_away_and_what_referred_to_it() -> None:
    config = template_config("video", None, fields={"watch_duration": None, "completion_rate": None})
    assert "watch_duration" not in {field.field_name for field in config.fields}
    assert (config.dwell, config.completion_field) == (None, None)


def test_a_config_says_all_of_itself_again() -> None:
    config = template_config("video", None, hot_half_life_h=2, dwell=None)
    again = config_of(draft_of(config), version=1, created_at=config.created_at, updated_at=config.updated_at)
    assert again == config


def test_a_field_of_another_type_does_not_inherit_the_templates_meaning() -> None:
    field: dict[str, Any] = {"field_type": "integer", "min_value": None, "max_value": None, "required_for": []}
    config = template_config("video", None, fields={"completion_rate": field})
    assert config.completion_field is None
    check_config(draft_of(config))
