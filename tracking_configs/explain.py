"""The slow path's words: everything that is wrong with a payload, field by field."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from schemas.limits import MAX_WARNINGS
from schemas.verdict import Code, Issue
from tracking_configs.compiler import CompiledConfig
from tracking_configs.field_rules import explain_field, shortened
from tracking_configs.template import FieldSpec


def explain_payload(compiled: CompiledConfig, action: str, payload: Mapping[str, Any], path: str) -> Iterator[Issue]:
    """Every warning about a scenario's payload; `path` is where it stands in the event."""
    if not compiled.free:
        for name in payload:
            if name not in compiled.specs:
                where = f"{path}.{shortened(name)}"
                yield Issue(where, Code.UNDECLARED_FIELD, "the scenario does not declare this field")
    required = compiled.required.get(action, ())
    for name, spec in compiled.specs.items():
        yield from explain_field(
            spec, payload.get(name), f"{path}.{name}", required=name in required, matches=compiled.matchers.get(name)
        )


def own_spellings(specs: Mapping[str, FieldSpec], values: Mapping[str, Any]) -> dict[str, str]:
    """The enum's own value for each field that holds an alias of it."""
    return {
        name: spec.enum_aliases[value]
        for name, spec in specs.items()
        if spec.enum_aliases and isinstance(value := values.get(name), str) and value in spec.enum_aliases
    }


def bounded(issues: Iterable[Issue]) -> tuple[Issue, ...]:
    """At most MAX_WARNINGS of them, the last saying so where there are more."""
    found = list(islice(issues, MAX_WARNINGS + 1))
    if len(found) > MAX_WARNINGS:
        found[MAX_WARNINGS - 1 :] = [Issue("", Code.MORE_WARNINGS, f"only the first {MAX_WARNINGS - 1} are listed")]
    return tuple(found)
