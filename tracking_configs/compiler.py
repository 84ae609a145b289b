"""From a config to its fast path: a msgspec struct that a clean payload decodes into, and no other.

One struct for all actions: what an action needs beyond it is looked for afterwards, so a config costs the same
however its required fields are spread. An event that the fast path refuses is not wrong yet: an enum's alias, or
`3.0` for an integer, is right but not fast. Only `explain.py` says what is wrong.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Final
from weakref import WeakValueDictionary

import msgspec

from tracking_configs.assembly import Reading
from tracking_configs.field_checks import compile_pattern
from tracking_configs.field_rules import Matcher
from tracking_configs.model import TrackingConfig, encode_config, known_actions, payload_key
from tracking_configs.payload_decoder import event_type, scenario_data_type
from tracking_configs.signals import MAX_CATEGORY, MAX_DWELL_MS, NOTHING_DRAWN, Drawn, Signals, signals_of
from tracking_configs.template import CUSTOM, FieldSpec

_UNKNOWN: Final = ("an action that is not in the list",)
_CACHED_VALUES: Final = 1024  # values a pattern is known to match; longer ones than 64 characters are not kept
_CACHED_LENGTH: Final = 64
_NOT_OF_EVENTS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("tenant_id", "scenario_id", "name", "description", "author", "reason"), ""),
    **dict.fromkeys(("version", "created_at", "updated_at"), 0),
}


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class CompiledConfig:
    """A config and what was made of it.

    `required`: for each action of the scenario, the names of the fields it needs. `free`: a custom scenario
    that declares no field; its payload is any object. `decode_event`: a whole event at once, see `lean_judge.py`; it
    raises msgspec.MsgspecError.
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
    decode_event: Callable[[bytes], Any]
    _decode: Callable[[msgspec.Raw], Any]
    # Attributes of the decoded payload.
    _needed: Mapping[str, tuple[str, ...]]
    _patterns: tuple[tuple[str, Matcher], ...]
    _dwell: str | None
    _completion: str | None
    _categories: tuple[str, ...]

    def read(self, action: str, scenario_data: msgspec.Raw) -> Reading | None:
        """What a clean event says; None where it is not clean or not fast."""
        try:
            drawn = self.drawn_of(action, self._decode(scenario_data) if scenario_data else msgspec.UNSET)
        except msgspec.MsgspecError:
            return None
        return None if drawn is None else (self.signals, self.version, drawn)

    def drawn_of(self, action: str, scenario_data: Any) -> Drawn | None:
        """What decoded scenario data say, or UNSET; None where they lack what the action needs, or are not fast."""
        if scenario_data is msgspec.UNSET:
            return None if self.required.get(action, _UNKNOWN) else NOTHING_DRAWN
        payload, needed = scenario_data.payload, self._needed.get(action)
        if needed is None:
            return None
        for attribute in needed:
            if getattr(payload, attribute) is None:
                return None
        for attribute, matches in self._patterns:
            value = getattr(payload, attribute)
            if value is not None and not matches(value):
                return None
        return self._draw(payload)

    def _draw(self, payload: Any) -> Drawn:
        """`Signals.draw` on a decoded payload, whose types are known."""
        dwell_ms, completion, category = 0, None, None
        if self._dwell and (dwell := getattr(payload, self._dwell)) is not None and dwell > 0:
            dwell *= self.signals.dwell_unit_ms
            dwell_ms = int(dwell) if dwell < MAX_DWELL_MS else MAX_DWELL_MS
        if self._completion and (share := getattr(payload, self._completion)) is not None and 0 <= share <= 1:
            completion = share
        for attribute in self._categories:
            if (name := getattr(payload, attribute)) and len(name) <= MAX_CATEGORY:
                category = name
                break
        return Drawn(dwell_ms, completion, category)


_in_use: Final[WeakValueDictionary[bytes, CompiledConfig]] = WeakValueDictionary()


def compile_config(config: TrackingConfig) -> CompiledConfig:
    """Compile a config that `checks.check_config` passed.

    Configs that say the same of events share everything but the config itself: thousands are a template unchanged.
    """
    said = encode_config(msgspec.structs.replace(config, **_NOT_OF_EVENTS))
    key = blake2b(said, digest_size=32).digest()
    equal = _in_use.get(key)
    compiled = _compiled(config) if equal is None else replace(equal, config=config, version=config.version)
    _in_use[key] = compiled
    return compiled


def _compiled(config: TrackingConfig) -> CompiledConfig:
    specs = {field.field_name: field for field in config.fields}
    attributes = {name: f"f{index}" for index, name in enumerate(specs)}
    matchers = {name: matcher(spec.pattern) for name, spec in specs.items() if spec.pattern is not None}
    required = {action: required_fields(config, action) for action in known_actions(config)}
    free = config.scenario_type == CUSTOM and not specs
    key = payload_key(config.scenario_type)
    signals = signals_of(config)
    scenario_data = scenario_data_type(key, specs, attributes, closed=not free)
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
        decode_event=msgspec.json.Decoder(event_type(scenario_data)).decode,
        _decode=msgspec.json.Decoder(scenario_data).decode,
        _needed={action: tuple(attributes[name] for name in names) for action, names in required.items()},
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
