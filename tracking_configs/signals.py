"""What a scenario's events say about interest, ready for the judge: weight, liking, dwell, completion, category."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import msgspec

from tracking_configs.model import ConfigDraft, TrackingConfig, config_of
from tracking_configs.template import CUSTOM, Template, load_templates

MAX_DWELL_MS: Final = 24 * 60 * 60 * 1000  # nobody stays longer in one event; what says so is wrong
MAX_CATEGORY: Final = 256


class Drawn(msgspec.Struct, frozen=True, gc=False):
    """What one payload says. `dwell_ms` is 0 and the others None where it says nothing."""

    dwell_ms: int = 0
    completion: float | None = None
    category: str | None = None


NOTHING_DRAWN: Final = Drawn()


@dataclass(frozen=True, slots=True)
class Signals:
    """One scenario's signals. `dwell_unit_ms` is how many ms one unit of `dwell_field` is."""

    scenario_type: str
    weights: Mapping[str, float]
    positive_actions: frozenset[str]
    min_completion: float
    min_dwell_ms: float
    hot_half_life_h: float
    session_gap_min: int
    dwell_field: str | None
    dwell_unit_ms: int
    completion_field: str | None
    category_fields: tuple[str, ...]

    def draw(self, values: Mapping[str, Any]) -> Drawn:
        """What a payload says, whatever state it is in."""
        dwell = self.dwell_ms(values.get(self.dwell_field)) if self.dwell_field else 0
        completion = completion_of(values.get(self.completion_field)) if self.completion_field else None
        return Drawn(dwell, completion, first_category([values.get(name) for name in self.category_fields]))

    def dwell_ms(self, value: Any) -> int:
        if type(value) not in (int, float) or not value > 0:
            return 0
        return int(min(value * self.dwell_unit_ms, MAX_DWELL_MS))

    def is_positive(self, action: str, drawn: Drawn) -> bool:
        """Whether an event says that its user liked the item; a dwell or completion it lacks says nothing."""
        if action not in self.positive_actions:
            return False
        completion = drawn.completion
        return (completion is None or completion >= self.min_completion) and not 0 < drawn.dwell_ms < self.min_dwell_ms


def completion_of(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and 0 <= value <= 1 else None


def first_category(values: list[Any]) -> str | None:
    """The first of a payload's category fields that holds a usable name."""
    for value in values:
        if isinstance(value, str) and 0 < len(value) <= MAX_CATEGORY:
            return value
    return None


def signals_of(config: TrackingConfig) -> Signals:
    """The config's signals. Actions outside its list, which are taken with a warning, have their generic weight."""
    positive, dwell = config.positive, config.dwell
    return Signals(
        scenario_type=config.scenario_type,
        weights={**generic_weights(), **config.weights},
        positive_actions=_positive_actions(config),
        min_completion=positive.min_completion or 0.0,
        min_dwell_ms=(positive.min_dwell_s or 0.0) * 1000,
        hot_half_life_h=config.hot_half_life_h,
        session_gap_min=config.session_gap_min,
        dwell_field=dwell.field if dwell else None,
        dwell_unit_ms=1000 if dwell and dwell.unit == "s" else 1,
        completion_field=config.completion_field,
        category_fields=config.category_fields,
    )


def _positive_actions(config: TrackingConfig) -> frozenset[str]:
    """Those the config names; where it names none, every action that weighs something."""
    if config.positive.actions:
        return frozenset(config.positive.actions)
    return frozenset(action for action, weight in {**generic_weights(), **config.weights}.items() if weight > 0)


@cache
def signals_of_template(template_id: str) -> Signals:
    """The signals of events without a config, whose payload names the template; of a custom scenario for any other."""
    template = load_templates().get(template_id)
    return signals_of(config_of(_bare_draft(template), version=0, created_at=0, updated_at=0))


def _bare_draft(template: Template | None) -> ConfigDraft:
    fields = template.fields if template else ()
    kind = template.id if template else CUSTOM
    return ConfigDraft(tenant_id="", scenario_id="", scenario_type=kind, name=kind, optional_fields=fields)


@cache
def generic_weights() -> Mapping[str, float]:
    """Every built-in action; where templates differ, the lowest weight that one of them gives."""
    weights: dict[str, float] = {}
    for template in load_templates().values():
        for action, weight in template.actions.items():
            weights[action] = min(weight, weights.get(action, weight))
    return weights


@cache
def signals_by_payload_key() -> Mapping[str, Signals]:
    """For events without a config: what the key of their payload tells."""
    return {template.payload_key: signals_of_template(template.id) for template in load_templates().values()}
