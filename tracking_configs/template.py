"""The scenario templates: `templates/*.yaml`, one scenario a file, read into frozen models."""

from functools import cache
from importlib import resources
from typing import Any, Final

import msgspec

from schemas.actions import SKIP
from tracking_configs.errors import InvalidTemplateError
from tracking_configs.interest import Dwell, Positive, RecallMix
from tracking_configs.plain_text import parse_yaml

CUSTOM: Final = "custom"
CUSTOM_PAYLOAD_KEY: Final = "custom_data"
SKIP_WEIGHT: Final = -0.5


class FieldSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One field of a scenario.

    `required` with an empty `required_for` means for every action, else for those named. `min_length` and
    `max_length` bound a string's characters or an array's items; `item_type` is the type of an array's items
    or of an object's values. `enum_aliases` maps other spellings to the enum's own value. `default` is
    documentation.
    """

    field_name: str
    field_type: str
    required: bool = False
    required_for: tuple[str, ...] = ()
    description: str = ""
    min_value: int | float | None = None
    max_value: int | float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    enum_values: tuple[Any, ...] | None = None
    enum_aliases: dict[str, str] = {}
    item_type: str | None = None
    default: Any = None


class Template(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One scenario: what its events carry, and what they say about interest.

    `actions` maps each action to the weight that an event of it has in hot lists. The first of `category_fields`
    that an event carries is its category. A config made from the template holds all of this as its own.
    """

    id: str
    name: str
    description: str
    fields: tuple[FieldSpec, ...]
    actions: dict[str, float]
    positive: Positive
    hot_half_life_h: float
    session_gap_min: int
    dwell: Dwell | None
    completion_field: str | None
    category_fields: tuple[str, ...]
    recall_mix: RecallMix
    example: dict[str, Any]

    @property
    def payload_key(self) -> str:
        return f"{self.id}_data"


@cache
def load_templates() -> dict[str, Template]:
    """Every template by its id, in the order of the ids. Raises InvalidTemplateError for a bad file."""
    folder = resources.files("tracking_configs").joinpath("templates")
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    templates = [parse_template(file.read_text("utf-8"), file.name) for file in files if file.name.endswith(".yaml")]
    return {template.id: template for template in templates}


def parse_template(text: str, name: str) -> Template:
    """The template of one file. Raises InvalidTemplateError, naming the file and what is wrong in it."""
    try:
        template = msgspec.convert(_with_field_names(parse_yaml(text)), Template)
    except (ValueError, TypeError) as error:  # msgspec.ValidationError is a ValueError
        raise InvalidTemplateError(f"{name}: {error}") from None
    _check(template, name)
    return template


def _with_field_names(raw: Any) -> Any:
    """A file writes fields as a mapping and leaves `required` and `skip` to be understood."""
    fields = raw.get("fields") if isinstance(raw, dict) else None
    if not isinstance(fields, dict):
        raise TypeError("expected a mapping with a mapping `fields`")
    listed = [{"field_name": name, "required": "required_for" in field, **field} for name, field in fields.items()]
    return {**raw, "fields": listed, "actions": {**raw.get("actions", {}), SKIP: SKIP_WEIGHT}}


def _check(template: Template, name: str) -> None:
    if name != f"{template.id}.yaml":
        raise InvalidTemplateError(f"{name}: the id is {template.id!r}, so the file's name is {template.id}.yaml")
    dwell = template.dwell.field if template.dwell else None
    named = {dwell, template.completion_field, *template.category_fields} - {None}
    for missing in named - {field.field_name for field in template.fields}:
        raise InvalidTemplateError(f"{name}: dwell, completion or category names {missing!r}, which is not a field")
    for missing in set(template.positive.actions) - template.actions.keys():
        raise InvalidTemplateError(f"{name}: positive names {missing!r}, which is not an action")
