"""What is wrong with the parts of a file: all of it, in plain words, where msgspec names the first in its own."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from tracking_configs.errors import InvalidConfigError, Problem
from tracking_configs.from_template import from_template
from tracking_configs.model import ConfigDraft, FieldSpec, problem_of
from tracking_configs.template import Template

LISTS: Final = ("required_fields", "optional_fields")
KINDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}
GOT: Final = KINDS | {"int": "a number", "float": "a fraction"}

_BY_NAME: Final = (
    "weights",
    "enum_aliases",
    "recall_mix",
)  # parts that are a mapping of names, of which msgspec says ...
_TYPES: Final = re.compile(r"Expected `(.+)`, got `(.+)`")
_NAMES: Final = re.compile(r"Object (contains unknown|missing required) field `(.+)`")
_VALUE: Final = re.compile(r"Invalid enum value (.+)")


def whole_problems(body: Mapping[str, Any]) -> Iterator[Problem]:
    """Of a file that has its fields itself: every part that is unknown, missing or of a wrong type, also of a field."""
    listed = {place: body[place] for place in LISTS if isinstance(body.get(place), list)}
    yield from wrong_parts({name: body[name] for name in body if name not in {"fields", *listed}}, ConfigDraft)
    for place, fields in listed.items():
        for index, parts in enumerate(fields):
            yield from _of_field(f"{place}[{index}]", parts, {})
    if "fields" not in body:
        return
    if any(place in body for place in LISTS):
        yield Problem("fields", "stands beside required_fields or optional_fields: write one")
    elif not isinstance(body["fields"], dict):
        yield Problem("fields", "expected an object of field names")
    else:
        for name, parts in body["fields"].items():
            yield from _of_field(f"fields.{name}", parts, {"field_name": name})


def override_problems(
    template: Template, identity: tuple[str, str, str], overrides: Mapping[str, Any]
) -> Iterator[Problem]:
    """Of a template's overrides: each taken alone, and each part of a field. `identity`: tenant, scenario, name."""
    types = {field.field_name: {"field_type": field.field_type} for field in template.fields}
    for key, value in overrides.items():
        if key == "fields" and isinstance(value, dict):
            for name, parts in value.items():
                if parts is not None:
                    yield from _of_field(f"overrides.fields.{name}", parts, {"field_name": name, **types.get(name, {})})
            continue
        for name, piece in _pieces(key, value):
            try:
                from_template(template, *identity, {key: piece})
            except InvalidConfigError as error:
                yield from (Problem(_named(path, name), message) for path, message in error.problems)


def wrong_parts(parts: Mapping[str, Any], kind: type[msgspec.Struct], where: str = "") -> Iterator[Problem]:
    """A problem for each part that is not one of `kind`'s, is of another type, or is missing; `where` begins its path.

    What `kind` requires must be text.
    """
    required = {field.name: "" for field in msgspec.structs.fields(kind) if field.required}
    yield from (Problem(_below(where, name), "missing") for name in required if name not in parts)
    for name, value in parts.items():
        for key, piece in _pieces(name, value):
            try:
                msgspec.convert(required | {name: piece}, kind)
            except msgspec.ValidationError as error:
                path, message = problem_of(error)
                yield in_plain_words(Problem(_below(where, _named(path, key)), message))


def in_plain_words(problem: Problem) -> Problem:
    """The same, said as the checks of tracking_configs say it: `expected a number or null, got a string`."""
    if found := _TYPES.fullmatch(problem.message):
        return Problem(problem.field, f"expected {_expected(found[1])}, got {GOT.get(found[2], found[2])}")
    if found := _NAMES.fullmatch(problem.message):
        said = "missing" if found[1].startswith("missing") else "there is no such part"
        return Problem(_below(problem.field, found[2]), said)
    if found := _VALUE.fullmatch(problem.message):
        return Problem(problem.field, f"unknown value {found[1]}")
    return problem


def _of_field(where: str, parts: Any, implied: Mapping[str, Any]) -> Iterator[Problem]:
    """`implied`: what need not be said of it. Its name, where that is implied, may be said again but not otherwise."""
    if not isinstance(parts, dict):
        yield Problem(where, "expected an object with the field's parts")
        return
    yield from wrong_parts({**implied, **parts}, FieldSpec, where)
    if "field_name" in implied and parts.get("field_name", implied["field_name"]) != implied["field_name"]:
        yield Problem(f"{where}.field_name", "a field cannot be renamed")


def _pieces(name: str, value: Any) -> list[tuple[str, Any]]:
    """The value, or what it holds, one by one and by its key."""
    if name in _BY_NAME and isinstance(value, dict):
        return [(key, {key: each}) for key, each in value.items()]
    return [("", value)]


def _named(path: str, key: str) -> str:
    """msgspec's path into a mapping of which `key` is the only key."""
    return path.replace("[...]", f".{key}", 1)


def _expected(kinds: str) -> str:
    names = kinds.split(" | ")
    return " or ".join(KINDS.get(name, name) for name in names if name != "int" or "float" not in names)


def _below(where: str, path: str) -> str:
    return f"{where}.{path}" if where and path else where or path
