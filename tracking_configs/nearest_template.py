"""Which template a scenario's events are nearest to."""

from collections import Counter
from collections.abc import Collection, Mapping
from math import sqrt
from typing import Final

import msgspec

from tracking_configs.field_evidence import STRANGE_KEY, Evidence, Tally
from tracking_configs.model import payload_key
from tracking_configs.template import CUSTOM, load_templates

KEY_DOMINATES: Final = 0.8  # of the events with a payload
NEAR: Final = 0.5
FIELDS_COUNT: Final = 2 / 3  # of the likeness; the rest is the actions'

_Z: Final = 1.96  # 95 % confidence


class Nearest(msgspec.Struct, frozen=True):
    """`confidence` from 0 to 1; `runner_up` the template that would be next, None where no other is like at all."""

    id: str
    confidence: float
    runner_up: str | None
    why: str


def lower_bound(hits: int, tries: int) -> float:
    """Of the share hits / tries the lower end of Wilson's 95 % interval, to three digits; 0 where nothing was tried.

    5 of 5 give 0.566, 100 of 100 give 0.963: it needs both agreement and evidence.
    """
    if not tries:
        return 0.0
    share, spread = hits / tries, _Z * _Z / tries
    middle = share + spread / 2
    return round(max(0.0, (middle - sqrt(spread * (share * (1 - share) + spread / 4))) / (1 + spread)), 3)


def nearest_of(evidence: Evidence) -> tuple[Nearest, Tally]:
    """The nearest template, and the events that speak for the scenario.

    A scenario's payload key is its template's: where KEY_DOMINATES of the events with a payload have one key, it
    decides, with the lower bound of its share as confidence, and events with other keys are not looked at. Else
    the likeness decides, and is the confidence; below NEAR, or where two templates are equally like, the scenario
    is custom, with as much confidence as the likest template lacks.
    """
    key, count, total = _commonest_key(evidence)
    decided = key is not None and key != STRANGE_KEY and count >= KEY_DOMINATES * total
    tally = evidence.tally_of(key, None) if decided else evidence.tally_of(*evidence.by_key)
    scores = likeness(tally)
    ranked = sorted(scores, key=lambda template: (-scores[template], template))
    if decided:
        [chosen] = [each for each in (*load_templates(), CUSTOM) if payload_key(each) == key]
        why = f"{count} of {total} events with a payload have it under {key}"
        return Nearest(chosen, lower_bound(count, total), _next(ranked, scores, chosen), why), tally
    first, second = ranked[:2]
    if scores[first] >= NEAR and scores[first] > scores[second]:
        why = "no payload key decides: its field names and actions are the likest"
        return Nearest(first, scores[first], _next(ranked, scores, first), why), tally
    why = "no payload key decides, and no one template is like it"
    return Nearest(CUSTOM, round(1 - scores[first], 3), _next(ranked, scores, CUSTOM), why), tally


def likeness(tally: Tally) -> Mapping[str, float]:
    """For each template from 0 to 1, how much of what the events say it declares.

    FIELDS_COUNT of it is the share of the fields' values that stand in fields of the template, the rest the share
    of the events whose action is on its list; only the latter where no event has a payload. A name counts the
    less, the more templates have it: 1 / templates, so that an impression tells little.
    """
    fields = Counter({name: found.seen for name, found in tally.fields.items()})
    templates = load_templates().values()
    of_fields = _shares(fields, {each.id: {field.field_name for field in each.fields} for each in templates})
    of_actions = _shares(tally.events, {each.id: each.actions.keys() for each in templates})
    weight = FIELDS_COUNT if fields.total() else 0.0
    scores = {each.id: weight * of_fields[each.id] + (1 - weight) * of_actions[each.id] for each in templates}
    return {each: round(score, 3) for each, score in scores.items()}


def _shares(seen: Counter[str], declared: Mapping[str, Collection[str]]) -> dict[str, float]:
    commonness = Counter(name for names in declared.values() for name in names)
    weights = {name: count / max(commonness[name], 1) for name, count in sorted(seen.items())}
    total = sum(weights.values()) or 1.0
    return {each: sum(weights[name] for name in weights if name in names) / total for each, names in declared.items()}


def _commonest_key(evidence: Evidence) -> tuple[str | None, int, int]:
    """The payload key of the most events, how many those are, and how many have a payload."""
    counts = {key: tally.total for key, tally in evidence.by_key.items() if key is not None}
    key = max(sorted(counts), key=counts.__getitem__, default=None)
    return key, 0 if key is None else counts[key], sum(counts.values())


def _next(ranked: list[str], scores: Mapping[str, float], chosen: str) -> str | None:
    return next((each for each in ranked if each != chosen and scores[each] > 0), None)
