"""What a change of a config's fields means for events: fields that come and go, and who must carry them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from tracking_configs.change import NO_EFFECT, Detail, Effect, Verdict, Voice, detail, listed
from tracking_configs.compiler import required_fields
from tracking_configs.diff_values import value_details
from tracking_configs.model import FieldSpec, TrackingConfig, known_actions
from tracking_configs.template import CUSTOM

Needs = Mapping[str, frozenset[str]]  # the actions that need a field, by its name


def field_details(old: TrackingConfig, new: TrackingConfig, voice: Voice) -> Iterator[Detail]:
    """Every change of a field; the configs have the same scenario_type.

    Who needs a field is compared for the actions that both versions know: of a new action no event was clean before.
    """
    before = {field.field_name: field for field in old.fields}
    after = {field.field_name: field for field in new.fields}
    shared = known_actions(old) & known_actions(new)
    needed_before, needed_after = _needs(old, shared), _needs(new, shared)
    for name in dict.fromkeys([*before, *after]):
        path = f"fields.{name}"
        if name not in after:
            yield detail(path, _removal(_is_free(new), voice))
        elif name not in before:
            yield detail(path, *_addition(after[name], _is_free(old), needed_after[name], shared, voice))
        else:
            was, becomes = before[name], after[name]
            if (was.required, was.required_for) != (becomes.required, becomes.required_for):
                effects = _need_effects(needed_before[name], needed_after[name], shared, voice)
                yield detail(f"{path}.required_for", *effects)
            yield from _wording_details(was, becomes, path)
            yield from value_details(was, becomes, path, voice)


def _is_free(config: TrackingConfig) -> bool:
    """A custom scenario that declares no field takes any payload."""
    return config.scenario_type == CUSTOM and not config.fields


def _needs(config: TrackingConfig, actions: frozenset[str]) -> Needs:
    needs: dict[str, set[str]] = defaultdict(set)
    for action in actions:
        for name in required_fields(config, action):
            needs[name].add(action)
    return {field.field_name: frozenset(needs[field.field_name]) for field in config.fields}


def _removal(free_now: bool, voice: Voice) -> Effect:
    if free_now:
        return Effect(Verdict.WIDENING, "no field is declared any more, so payloads may hold anything")
    return voice.refuses("events that carry it")


def _addition(
    field: FieldSpec, free_before: bool, needed: frozenset[str], shared: frozenset[str], voice: Voice
) -> Iterator[Effect]:
    if free_before:
        yield voice.refuses(
            f"payloads could hold anything: other fields, and values here that are no {field.field_type},"
        )
    else:
        yield voice.admits("events that carry it")
    yield from _need_effects(frozenset(), needed, shared, voice)


def _need_effects(
    before: frozenset[str], after: frozenset[str], shared: frozenset[str], voice: Voice
) -> Iterator[Effect]:
    if more := after - before:
        yield voice.refuses(f"{_events_of(more, shared)} without it")
    if fewer := before - after:
        yield voice.admits(f"{_events_of(fewer, shared)} without it")


def _events_of(actions: frozenset[str], shared: frozenset[str]) -> str:
    return "events" if actions == shared else f"events of {listed(sorted(actions))}"


def _wording_details(old: FieldSpec, new: FieldSpec, path: str) -> Iterator[Detail]:
    for part in ("description", "default"):
        if getattr(old, part) != getattr(new, part):
            yield detail(f"{path}.{part}", NO_EFFECT)
