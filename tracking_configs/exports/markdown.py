"""A page in Markdown (CommonMark with tables) for the developers who send a scenario's events.

Whatever a tenant wrote stands in it as text: it starts no line, ends no cell, and is no HTML.
"""

from collections.abc import Iterable, Iterator
from urllib.parse import quote

from schemas.topics import raw_topic
from tracking_configs.base import BASE_FIELDS, CONTEXT_FIELDS
from tracking_configs.compiler import required_fields
from tracking_configs.exports import LANGUAGES
from tracking_configs.exports.example import example_event
from tracking_configs.exports.markdown_text import Row, code, escaped, listed, table
from tracking_configs.exports.words import (
    MEANINGS,
    json_text,
    limits_in_words,
    needed_always,
    sentence,
    type_in_words,
)
from tracking_configs.model import TrackingConfig, known_actions, payload_key
from tracking_configs.signals import signals_of
from tracking_configs.template import CUSTOM, FieldSpec


def docs_page(config: TrackingConfig) -> str:
    """The page of one version of a config."""
    blocks = [
        f"# {escaped(config.name)}",
        *_what_it_is(config),
        "## Send an event",
        *_how_to_send(config),
        "## Fields",
        *_fields(config),
        "## Actions",
        *_actions(config),
        "## When an event breaks a rule",
        _enforcement(config),
        "## What is read from an event",
        listed(_signals(config)),
        "## For machines",
        listed(_links(config)),
    ]
    return "\n\n".join(blocks) + "\n"


def _what_it_is(config: TrackingConfig) -> Iterator[str]:
    yield (
        f"Events of tenant {code(config.tenant_id)}, scenario {code(config.scenario_id)}, of type "
        f"{code(config.scenario_type)}. This page describes version {config.version} of its tracking config"
        f"{'.' if config.is_active else ', which has been deleted: events are no longer judged by it.'}"
    )
    if config.description:
        yield f"What it is: {escaped(config.description)}"


def _how_to_send(config: TrackingConfig) -> Iterator[str]:
    example = example_event(config)
    yield (
        "Post it as JSON, here with curl; `MILLRACE_URL` is where the platform answers. A 200 means that the event is "
        "stored. Give it an `event_id` and send it again with the same one when no answer came: it counts once."
    )
    # Without id and time, which the door fills in: the same id twice would count once, even in another scenario.
    sent = {name: value for name, value in example.event.items() if name not in ("event_id", "timestamp")}
    body = json_text(sent, indent=2)
    yield (
        '```sh\ncurl -X POST "${MILLRACE_URL:-http://localhost:8080}/api/v1/behaviors/track" \\\n'
        f"  -H 'content-type: application/json' --data-binary @- <<'EVENT'\n{body}\nEVENT\n```"
    )
    if example.warnings:
        wrong = [f"`{issue.field}`: {escaped(issue.message)}" for issue in example.warnings]
        yield f"This example is not complete, for want of values that nobody but you can know:\n\n{listed(wrong)}"
    topic = raw_topic(config.tenant_id)
    yield (
        'Up to 100 events at once go to `/api/v1/behaviors/track/batch` as `{"events": [...]}`; '
        "`/api/v1/behaviors/validate` answers as `track` would and stores nothing. The same event goes over gRPC, and "
        f"into the Kafka topic `{topic}` with the user's id as key."
    )
    rows = [
        (f"`{name}`", type_in_words(spec), "yes" if spec.required else "", sentence(MEANINGS[name]))
        for name, spec in BASE_FIELDS.items()
    ]
    yield "Every event has these, whatever its scenario:"
    yield table(("Field", "Type", "Required", "Meaning"), rows)
    further = _names(name for name, spec in CONTEXT_FIELDS.items() if not spec.required)
    device = _rule(CONTEXT_FIELDS["device_type"])
    yield f"`context` needs `device_type`, {device}. It may have {further}, strings all of them, and further keys."


