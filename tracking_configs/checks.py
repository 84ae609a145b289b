"""What a config must be before it may judge anything. Every problem is named at once."""

from collections.abc import Iterator
from typing import Final

import msgspec

from schemas.limits import MAX_SCENARIO_ID
from schemas.topics import is_tenant
from tracking_configs.errors import InvalidConfigError, Problem
from tracking_configs.field_checks import MAX_NAME, MAX_TEXT, field_problems, is_name
from tracking_configs.interest_checks import interest_problems
from tracking_configs.model import ConfigDraft, known_actions
from tracking_configs.template import CUSTOM, load_templates

ENFORCEMENTS: Final = ("warn", "reject")
MAX_FIELDS: Final = 200
MAX_ACTIONS: Final = 200
MAX_CONFIG_BYTES: Final = 256 * 1024


def check_config(draft: ConfigDraft) -> None:
    """Raises InvalidConfigError with every problem of the draft."""
    if problems := list(_problems(draft)):
        raise InvalidConfigError(problems)


def _problems(draft: ConfigDraft) -> Iterator[Problem]:
    if not is_tenant(draft.tenant_id):
        yield Problem("tenant_id", "not a tenant's name: [a-z0-9][a-z0-9_-]{0,62}, and not reserved")
    if not 1 <= len(draft.scenario_id) <= MAX_SCENARIO_ID:
        yield Problem("scenario_id", f"expected 1 to {MAX_SCENARIO_ID} characters")
    if "/" in draft.scenario_id or not draft.scenario_id.isprintable() or not draft.scenario_id.strip(" ."):
        # It is part of the config's address, where . and .. mean another one, and of its key on the change topic.
        yield Problem("scenario_id", "expected printable characters, not dots and spaces alone, and no slash")
    if draft.scenario_type != CUSTOM and draft.scenario_type not in load_templates():
        kinds = ", ".join((*load_templates(), CUSTOM))
        yield Problem("scenario_type", f"unknown type {draft.scenario_type!r}: there are {kinds}")
    if not 1 <= len(draft.name) <= MAX_TEXT or not draft.name.isprintable():
        yield Problem("name", f"expected 1 to {MAX_TEXT} printable characters")
    if len(draft.description) > MAX_TEXT:
        yield Problem("description", f"expected at most {MAX_TEXT} characters")
    if draft.enforcement not in ENFORCEMENTS:
        yield Problem("enforcement", f"{draft.enforcement!r} is neither warn nor reject")
    yield from _action_problems(draft)
    yield from _list_problems(draft)
    yield from interest_problems(draft)
    if (size := len(msgspec.json.encode(draft))) > MAX_CONFIG_BYTES:
        yield Problem("", f"the config has {size} bytes, more than {MAX_CONFIG_BYTES}")


def _action_problems(draft: ConfigDraft) -> Iterator[Problem]:
    if len(draft.actions) > MAX_ACTIONS:
        yield Problem("actions", f"{len(draft.actions)} are more than {MAX_ACTIONS}")
    for index, action in enumerate(draft.actions[:MAX_ACTIONS]):
        if action in draft.actions[:index]:
            yield Problem(f"actions[{index}]", f"{action[:MAX_NAME]!r} stands twice")
        if not is_name(action):
            yield Problem(f"actions[{index}]", f"{action[:MAX_NAME]!r} is not a name: [a-z][a-z0-9_]{{0,63}}")


def _list_problems(draft: ConfigDraft) -> Iterator[Problem]:
    count = len(draft.required_fields) + len(draft.optional_fields)
    if count > MAX_FIELDS:
        longer = max(("required_fields", "optional_fields"), key=lambda place: len(getattr(draft, place)))
        yield Problem(longer, f"{count} fields are more than {MAX_FIELDS}")
        return
    actions = known_actions(draft)
    seen: set[str] = set()
    for place in ("required_fields", "optional_fields"):
        for index, field in enumerate(getattr(draft, place)):
            where = f"{place}[{index}]"
            if field.field_name in seen:
                yield Problem(f"{where}.field_name", f"duplicate field {field.field_name!r}")
            seen.add(field.field_name)
            if place == "optional_fields" and field.required:
                yield Problem(f"{where}.required", "a required field belongs to required_fields")
            for action in sorted(set(field.required_for) - actions):
                yield Problem(f"{where}.required_for", f"{action!r} is not an action of this scenario")
            for part, message in field_problems(field):
                yield Problem(f"{where}.{part}", message)
