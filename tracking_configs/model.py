"""A tracking config: what the events of one tenant's scenario carry, and say of interest (CONTRACTS §3).

Checked by `checks.py`; made from a template by `from_template.py`.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from schemas.actions import SKIP
from tracking_configs.errors import InvalidConfigError, Problem
from tracking_configs.interest import Dwell, Positive, RecallMix
from tracking_configs.template import CUSTOM, CUSTOM_PAYLOAD_KEY, SKIP_WEIGHT, Template, load_templates
from tracking_configs.template import FieldSpec as FieldSpec

DECLARED_WEIGHT: Final = 1.0  # of an action that only a config knows
DEFAULT_HOT_HALF_LIFE_H: Final = 24.0
DEFAULT_SESSION_GAP_MIN: Final = 30
DWELL_TYPES: Final = ("integer", "number")  # of a field that may mean dwell time, completion, a category
COMPLETION_TYPE: Final = "number"
CATEGORY_TYPE: Final = "string"


class ConfigDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a caller says of a config; the service adds version and times.

    `actions` are further actions: those of the scenario_type's template belong to it anyway. What is left out of
    the parts from `weights` on is as the template has it.
    """

    tenant_id: str
    scenario_id: str
    scenario_type: str
    name: str
    description: str = ""
    required_fields: tuple[FieldSpec, ...] = ()
    optional_fields: tuple[FieldSpec, ...] = ()
    actions: tuple[str, ...] = ()
    enforcement: str = "warn"
    weights: dict[str, float] = {}
    positive: Positive | UnsetType = UNSET
    hot_half_life_h: float | UnsetType = UNSET
    session_gap_min: int | UnsetType = UNSET
    dwell: Dwell | UnsetType | None = UNSET
    completion_field: str | UnsetType | None = UNSET
    category_fields: tuple[str, ...] | UnsetType = UNSET
    recall_mix: RecallMix | UnsetType = UNSET


class TrackingConfig(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One immutable version of a config, complete: it needs no template to be understood.

    Times are ms UTC: `created_at` of version 1, `updated_at` of this one; `author` and `reason` say who made this
    version, and why. `is_active` is False once it is deleted. `weights` has every action of the scenario's list.
    """

    tenant_id: str
    scenario_id: str
    scenario_type: str
    name: str
    description: str = ""
    required_fields: tuple[FieldSpec, ...] = ()
    optional_fields: tuple[FieldSpec, ...] = ()
    actions: tuple[str, ...] = ()
    enforcement: str = "warn"
    weights: dict[str, float] = {}
    positive: Positive = Positive()
    hot_half_life_h: float = DEFAULT_HOT_HALF_LIFE_H
    session_gap_min: int = DEFAULT_SESSION_GAP_MIN
    dwell: Dwell | None = None
    completion_field: str | None = None
    category_fields: tuple[str, ...] = ()
    recall_mix: RecallMix = {}
    version: int = 1
    is_active: bool = True
    created_at: int = 0
    updated_at: int = 0
    author: str = ""
    reason: str = ""

    @property
    def key(self) -> str:
        """`tenant/scenario`: the key of the change topic. A tenant has no slash, so it splits back exactly."""
        return f"{self.tenant_id}/{self.scenario_id}"

    @property
    def fields(self) -> tuple[FieldSpec, ...]:
        return self.required_fields + self.optional_fields


def payload_key(scenario_type: str) -> str:
    """The key under `scenario_data` that holds this scenario's payload."""
    return CUSTOM_PAYLOAD_KEY if scenario_type == CUSTOM else f"{scenario_type}_data"


def known_actions(config: TrackingConfig | ConfigDraft) -> frozenset[str]:
    """The scenario's list: its template's actions, or every built-in one where it is custom, and the declared."""
    templates = load_templates()
    template = templates.get(config.scenario_type)
    lists = [template.actions] if template else [each.actions for each in templates.values()]
    return frozenset(config.actions).union(*lists, {SKIP})


def draft_of(config: TrackingConfig) -> ConfigDraft:
    """What a caller would say to get this config."""
    return ConfigDraft(**{name: getattr(config, name) for name in ConfigDraft.__struct_fields__})


def config_of(
    draft: ConfigDraft,
    *,
    version: int,
    created_at: int,
    updated_at: int,
    author: str = "",
    reason: str = "",
    is_active: bool = True,
) -> TrackingConfig:
    """The draft as one version of a config: what it leaves out is taken from its template.

    What stands in required_fields is required. Of the template's field names only those are taken which the draft
    declares with a fitting type.
    """
    given = {name: getattr(draft, name) for name in ConfigDraft.__struct_fields__}
    required = tuple(msgspec.structs.replace(field, required=True) for field in draft.required_fields)
    declared = {field.field_name: field.field_type for field in required + draft.optional_fields}
    inherited = _inherited(load_templates().get(draft.scenario_type), declared)
    parts = given | {name: each for name, each in inherited.items() if given[name] is UNSET}
    return TrackingConfig(
        **parts
        | {
            "required_fields": required,
            "weights": weights_of(draft),
            "version": version,
            "is_active": is_active,
            "created_at": created_at,
            "updated_at": updated_at,
            "author": author,
            "reason": reason,
        }
    )


def _inherited(template: Template | None, declared: Mapping[str, str]) -> dict[str, Any]:
    if template is None:
        return {
            "positive": Positive(),
            "hot_half_life_h": DEFAULT_HOT_HALF_LIFE_H,
            "session_gap_min": DEFAULT_SESSION_GAP_MIN,
            "dwell": None,
            "completion_field": None,
            "category_fields": (),
            "recall_mix": {},
        }
    dwell, completion = template.dwell, template.completion_field
    return {
        "positive": template.positive,
        "hot_half_life_h": template.hot_half_life_h,
        "session_gap_min": template.session_gap_min,
        "dwell": dwell if dwell and declared.get(dwell.field) in DWELL_TYPES else None,
        "completion_field": completion if completion and declared.get(completion) == COMPLETION_TYPE else None,
        "category_fields": tuple(name for name in template.category_fields if declared.get(name) == CATEGORY_TYPE),
        "recall_mix": template.recall_mix,
    }


def weights_of(draft: ConfigDraft) -> dict[str, float]:
    """The weight of every action of the scenario's list."""
    template = load_templates().get(draft.scenario_type)
    listed: Mapping[str, float] = template.actions if template else {SKIP: SKIP_WEIGHT}
    return {**dict.fromkeys(draft.actions, DECLARED_WEIGHT), **listed, **draft.weights}


encode_config = msgspec.json.Encoder().encode
decode_config = msgspec.json.Decoder(TrackingConfig).decode


def parse_draft(body: Any) -> ConfigDraft:
    """A draft from plain values. Raises InvalidConfigError for an unknown key or a value of the wrong type."""
    try:
        return msgspec.convert(body, ConfigDraft)
    except msgspec.ValidationError as error:
        raise InvalidConfigError([problem_of(error)]) from None


def problem_of(error: msgspec.ValidationError, where: str = "") -> Problem:
    """msgspec's `message - at `$.path`` as a problem with a path below `where`."""
    message, _, path = str(error).partition(" - at `$")
    place = path.rstrip("`").removeprefix(".")
    return Problem(f"{where}.{place}" if where and place and not place.startswith("[") else where + place, message)
