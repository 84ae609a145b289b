"""What a config asks of an event, in words: the sentences of the page, of comments and of Avro docs."""

import json
from collections.abc import Sequence
from typing import Any, Final

from tracking_configs.compiler import required_fields
from tracking_configs.exports.naming import utf16_escape
from tracking_configs.model import TrackingConfig, known_actions
from tracking_configs.template import FieldSpec

MEANINGS: Final = {
    "event_id": "Counts once, however often it is sent; made by the platform where it is absent",
    "tenant_id": "The tenant; raw Kafka records need it",
    "scenario_id": "The scenario",
    "user_id": "Who acted",
    "item_id": "On what",
    "action_type": "What the user did",
    "timestamp": "When, in milliseconds since the Unix epoch, UTC; over HTTP and gRPC the time of arrival where it is"
    " absent, raw Kafka records need it",
    "context": "Where the user was",
    "experiment_id": "The experiment that the user takes part in",
    "experiment_group": "The user's arm of it",
    "position": "The rank at which the item was shown, from 0",
    "scenario_data": "What this scenario's events carry",
    "extra_data": "Anything else, kept as it is",
}
CONTEXT_MEANINGS: Final = {
    "device_type": "The kind of device",
    "os": "Operating system",
    "location": "Place",
    "ip": "Address of the client",
    "scene": "Where in the product",
    "request_id": "The recommendation that the item came from",
}


def needed_always(config: TrackingConfig) -> frozenset[str]:
    """The fields that an event of any action must carry."""
    return frozenset.intersection(*(frozenset(required_fields(config, action)) for action in known_actions(config)))


def type_in_words(spec: FieldSpec) -> str:
    """As `integer`, or `array of string`."""
    return f"{spec.field_type} of {spec.item_type}" if spec.item_type else spec.field_type


def limits_in_words(spec: FieldSpec) -> str:
    """As `2 to 5 characters`; empty where nothing but the type, the pattern or the enum bounds a value."""
    unit = " characters" if spec.field_type == "string" else " items"
    return _between(spec.min_value, spec.max_value) or _between(spec.min_length, spec.max_length, unit)


def values_in_words(values: Sequence[Any]) -> str:
    listed = ", ".join(json_text(value) for value in values)
    return f"one of {listed}" if len(values) > 1 else f"always {listed}"


def comment_on(spec: FieldSpec, *, always: bool) -> str:
    """What a developer must know of a scenario's field, in one paragraph."""
    rules = [type_in_words(spec), limits_in_words(spec), f"with a match of {spec.pattern}" if spec.pattern else ""]
    sentences = [", ".join(filter(None, rules))]
    if always or spec.required_for:
        sentences.append("required" if always else f"required for {', '.join(spec.required_for)}")
    sentences.append(spec.description)
    if spec.default is not None:
        sentences.append(f"default {json_text(spec.default)}")
    return " ".join(map(sentence, filter(None, sentences)))


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON in which nothing is invisible: what is not printable is escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return "".join(c if c.isprintable() or c == "\n" else utf16_escape(c) for c in text)


def _between(low: float | None, high: float | None, unit: str = "") -> str:
    if low is None:
        return "" if high is None else f"at most {high}{unit}"
    return f"at least {low}{unit}" if high is None else f"{low} to {high}{unit}"
