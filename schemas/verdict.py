"""What judging an event answers: the accepted event, or the reasons it was rejected."""

from enum import StrEnum

import msgspec


class Code(StrEnum):
    """The one published list of error and warning codes; docs/codes.md is generated from it."""

    # The value as a whole.
    EMPTY = "empty"
    INVALID_JSON = "invalid_json"
    NOT_AN_OBJECT = "not_an_object"
    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    # A field, of the base or of the scenario.
    MISSING = "missing"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    PATTERN_MISMATCH = "pattern_mismatch"
    NOT_IN_ENUM = "not_in_enum"
    UNDECLARED_FIELD = "undeclared_field"
    # The base of an event.
    INVALID_TENANT = "invalid_tenant"
    TENANT_MISMATCH = "tenant_mismatch"
    TENANT_UNKNOWN = "tenant_unknown"
    UNKNOWN_ACTION = "unknown_action"
    TIMESTAMP_TOO_OLD = "timestamp_too_old"
    TIMESTAMP_IN_FUTURE = "timestamp_in_future"
    AMBIGUOUS_SCENARIO_DATA = "ambiguous_scenario_data"
    UNKNOWN_FIELD = "unknown_field"
    EVENT_ID_MISSING = "event_id_missing"
    # The event against its tracking config.
    NO_TRACKING_CONFIG = "no_tracking_config"
    ACTION_NOT_IN_SCENARIO = "action_not_in_scenario"
    SCENARIO_DATA_MISMATCH = "scenario_data_mismatch"
    MORE_WARNINGS = "more_warnings"


class Issue(msgspec.Struct, frozen=True):
    """One error or warning. `field` is a dotted path from the top of the event, "" for the whole."""

    field: str
    code: Code
    message: str


class Rejected(msgspec.Struct, frozen=True):
    """An event that is not taken, and everything that is wrong with it."""

    errors: tuple[Issue, ...]
    event_id: str | None = None