def _fields(config: TrackingConfig) -> Iterator[str]:
    place = f"`scenario_data.{payload_key(config.scenario_type)}`"
    if not config.fields:
        yield f"No field is declared: {place} is {'any object' if config.scenario_type == CUSTOM else 'empty'}."
        return
    always = needed_always(config)
    yield f"They stand under {place}. A field that is not listed breaks a rule; null says the same as no field."
    header = ("Field", "Type", "Rule", "Required for", "Description", "Default")
    yield table(header, [_field_row(spec, spec.field_name in always) for spec in config.fields])


def _field_row(spec: FieldSpec, always: bool) -> Row:
    default = "" if spec.default is None else code(json_text(spec.default))
    needed = "every action" if always else _names(spec.required_for)
    return f"`{spec.field_name}`", type_in_words(spec), _rule(spec), needed, escaped(spec.description), default


def _rule(spec: FieldSpec) -> str:
    rules = [limits_in_words(spec)]
    if spec.pattern is not None:
        rules.append(f"a match of {code(spec.pattern)}")
    if spec.enum_values is not None:
        rules.append("one of " + ", ".join(code(json_text(value)) for value in spec.enum_values))
    aliases = [f"{code(json_text(alias))} for {code(json_text(own))}" for alias, own in spec.enum_aliases.items()]
    rules.append(f"also taken: {', '.join(aliases)}" if aliases else "")
    return "; ".join(filter(None, rules))


def _actions(config: TrackingConfig) -> Iterator[str]:
    signals = signals_of(config)
    yield "The weight is what an event of the action adds to an item in hot lists; a negative one takes away."
    rows = [
        (
            f"`{action}`",
            f"{signals.weights[action]:g}",
            "yes" if action in signals.positive_actions else "",
            _names(required_fields(config, action)),
        )
        for action in dict.fromkeys([*config.actions, *sorted(known_actions(config))])
    ]
    yield table(("Action", "Weight", "Positive", "Requires"), rows)


def _enforcement(config: TrackingConfig) -> str:
    base = "An event whose own fields are wrong, those outside `scenario_data`, is refused in any case. "
    if config.enforcement == "reject":
        return base + (
            "This scenario refuses one that breaks a rule of this page, too: HTTP answers 400 and gRPC "
            "INVALID_ARGUMENT, each with what is wrong in `errors`; a raw Kafka record goes to the dead letters."
        )
    return base + (
        "One that breaks a rule of this page is taken, and stored with what is wrong in `validation_warnings`; the "
        "answer carries them, too."
    )


def _signals(config: TrackingConfig) -> Iterator[str]:
    yield f"A session ends after {config.session_gap_min} minutes without an event."
    yield f"In hot lists an event counts half after {config.hot_half_life_h:g} hours."
    if config.dwell:
        unit = "seconds" if config.dwell.unit == "s" else "milliseconds"
        yield f"How long a user stayed: `{config.dwell.field}`, in {unit}."
    if config.completion_field:
        yield f"Which share of an item was consumed: `{config.completion_field}`, 0 to 1."
    if config.category_fields:
        yield f"The item's category: the first of {_names(config.category_fields)} that an event has."
    yield _positive(config)


def _positive(config: TrackingConfig) -> str:
    bounds = []
    if config.positive.min_completion is not None:
        bounds.append(f"less than {config.positive.min_completion:g} of the item was consumed")
    if config.positive.min_dwell_s is not None:
        bounds.append(f"the user stayed less than {config.positive.min_dwell_s:g} s")
    unless = f", unless it says that {' or that '.join(bounds)}" if bounds else ""
    return f"An event of a positive action says that the user liked the item{unless}."


def _links(config: TrackingConfig) -> Iterator[str]:
    root = f"/api/v1/tracking-configs/{config.tenant_id}/{quote(config.scenario_id, safe='')}"
    yield f"[JSON Schema of an event]({root}/schema.json)"
    yield f"[Avro schema of an event]({root}/schema.avsc)"
    yield f"Types for {', '.join(f'[{language}]({root}/types?lang={language})' for language in LANGUAGES)}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
