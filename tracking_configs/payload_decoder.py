"""Types for msgspec that take the payloads of one config whose every field is right, and no other.

Whether a field may be left out depends on the action, and a pattern is RE2: both stand apart, in `compiler.py`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from schemas.event import Context
from schemas.limits import INT64_MAX, INT64_MIN
from tracking_configs.base import Base
from tracking_configs.template import FieldSpec

_SCALARS: Final = {"integer": int, "number": float, "string": str, "boolean": bool}


def scenario_data_type(
    key: str, specs: Mapping[str, FieldSpec], attributes: Mapping[str, str], *, closed: bool
) -> type[msgspec.Struct]:
    """Of scenario data, whose `payload` has an attribute for each field, None where it is absent.

    `attributes`: the attribute of each field. `closed`: there may be no field beside them.
    """
    fields: list[Any] = [(attributes[name], type_of(spec) | None, None) for name, spec in specs.items()]
    names = {attribute: name for name, attribute in attributes.items()}
    payload = msgspec.defstruct("Payload", fields, rename=names, gc=False, forbid_unknown_fields=closed)
    return msgspec.defstruct(
        "ScenarioData", [("payload", payload)], rename={"payload": key}, gc=False, forbid_unknown_fields=True
    )


def event_type(scenario_data: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """Of a whole event: its context and scenario data are no texts but what they say."""
    parts: list[Any] = [("context", Context), ("scenario_data", scenario_data | msgspec.UnsetType, msgspec.UNSET)]
    options: dict[str, Any] = {"kw_only": True, "forbid_unknown_fields": True, "gc": False}
    return msgspec.defstruct("WholeEvent", parts, bases=(Base,), **options)


def type_of(spec: FieldSpec) -> Any:
    """The type a value of this field decodes into exactly when it is right."""
    if spec.enum_values is not None:
        return Literal[spec.enum_values]
    if spec.field_type == "array":
        return _bounded(list[_item_type(spec.item_type)], min_length=spec.min_length, max_length=spec.max_length)  # type: ignore[misc]
    if spec.field_type == "object":
        return dict[str, _item_type(spec.item_type)]  # type: ignore[misc]
    if spec.field_type == "string":
        return _bounded(str, min_length=spec.min_length, max_length=spec.max_length)
    if spec.field_type == "integer":
        return _int64(spec.min_value, spec.max_value)
    if spec.field_type == "number":
        return _bounded(float, ge=spec.min_value, le=spec.max_value)
    return bool


def _item_type(name: str | None) -> Any:
    if name is None:
        return Any
    if name == "integer":
        return _int64(None, None)
    return _SCALARS.get(name, dict[str, Any])


def _int64(low: float | None, high: float | None) -> Any:
    return _bounded(int, ge=INT64_MIN if low is None else int(low), le=INT64_MAX if high is None else int(high))


def _bounded(kind: Any, **bounds: float | None) -> Any:
    given: dict[str, Any] = {name: bound for name, bound in bounds.items() if bound is not None}
    return Annotated[kind, msgspec.Meta(**given)] if given else kind
