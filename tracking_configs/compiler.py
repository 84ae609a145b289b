"""From a config to its fast path: msgspec structs that a clean payload decodes into, and no other.

One struct for each distinct set of required fields, shared by the actions that have it. An event that the
fast path refuses is not wrong yet: an enum's alias, or `3.0` for an integer, is right but not fast. Only
`explain.py` says what is wrong.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec

from schemas.limits import INT64_MAX, INT64_MIN
from tracking_configs.assembly import Reading
from tracking_configs.field_checks import compile_pattern
from tracking_configs.field_rules import Matcher
from tracking_configs.model import TrackingConfig, known_actions, payload_key
from tracking_configs.signals import NOTHING_DRAWN, Drawn, Signals, completion_of, first_category, signals_of
from tracking_configs.template import CUSTOM, FieldSpec

_UNKNOWN: Final = ("an action that is not in the list",)
_CACHED_VALUES: Final = 1024  # values a pattern is known to match; longer ones than 64 characters are not kept
_CACHED_LENGTH: Final = 64
_SCALARS: Final = {"integer": int, "number": float, "string": str, "boolean": bool}


@dataclass(frozen=True, slots=True, eq=False)
class CompiledConfig:
    """A config and what was made of it.

    `required`: for each action of the scenario, the names of the fields it needs. `free`: a custom scenario
    that declares no field; its payload is any object. `decoders`: for each action, the fast path.
    """

    config: TrackingConfig
    payload_key: str
    specs: Mapping[str, FieldSpec]
    required: Mapping[str, tuple[str, ...]]
    matchers: Mapping[str, Matcher]
    signals: Signals
    version: int
    free: bool
    rejects: bool
    decoders: Mapping[str, Callable[[msgspec.Raw], Any]]
    _patterns: tuple[tuple[str, Matcher], ...]
    _dwell: str | None  # attributes of the decoded payload
    _completion: str | None
    _categories: tuple[str, ...]

    def read(self, action: str, scenario_data: msgspec.Raw) -> Reading | None:
        """What a clean event says; None where it is not clean or not fast."""
        if not scenario_data:
            return None if self.required.get(action, _UNKNOWN) else (self.signals, self.version, NOTHING_DRAWN)
        try:
            payload = self.decoders[action](scenario_data).payload
        except (msgspec.MsgspecError, KeyError):
            return None
        for attribute, matches in self._patterns:
            value = getattr(payload, attribute)
            if value is not None and not matches(value):
                return None
        return self.signals, self.version, self._draw(payload)

    def _draw(self, payload: Any) -> Drawn:
        """`Signals.draw` on a decoded payload."""
        dwell = self.signals.dwell_ms(getattr(payload, self._dwell)) if self._dwell else 0
        completion = completion_of(getattr(payload, self._completion)) if self._completion else None
        if not self._categories:
            return Drawn(dwell, completion)
        return Drawn(dwell, completion, first_category([getattr(payload, name) for name in self._categories]))


def compile_config(config: TrackingConfig) -> CompiledConfig:
    """Compile a config that `checks.check_config` passed."""
    specs = {field.field_name: field for field in config.fields}
    attributes = {name: f"f{index}" for index, name in enumerate(specs)}
    matchers = {name: matcher(spec.pattern) for name, spec in specs.items() if spec.pattern is not None}
    actions = known_actions(config)
    required = {action: required_fields(config, action) for action in actions}
    free = config.scenario_type == CUSTOM and not specs
    key = payload_key(config.scenario_type)
    signals = signals_of(config)
    variants = {names: _decoder(key, specs, attributes, names, free) for names in set(required.values())}
    return CompiledConfig(
        config=config,
        payload_key=key,
        specs=specs,
        required=required,
        matchers=matchers,
        signals=signals,
        version=config.version,
        free=free,
        rejects=config.enforcement == "reject",
        decoders={action: variants[names] for action, names in required.items()},
        _patterns=tuple((attributes[name], matches) for name, matches in matchers.items()),
        _dwell=attributes.get(signals.dwell_field or ""),
        _completion=attributes.get(signals.completion_field or ""),
        _categories=tuple(attributes[name] for name in signals.category_fields),
    )


def required_fields(config: TrackingConfig, action: str) -> tuple[str, ...]:
    """The fields that an event of this action must carry, in the config's order."""
    return tuple(f.field_name for f in config.fields if action in f.required_for or (f.required and not f.required_for))


def matcher(pattern: str) -> Matcher:
    """Whether a string holds a match of the pattern, as JSON Schema's `pattern` means it."""
    search = compile_pattern(pattern).search
    known: set[str] = set()

    def matches(value: str) -> bool:
        if value in known:
            return True
        if search(value) is None:
            return False
        if len(known) < _CACHED_VALUES and len(value) <= _CACHED_LENGTH:
            known.add(value)
        return True

    return matches


def _decoder(
    key: str, specs: Mapping[str, FieldSpec], attributes: Mapping[str, str], required: Iterable[str], free: bool
) -> Callable[[msgspec.Raw], Any]:
    needed = frozenset(required)
    fields: list[Any] = [
        (attributes[name], _type_of(spec)) if name in needed else (attributes[name], _type_of(spec) | None, None)
        for name, spec in specs.items()
    ]
    names = {attribute: name for name, attribute in attributes.items()}
    payload = msgspec.defstruct("Payload", fields, rename=names, kw_only=True, gc=False, forbid_unknown_fields=not free)
    whole = msgspec.defstruct(
        "ScenarioData", [("payload", payload)], rename={"payload": key}, gc=False, forbid_unknown_fields=True
    )
    return msgspec.json.Decoder(whole).decode


def _type_of(spec: FieldSpec) -> Any:
    """The type a value of this field decodes into exactly when it is right; patterns stand apart."""
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
