"""A tracking config proposed from sample events, with the evidence for every part of it.

Pure: it reads samples and asks no store. What is counted is in `field_evidence.py`, which template is nearest in
`nearest_template.py`, how a field's rule is found in `field_proposal.py`; here it all becomes a draft that
`parse_draft` and `check_config` accept, whatever the samples were.
"""

from collections.abc import Iterable, Mapping
from math import ceil
from typing import Any, Final

import msgspec

from tracking_configs.checks import MAX_CONFIG_BYTES, MAX_FIELDS
from tracking_configs.errors import NothingToSuggestError
from tracking_configs.field_evidence import Evidence, FieldTally, Tally
from tracking_configs.field_proposal import MIN_OF_ACTION, Proposal, distinct_of, propose
from tracking_configs.left_out import LeftOut, left_out_of
from tracking_configs.model import ConfigDraft, known_actions
from tracking_configs.nearest_template import Nearest, lower_bound, nearest_of
from tracking_configs.template import Template, load_templates

MIN_SHARE: Final = 0.01  # of the events, in which a field must be
MIN_SHARE_OF_ACTION: Final = 0.5  # or of an action's events
MIN_SEEN: Final = 3  # events at least, where there are more than 20
MAX_FIELD_BYTES: Final = MAX_CONFIG_BYTES - 48 * 1024  # of all fields as JSON; the rest is the names' and actions'


class FieldEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """What speaks for one proposed field.

    `seen` and `missing` add up to the events looked at; null is missing. `types`: values by their own type, 3.0 an
    integer. `distinct`: different strings and numbers, 100 standing for as many or more. `min`, `max` of its
    numbers. `confidence`: the lower end of Wilson's 95 % interval of the share of values that have the field's
    type, so 0.21 for one value and 0.98 for two hundred that agree. `notes`: every decision, in words.
    """

    name: str
    seen: int
    missing: int
    types: dict[str, int]
    distinct: int
    min: int | float | None
    max: int | float | None
    confidence: float
    notes: tuple[str, ...]


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """A draft as plain values, and why it is as it is.

    `events`: how many samples were usable. `template`: the nearest one, or custom. `actions`: every action seen that
    the scenario then knows, with its events; the draft declares those that the template's list lacks. `left_out`
    has the most frequent first, at most 100.
    """

    draft: dict[str, Any]
    events: int
    template: Nearest
    fields: tuple[FieldEvidence, ...]
    actions: dict[str, int]
    left_out: tuple[LeftOut, ...]


def suggest(tenant: str, scenario: str, samples: Iterable[Mapping[str, Any]]) -> Suggestion:
    """A config for the scenario whose events the samples are. Raises NothingToSuggestError where none is usable.

    A sample is a decoded event; usable is one with an action_type, and with scenario_data that is absent or one
    object under one key. The order of the samples does not matter.
    """
    evidence = Evidence(samples)
    events = sum(tally.total for tally in evidence.by_key.values())
    if not events:
        raise NothingToSuggestError(tenant, scenario, _why_nothing(evidence))
    nearest, tally = nearest_of(evidence)
    actions, declared = _actions(nearest, tally)
    template = load_templates().get(nearest.id)
    own = {field.field_name for field in template.fields} if template else set()
    proposals = {
        name: propose(name, found, tally.events, template, actions.keys())
        for name, found in _by_frequency(tally)
        if _is_enough(found, tally, declared=name in own)
    }
    fields = _fitting(proposals)
    return Suggestion(
        draft=_draft(tenant, scenario, template, nearest, declared, proposals, fields),
        events=events,
        template=nearest,
        fields=tuple(_evidence(name, tally, proposals[name]) for name in fields),
        actions=actions,
        left_out=left_out_of(evidence, nearest.id, tally, proposals, fields),
    )


def _why_nothing(evidence: Evidence) -> str:
    if not evidence.skipped:
        return "there are no events"
    said = ", ".join(f"{count} {why}" for why, count in sorted(evidence.skipped.items()))
    return f"none of the samples is usable ({said})"


