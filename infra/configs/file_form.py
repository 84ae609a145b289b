"""A tracking config as a file has it: the body of POST, with fields as a mapping, or a template with overrides.

tenant_id: acme                       tenant_id: acme
scenario_id: parking                  scenario_id: vlog_feed
scenario_type: custom                 template_id: video
name: Parking                         name: Vlog feed
fields:                               overrides:
  minutes: {field_type: integer,        fields:
            required_for: [park]}         duration: {max_value: 600}
actions: [park]                         hot_half_life_h: 12
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import yaml

from infra.configs.wrong_parts import LISTS, in_plain_words, override_problems, whole_problems
from infra.errors import OperatorError
from tracking_configs.checks import check_config
from tracking_configs.errors import InvalidConfigError, Problem, TemplateNotFoundError
from tracking_configs.from_template import from_template
from tracking_configs.model import ConfigDraft, FieldSpec, parse_draft, problem_of
from tracking_configs.patching import SET_BY_THE_PLATFORM
from tracking_configs.plain_text import yaml_text
from tracking_configs.template import load_templates

_LISTED_FIELD: Final = re.compile(r"(required_fields|optional_fields)\[(\d+)\]")
_BLANK: Final = FieldSpec(field_name="", field_type="")


class Signature(msgspec.Struct, frozen=True):
    """Who makes a version, and why, where the file says it."""

    author: str = ""
    reason: str = ""


class _FromTemplate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tenant_id: str
    scenario_id: str
    template_id: str
    name: str
    overrides: dict[str, Any] | None = None


def parse_file(body: Any) -> tuple[ConfigDraft, Signature]:
    """The checked draft, and the signature. Raises InvalidConfigError with the file's own paths, in plain words."""
    try:
        return _parse(body)
    except InvalidConfigError as error:
        raise InvalidConfigError(list(map(in_plain_words, error.problems))) from None


def file_text(draft: ConfigDraft) -> str:
    """The draft as the YAML of a file. Raises OperatorError where YAML cannot say it."""
    try:
        return yaml_text(file_body(draft))
    except (RecursionError, ValueError, yaml.YAMLError) as error:
        why = "nested too deep" if isinstance(error, RecursionError) else str(error)
        key = f"{draft.tenant_id}/{draft.scenario_id}"
        raise OperatorError(f"{key} cannot be written as YAML ({why}): take it with --json") from error


def _parse(body: Any) -> tuple[ConfigDraft, Signature]:
    if not isinstance(body, dict):
        raise InvalidConfigError([Problem("", "expected one config: an object with tenant_id, scenario_id, ...")])
    signed = {name: value for name, value in body.items() if name in Signature.__struct_fields__}
    parts = {name: value for name, value in body.items() if name not in signed}
    try:
        signature = msgspec.convert(signed, Signature)
    except msgspec.ValidationError as error:
        raise InvalidConfigError([problem_of(error)]) from None
    return (_from_template(parts) if "template_id" in parts else _whole(parts)), signature


def file_body(draft: ConfigDraft) -> dict[str, Any]:
    """The parts of a file that says what the draft says; `parse_file` gives the same draft."""
    plain: dict[str, Any] = msgspec.to_builtins(draft)
    body = {name: value for name, value in plain.items() if name not in LISTS}
    fields = {field.field_name: _field_parts(field, required=True) for field in draft.required_fields}
    fields |= {field.field_name: _field_parts(field, required=False) for field in draft.optional_fields}
    head = ("tenant_id", "scenario_id", "scenario_type", "name", "description", "enforcement")
    return {name: body.pop(name) for name in head} | {"fields": fields} | body


def _field_parts(field: FieldSpec, *, required: bool) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(field)
    parts = {name: value for name, value in plain.items() if getattr(field, name) != getattr(_BLANK, name)}
    del parts["field_name"]
    parts.pop("required", None)
    return parts if required == ("required_for" in parts) else {"required": required} | parts


def _from_template(parts: Mapping[str, Any]) -> ConfigDraft:
    try:
        wanted = msgspec.convert(parts, _FromTemplate)
    except msgspec.ValidationError as error:
        raise InvalidConfigError([problem_of(error)]) from None
    templates = load_templates()
    if wanted.template_id not in templates:
        raise InvalidConfigError(
            [Problem("template_id", str(TemplateNotFoundError(wanted.template_id, tuple(templates))))]
        )
    overrides, template = wanted.overrides or {}, templates[wanted.template_id]
    identity = (wanted.tenant_id, wanted.scenario_id, wanted.name)
    if problems := list(override_problems(template, identity, overrides)):
        raise InvalidConfigError(problems)
    draft = from_template(template, *identity, overrides)
    return _checked(draft, _names(draft))


def _whole(parts: Mapping[str, Any]) -> ConfigDraft:
    if "scenario_type" not in parts:
        raise InvalidConfigError([Problem("scenario_type", "expected it, or template_id for a template's fields")])
    if parts.get("is_active", True) is not True:
        why = "a file's config is in service: `millrace configs delete` takes one out of it"
        raise InvalidConfigError([Problem("is_active", why)])
    body = {name: value for name, value in parts.items() if name not in (*SET_BY_THE_PLATFORM, "is_active")}
    names: dict[str, list[str]] = {}
    if problems := list(whole_problems(body)):
        raise InvalidConfigError(problems)
    if "fields" in body:
        lists = _split(body["fields"])
        names = {place: [field["field_name"] for field in fields] for place, fields in lists.items()}
        body = {name: value for name, value in body.items() if name != "fields"} | lists
    return _checked(parse_draft(body), names)


def _split(fields: Mapping[str, Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Fields by their names as the two lists of a draft: required are those that say so, or for which actions."""
    lists: dict[str, list[dict[str, Any]]] = {place: [] for place in LISTS}
    for name, parts in fields.items():
        required = parts.get("required", bool(parts.get("required_for")))
        lists[LISTS[0] if required else LISTS[1]].append({"field_name": name, "required": required, **parts})
    return lists


def _names(draft: ConfigDraft) -> dict[str, list[str]]:
    return {place: [field.field_name for field in getattr(draft, place)] for place in LISTS}


def _checked(draft: ConfigDraft, names: Mapping[str, Sequence[str]]) -> ConfigDraft:
    try:
        check_config(draft)
    except InvalidConfigError as error:
        raise _renamed(error, names) from None
    return draft


def _renamed(error: InvalidConfigError, names: Mapping[str, Sequence[str]]) -> InvalidConfigError:
    """`required_fields[0].pattern` as `fields.sku.pattern`, where the file names its fields so."""

    def renamed(found: re.Match[str]) -> str:
        return f"fields.{names[found[1]][int(found[2])]}" if found[1] in names else found[0]

    return InvalidConfigError(
        [Problem(_LISTED_FIELD.sub(renamed, field, count=1), message) for field, message in error.problems]
    )
