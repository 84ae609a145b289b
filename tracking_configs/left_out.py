"""What stood in sample events and is no part of the config proposed from them, with the reason in words."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Final, Literal

import msgspec

from tracking_configs.checks import MAX_CONFIG_BYTES, MAX_FIELDS
from tracking_configs.field_evidence import Evidence, Tally
from tracking_configs.field_proposal import Proposal
from tracking_configs.model import payload_key
from tracking_configs.template import load_templates

MAX_LEFT_OUT: Final = 100

Kind = Literal["field", "action", "payload_key", "sample"]


class LeftOut(msgspec.Struct, frozen=True):
    """`seen`: in how many events, for a sample how many. A name that is not a legal one is quoted and shortened."""

    kind: Kind
    name: str
    seen: int
    why: str


def left_out_of(
    evidence: Evidence, scenario_type: str, tally: Tally, proposals: Mapping[str, Proposal], taken: Collection[str]
) -> tuple[LeftOut, ...]:
    """The most frequent first, at most MAX_LEFT_OUT. `taken`: the fields that the draft has."""
    found = [
        *_fields(scenario_type, tally, proposals, taken),
        *_counted("field", evidence.strange_fields, "not a legal name: [a-z][a-z0-9_]{0,63}"),
        *_counted("action", evidence.strange_actions, "not a legal name, or one action too many"),
        *_counted("payload_key", evidence.strange_keys, "no scenario has this payload key: such events are rejected"),
        *_other_payloads(evidence, scenario_type),
        *(LeftOut("sample", "", count, f"no usable event: {why}") for why, count in evidence.skipped.items()),
    ]
    if evidence.uncounted:
        found.append(LeftOut("field", "", evidence.uncounted, "more different fields than are counted"))
    found.sort(key=lambda each: (-each.seen, each.kind, each.name, each.why))
    return tuple(found[:MAX_LEFT_OUT])


def _fields(
    scenario_type: str, tally: Tally, proposals: Mapping[str, Proposal], taken: Collection[str]
) -> Iterator[LeftOut]:
    for name, found in tally.fields.items():
        if name not in taken:
            yield LeftOut("field", name, found.seen, _why(name, tally, proposals.get(name)))
    template = load_templates().get(scenario_type)
    for field in template.fields if template else ():
        if field.field_name not in tally.fields:
            yield LeftOut("field", field.field_name, 0, f"declared by template {scenario_type}, in no event")


def _why(name: str, tally: Tally, proposal: Proposal | None) -> str:
    seen = tally.fields[name].seen
    if not seen:
        return "always null"
    if proposal is None:
        return f"in only {seen} of {tally.total} events"
    if proposal.spec is None:
        return "; ".join(proposal.notes)
    return f"no room: a config has at most {MAX_FIELDS} fields and {MAX_CONFIG_BYTES} bytes"


def _counted(kind: Kind, names: Counter[str], why: str) -> Iterator[LeftOut]:
    return (LeftOut(kind, name, count, why) for name, count in names.items())


def _other_payloads(evidence: Evidence, scenario_type: str) -> Iterator[LeftOut]:
    for key, tally in evidence.by_key.items():
        if key and key != payload_key(scenario_type):
            why = f"scenario type {scenario_type} has {payload_key(scenario_type)}"
            yield LeftOut("payload_key", key, tally.total, why)
