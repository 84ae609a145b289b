"""What judging an event answers: the accepted event, or the reasons it was rejected."""

from enum import StrEnum
from typing import Self

import msgspec


class Code(StrEnum):
    """The one published list of error and warning codes; docs/codes.md is generated from it."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> Self:
        code = str.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    # The value as a whole.
    EMPTY = "empty", "the value has no bytes (on Kafka: a tombstone)"
    INVALID_JSON = "invalid_json", "the value is not JSON in UTF-8"
    NOT_AN_OBJECT = "not_an_object", "the value is JSON, but not an object"
    TOO_LARGE = "too_large", "the event is larger than 64 KiB"
    TOO_DEEP = "too_deep", "the event is nested more than 16 deep"
    # A field, of the base or of the scenario.
    MISSING = "missing", "a required field is absent or null"
    WRONG_TYPE = "wrong_type", "a field has another type than declared"
    OUT_OF_RANGE = "out_of_range", "a number is outside its minimum and maximum"
    TOO_SHORT = "too_short", "a string or array is shorter than allowed"
    TOO_LONG = "too_long", "a string or array is longer than allowed"
    PATTERN_MISMATCH = "pattern_mismatch", "a string does not match its pattern"
    NOT_IN_ENUM = "not_in_enum", "a value is none of those listed"
    UNDECLARED_FIELD = "undeclared_field", "the scenario does not declare this field"
    # The base of an event.
    INVALID_TENANT = "invalid_tenant", "a tenant id is malformed or reserved"
    TENANT_MISMATCH = "tenant_mismatch", "the event names another tenant than its topic or key"
    TENANT_UNKNOWN = "tenant_unknown", "this tenant does not exist here, and may not be made"
    UNKNOWN_ACTION = "unknown_action", "the action is in no template's list and not declared by the config"
    TIMESTAMP_TOO_OLD = "timestamp_too_old", "the event is older than the year 2000"
    TIMESTAMP_IN_FUTURE = "timestamp_in_future", "the event is more than 24 h in the future"
    AMBIGUOUS_SCENARIO_DATA = "ambiguous_scenario_data", "scenario_data has not exactly one known key"
    UNKNOWN_FIELD = (
        "unknown_field",
        "a field of the event, a key of scenario_data or a part of a call that there is not",
    )
    EVENT_ID_MISSING = "event_id_missing", "a raw Kafka event had no event_id; one was made from its position"
    USER_ERASED = "user_erased", "the user was erased, and the event is from before, or later ones are refused"
    # The event against its tracking config.
    NO_TRACKING_CONFIG = "no_tracking_config", "no tracking config exists for this tenant and scenario"
    ACTION_NOT_IN_SCENARIO = "action_not_in_scenario", "the action is not in this scenario's list"
    SCENARIO_DATA_MISMATCH = "scenario_data_mismatch", "the payload is that of another template"
    MORE_WARNINGS = "more_warnings", "there were more than are listed"
    # Nothing is wrong with the event.
    BROKER_UNAVAILABLE = "broker_unavailable", "Kafka did not take the event in time; send it again"
    NOT_STORABLE = "not_storable", "the event was accepted, but a store refused its row"


class Issue(msgspec.Struct, frozen=True):
    """One error or warning. `field` is a dotted path from the top of the event, "" for the whole."""

    field: str
    code: Code
    message: str


class Rejected(msgspec.Struct, frozen=True):
    """An event that is not taken, and everything that is wrong with it.

    `scenario_id` is the one it names, None where it names none; `config_version` that of the config which judged it,
    0 for none.
    """

    errors: tuple[Issue, ...]
    event_id: str | None = None
    scenario_id: str | None = None
    config_version: int = 0
