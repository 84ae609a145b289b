"""A config with some parts replaced: what a PUT means."""

from collections.abc import Collection
from typing import Any, Final

import msgspec

from tracking_configs.errors import InvalidConfigError, Problem
from tracking_configs.model import ConfigDraft, TrackingConfig, draft_of, known_actions, parse_draft

IDENTITY: Final = ("tenant_id", "scenario_id", "scenario_type")
# What an answer holds besides: it may stand in a PUT, so that what was read can be sent back.
SET_BY_THE_PLATFORM: Final = ("version", "created_at", "updated_at", "change", "published")


def patched(current: TrackingConfig, parts: dict[str, Any]) -> ConfigDraft:
    """The current config's draft, the given parts in place of its own.

    Parts that were not given and name a field or an action that is gone forget it. Raises InvalidConfigError for
    an unknown part, a value of the wrong type, or a part that makes the config another one.
    """
    changed = [name for name in IDENTITY if parts.get(name, getattr(current, name)) != getattr(current, name)]
    if changed:
        why = "a config keeps its tenant, scenario and type: create another one"
        raise InvalidConfigError([Problem(name, why) for name in changed])
    given = {name: value for name, value in parts.items() if name not in (*IDENTITY, *SET_BY_THE_PLATFORM)}
    draft = parse_draft(msgspec.to_builtins(draft_of(current)) | given)
    return _without_dangling(draft, given)


def _without_dangling(draft: ConfigDraft, given: Collection[str]) -> ConfigDraft:
    fields = {field.field_name for field in (*draft.required_fields, *draft.optional_fields)}
    actions = known_actions(draft)
    positive, dwell = draft.positive, draft.dwell
    known: dict[str, Any] = {
        "weights": {action: weight for action, weight in draft.weights.items() if action in actions},
        "category_fields": tuple(name for name in draft.category_fields or () if name in fields),
        "completion_field": draft.completion_field if draft.completion_field in fields else None,
    }
    if positive:
        kept = tuple(action for action in positive.actions if action in actions)
        known["positive"] = msgspec.structs.replace(positive, actions=kept)
    if dwell and dwell.field not in fields:
        known["dwell"] = None
    return msgspec.structs.replace(draft, **{name: part for name, part in known.items() if name not in given})
