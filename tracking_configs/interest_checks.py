"""What a config may say about interest: weights, positive events, lifetimes, and which fields mean what."""

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import UNSET

from schemas.recall import RECALL_SOURCES
from tracking_configs.errors import Problem
from tracking_configs.interest import Positive, SourceShare
from tracking_configs.model import CATEGORY_TYPE, COMPLETION_TYPE, DWELL_TYPES, ConfigDraft, known_actions, weights_of
from tracking_configs.template import FieldSpec

MAX_WEIGHT: Final = 100.0
MAX_HALF_LIFE_H: Final = 24.0 * 365
MIN_HALF_LIFE_H: Final = 1 / 60
MAX_SESSION_GAP_MIN: Final = 24 * 60
MAX_DWELL_S: Final = 24 * 60 * 60
MAX_CATEGORY_FIELDS: Final = 5
MAX_QUOTA: Final = 1000


def interest_problems(draft: ConfigDraft) -> Iterator[Problem]:
    """What is wrong with the parts that say something about interest; parts left out are right."""
    actions = known_actions(draft)
    fields = {field.field_name: field for field in (*draft.required_fields, *draft.optional_fields)}
    for action, weight in draft.weights.items():
        if action not in actions:
            yield Problem(f"weights.{action[:64]}", "not an action of this scenario: declare it in actions")
        yield from _outside(f"weights.{action[:64]}", weight, -MAX_WEIGHT, MAX_WEIGHT)
    if draft.positive is not UNSET:
        yield from _positive_problems(draft.positive, actions, weights_of(draft))
    if draft.hot_half_life_h is not UNSET:
        yield from _outside("hot_half_life_h", draft.hot_half_life_h, MIN_HALF_LIFE_H, MAX_HALF_LIFE_H)
    if draft.session_gap_min is not UNSET:
        yield from _outside("session_gap_min", draft.session_gap_min, 1, MAX_SESSION_GAP_MIN)
    if draft.dwell is not UNSET and draft.dwell is not None:
        yield from _meaning("dwell.field", draft.dwell.field, fields, *DWELL_TYPES)
    if draft.completion_field is not UNSET and draft.completion_field is not None:
        yield from _meaning("completion_field", draft.completion_field, fields, COMPLETION_TYPE)
    if draft.category_fields is not UNSET:
        yield from _category_problems(draft.category_fields, fields)
    if draft.recall_mix is not UNSET:
        yield from _mix_problems(draft.recall_mix)


def _positive_problems(positive: Positive, actions: frozenset[str], weights: Mapping[str, float]) -> Iterator[Problem]:
    for action in positive.actions:
        if action not in actions:
            yield Problem("positive.actions", f"{action[:64]!r} is not an action of this scenario")
        elif weights.get(action, 0) < 0:
            yield Problem("positive.actions", f"{action!r} has a weight below 0, which says the contrary")
    yield from _outside("positive.min_completion", positive.min_completion, 0, 1)
    yield from _outside("positive.min_dwell_s", positive.min_dwell_s, 0, MAX_DWELL_S)


def _category_problems(names: tuple[str, ...], fields: Mapping[str, FieldSpec]) -> Iterator[Problem]:
    if len(names) > MAX_CATEGORY_FIELDS:
        yield Problem("category_fields", f"{len(names)} are more than {MAX_CATEGORY_FIELDS}")
        return
    for index, name in enumerate(names):
        yield from _meaning(f"category_fields[{index}]", name, fields, CATEGORY_TYPE)


def _mix_problems(mix: Mapping[str, SourceShare]) -> Iterator[Problem]:
    for source, share in mix.items():
        if source not in RECALL_SOURCES:
            known = ", ".join(RECALL_SOURCES)
            yield Problem(f"recall_mix.{source[:64]}", f"there is no such recall source: there are {known}")
        yield from _outside(f"recall_mix.{source[:64]}.quota", share.quota, 0, MAX_QUOTA)
        yield from _outside(f"recall_mix.{source[:64]}.weight", share.weight, 0, MAX_WEIGHT)


def _meaning(where: str, name: str, fields: Mapping[str, FieldSpec], *kinds: str) -> Iterator[Problem]:
    """A part that names a field of the config, which must be of one of those kinds."""
    field = fields.get(name)
    if field is None:
        yield Problem(where, f"names {name[:64]!r}, which is not a field of the config")
    elif field.field_type not in kinds:
        yield Problem(where, f"names {name!r}, which is {field.field_type}: expected {' or '.join(kinds)}")


def _outside(where: str, value: float | None, low: float, high: float) -> Iterator[Problem]:
    if value is not None and not low <= value <= high:  # NaN is in no range
        yield Problem(where, f"expected {low:g} to {high:g}, got {value}")