def _actions(nearest: Nearest, tally: Tally) -> tuple[dict[str, int], list[str]]:
    """The named actions that were seen with their events, and those of them that must be declared."""
    seen = {action: count for action, count in sorted(tally.events.items(), key=_by_count) if action}
    blank = ConfigDraft(tenant_id="", scenario_id="", scenario_type=nearest.id, name="")
    known = known_actions(blank)
    return seen, [action for action in seen if action not in known]


def _by_count(counted: tuple[str, int]) -> tuple[int, str]:
    return -counted[1], counted[0]


def _by_frequency(tally: Tally) -> list[tuple[str, FieldTally]]:
    return sorted(tally.fields.items(), key=lambda pair: (-pair[1].seen, pair[0]))


def _is_enough(found: FieldTally, tally: Tally, *, declared: bool) -> bool:
    """Whether a field is more than an accident.

    Once is enough for a field of the template. Any other needs MIN_SHARE of all events, and MIN_SEEN of them (fewer
    where there are 20 events or less), or MIN_SHARE_OF_ACTION of the events of an action that has some.
    """
    needed = max(ceil(tally.total * MIN_SHARE), min(MIN_SEEN, ceil(tally.total / 10)))
    if found.seen >= (1 if declared else needed):
        return True
    return any(
        count >= MIN_SHARE_OF_ACTION * tally.events[action] >= MIN_SHARE_OF_ACTION * MIN_OF_ACTION
        for action, count in found.by_action.items()
    )


def _fitting(proposals: Mapping[str, Proposal]) -> list[str]:
    """The most frequent of the proposed fields that a config has room for."""
    names: list[str] = []
    room = MAX_FIELD_BYTES
    for name, proposal in proposals.items():
        if proposal.spec is not None:
            room -= len(msgspec.json.encode(proposal.spec)) + 1
            if room < 0 or len(names) == MAX_FIELDS:
                break
            names.append(name)
    return names


def _draft(
    tenant: str,
    scenario: str,
    template: Template | None,
    nearest: Nearest,
    declared: list[str],
    proposals: Mapping[str, Proposal],
    names: list[str],
) -> dict[str, Any]:
    specs = [spec for name in names if (spec := proposals[name].spec) is not None]
    draft = ConfigDraft(
        tenant_id=tenant,
        scenario_id=scenario,
        scenario_type=nearest.id,
        name=scenario,
        description=template.description if template else "",
        required_fields=tuple(spec for spec in specs if spec.required),
        optional_fields=tuple(spec for spec in specs if not spec.required),
        actions=tuple(declared),
        **_meanings(template, {name for name in names if not proposals[name].own}),
    )
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(draft))
    return plain


def _meanings(template: Template | None, kept: set[str]) -> dict[str, Any]:
    """What the template reads as dwell time, completion and category, where a field no longer has the template's rule.

    Such a field may mean something else, so that nothing is read from it. The rest is inherited.
    """
    if template is None:
        return {}
    meanings: dict[str, Any] = {}
    if template.dwell and template.dwell.field not in kept:
        meanings["dwell"] = None
    if template.completion_field and template.completion_field not in kept:
        meanings["completion_field"] = None
    if not kept.issuperset(template.category_fields):
        meanings["category_fields"] = tuple(name for name in template.category_fields if name in kept)
    return meanings


def _evidence(name: str, tally: Tally, proposal: Proposal) -> FieldEvidence:
    found = tally.fields[name]
    return FieldEvidence(
        name=name,
        seen=found.seen,
        missing=tally.total - found.seen,
        types=dict(sorted(found.types.items(), key=_by_count)),
        distinct=distinct_of(found),
        min=found.low,
        max=found.high,
        confidence=lower_bound(proposal.agreeing, found.seen),
        notes=tuple(proposal.notes),
    )
