"""What a new version of a tracking config changes for the events of its scenario.

Where two rules cannot be compared it says breaking: any new pattern counts as narrower than the one before, and so
does a list of allowed values where there was none. Values whose type changes are not looked at further, nor are the
fields and actions of a scenario whose type changes.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from schemas.actions import BUILT_IN_ACTIONS
from tracking_configs.change import (
    NO_EFFECT,
    REJECTING,
    Change,
    Detail,
    Effect,
    Verdict,
    Voice,
    detail,
    listed,
    voice_of,
    worst,
)
from tracking_configs.compiler import required_fields
from tracking_configs.diff_fields import field_details
from tracking_configs.field_rules import shortened
from tracking_configs.model import TrackingConfig, known_actions, payload_key

__all__ = ["Change", "Detail", "Verdict", "compare"]

_SHOWN: Final = 120  # characters of an old or new value

_DERIVED: Final = {
    "weights": "the weights of actions in hot lists",
    "positive": "which events count as liking the item",
    "hot_half_life_h": "how fast hot lists forget, in hours",
    "session_gap_min": "the pause that ends a session, in minutes",
    "dwell": "the field that says how long a user stayed",
    "completion_field": "the field that says how much of the item was seen",
    "category_fields": "the fields that say the item's category",
    "recall_mix": "the shares of the recall sources",
}


def compare(old: TrackingConfig, new: TrackingConfig) -> Change:
    """The change from one version to another of the same tenant's scenario; both have passed `check_config`.

    A deleted config judges nothing. So deleting is breaking; a config that comes back is compared with events that
    warned `no_tracking_config`, whatever it said before; and between two deleted versions nothing changes.
    """
    changes = _details if old.is_active and new.is_active else _activity_details
    details = tuple(changes(old, new))
    return Change(worst(each.verdict for each in details), details)


def _details(old: TrackingConfig, new: TrackingConfig) -> Iterator[Detail]:
    voice = voice_of(old, new)
    same_type = old.scenario_type == new.scenario_type
    if not same_type:
        yield detail("scenario_type", *_type_effects(old, new, voice))
    for part in ("name", "description"):
        if getattr(old, part) != getattr(new, part):
            yield detail(part, NO_EFFECT)
    if same_type:
        yield from field_details(old, new, voice)
        if set(old.actions) != set(new.actions):
            yield detail("actions", *_action_effects(old, new, voice))
    if old.enforcement != new.enforcement:
        yield detail("enforcement", _enforcement_effect(new))
    yield from _derived_details(old, new)


def _type_effects(old: TrackingConfig, new: TrackingConfig, voice: Voice) -> Iterator[Effect]:
    yield voice.refuses(f"events with {payload_key(old.scenario_type)}")
    expected = f"{payload_key(new.scenario_type)} is expected, with the fields and actions of the new type"
    yield Effect(Verdict.BREAKING, expected)


def _action_effects(old: TrackingConfig, new: TrackingConfig, voice: Voice) -> Iterator[Effect]:
    """An action that no template knows is rejected where the config does not declare it, whatever the enforcement."""
    before, after = known_actions(old), known_actions(new)
    for known, said in ((True, voice), (False, REJECTING)):
        if gone := sorted(action for action in before - after if (action in BUILT_IN_ACTIONS) is known):
            yield said.refuses(f"events of {listed(gone)}")
        if come := sorted(action for action in after - before if (action in BUILT_IN_ACTIONS) is known):
            yield said.admits(f"events of {listed(come)}")
            if needed := dict.fromkeys(name for action in come for name in required_fields(new, action)):
                yield Effect(Verdict.WIDENING, f"they need {listed(needed)}")


def _enforcement_effect(new: TrackingConfig) -> Effect:
    what = "events with anything wrong in their scenario"
    if new.enforcement == "reject":
        return Effect(Verdict.BREAKING, f"{what} were taken with warnings and will be rejected")
    return Effect(Verdict.WIDENING, f"{what} were rejected and will be taken with warnings")


def _activity_details(old: TrackingConfig, new: TrackingConfig) -> Iterator[Detail]:
    if old.is_active:
        effects = [Effect(Verdict.BREAKING, "the config is deleted: every event will warn no_tracking_config")]
        if declared := sorted(set(old.actions) - BUILT_IN_ACTIONS):
            effects.append(REJECTING.refuses(f"events of {listed(declared)}"))
        yield detail("is_active", *effects)
    elif new.is_active and new.enforcement == "reject":
        message = "events were taken with the warning no_tracking_config; those with anything wrong will be rejected"
        yield Detail("is_active", Verdict.BREAKING, message)
    elif new.is_active:
        yield Detail("is_active", Verdict.WIDENING, "every event warned no_tracking_config; now this config judges it")


def _derived_details(old: TrackingConfig, new: TrackingConfig) -> Iterator[Detail]:
    for part, what in _DERIVED.items():
        before, after = getattr(old, part), getattr(new, part)
        if before != after:
            values = f"{_shown(before, after)} becomes {_shown(after, before)}"
            message = f"no event is judged otherwise; what is derived from events changes from now on: {what}, {values}"
            yield Detail(part, Verdict.COMPATIBLE, message)


def _shown(value: Any, other: Any) -> str:
    """A value as JSON; of an object only what the other has not."""
    if isinstance(value, dict):
        value = {key: each for key, each in value.items() if key not in other or other[key] != each}
    return shortened(msgspec.json.encode(value).decode(), _SHOWN)
