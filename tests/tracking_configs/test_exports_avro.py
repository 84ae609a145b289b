"""fastavro takes every config's schema, and writes and reads its example event without a change."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import fastavro
import pytest
from hypothesis import HealthCheck, given, settings

from tests.tracking_configs.exports_strategies import keyword_config, nasty_configs
from tests.tracking_configs.factories import make_config, make_field, template_config
from tracking_configs.exports.avro import event_avro
from tracking_configs.exports.example import example_event
from tracking_configs.model import TrackingConfig
from tracking_configs.template import load_templates


def there_and_back(schema: Any, event: dict[str, Any]) -> Any:
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, schema, event)
    buffer.seek(0)
    return as_sent(fastavro.schemaless_reader(buffer, schema, None))


def as_sent(value: Any) -> Any:
    """Null says the same as no field; a time is its milliseconds."""
    if isinstance(value, dict):
        return {key: as_sent(each) for key, each in value.items() if each is not None}
    if isinstance(value, datetime):
        return (value - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)
    return value


def round_trips(config: TrackingConfig) -> None:
    event = example_event(config).event
    schema = fastavro.parse_schema(event_avro(config))
    assert there_and_back(schema, event) == event


@pytest.mark.parametrize("template_id", load_templates())
def test_the_example_of_a_template_comes_back_as_it_was(template_id: str) -> None:
    config = template_config(template_id)
    schema = fastavro.parse_schema(event_avro(config))
    example = load_templates()[template_id].example
    assert there_and_back(schema, example) == example


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(nasty_configs(with_patterns=False))
def test_so_does_the_example_of_any_config(config: TrackingConfig) -> None:
    round_trips(config)


def test_names_of_every_language_s_keywords_are_taken() -> None:
    round_trips(keyword_config())


def payload_types(*fields: Any, **parts: Any) -> dict[str, Any]:
    """The Avro type of each declared field."""
    schema = event_avro(make_config(fields=list(fields), **parts))
    (data,) = [field["type"] for field in schema["fields"] if field["name"] == "scenario_data"]
    record = data[1] if isinstance(data, list) else data
    return {field["name"]: field["type"] for field in record["fields"][0]["type"]["fields"]}


def test_a_field_is_nullable_unless_every_action_needs_it() -> None:
    types = payload_types(
        make_field("always", "integer", required=True),
        make_field("often", "integer", required=True, required_for=("play",)),
    )
    assert types == {"always": "long", "often": ["null", "long"]}


def test_an_enum_is_one_in_avro_where_avro_can_spell_it_and_nothing_else_is_taken() -> None:
    types = payload_types(
        make_field("spelt", "string", required=True, enum_values=("low", "HIGH_2")),
        make_field("unspelt", "string", required=True, enum_values=("low", "2K")),
        make_field("aliased", "string", required=True, enum_values=("low",), enum_aliases={"niedrig": "low"}),
        make_field("numbers", "integer", required=True, enum_values=(1, 2)),
    )
    assert types.pop("spelt")["symbols"] == ["low", "HIGH_2"]
    assert types == {"unspelt": "string", "aliased": "string", "numbers": "long"}


def test_arrays_and_objects_have_the_types_of_their_items() -> None:
    types = payload_types(
        make_field("tags", "array", required=True, item_type="string"),
        make_field("shares", "object", required=True, item_type="number"),
        make_field("anything", "array", required=True),
    )
    assert types["tags"] == {"type": "array", "items": "string"}
    assert types["shares"] == {"type": "map", "values": "double"}
    assert types["anything"]["items"] == ["null", "boolean", "long", "double", "string"]


@pytest.mark.parametrize(
    ("tenant", "scenario", "namespace"),
    [
        ("acme", "vlog_feed", "millrace.acme.vlog_feed"),
        ("a-b", "feed", "millrace.a_b_35c2229e.feed"),
        ("acme", "24h", "millrace.acme._24h_20edf271"),
    ],
)
def test_the_namespace_names_tenant_and_scenario(tenant: str, scenario: str, namespace: str) -> None:
    assert event_avro(make_config(tenant_id=tenant, scenario_id=scenario))["namespace"] == namespace
