"""What a scenario's events say about interest: the weight of each action, the dwell time, the category."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from tracking_configs.template import CUSTOM, Template, load_templates

MAX_DWELL_MS: Final = 24 * 60 * 60 * 1000  # nobody stays longer in one event; what says so is wrong
MAX_CATEGORY: Final = 256
DECLARED_WEIGHT: Final = 1.0  # of an action that only a config knows
DEFAULT_HOT_HALF_LIFE_H: Final = 24.0
DEFAULT_SESSION_GAP_MIN: Final = 30


@dataclass(frozen=True, slots=True)
class Signals:
    """One scenario's signals. `dwell_unit_ms` is how many ms one unit of `dwell_field` is."""

    scenario_type: str
    weights: Mapping[str, float]
    hot_half_life_h: float = DEFAULT_HOT_HALF_LIFE_H
    session_gap_min: int = DEFAULT_SESSION_GAP_MIN
    dwell_field: str | None = None
    dwell_unit_ms: int = 1000
    category_field: str | None = None

    def draw(self, values: Mapping[str, Any]) -> tuple[int, str | None]:
        """Dwell in ms (0 where there is none) and category of a payload, whatever state that is in."""
        dwell = self.dwell_ms(values.get(self.dwell_field)) if self.dwell_field else 0
        return dwell, category_of(values.get(self.category_field)) if self.category_field else None

    def dwell_ms(self, value: Any) -> int:
        if type(value) not in (int, float) or not value > 0:
            return 0
        return int(min(value * self.dwell_unit_ms, MAX_DWELL_MS))


def category_of(value: Any) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= MAX_CATEGORY else None


def signals_of(template: Template | None, further_actions: Iterable[str] = ()) -> Signals:
    """The signals of a template's scenario; of a custom one where there is no template."""
    weights = {**dict.fromkeys(further_actions, DECLARED_WEIGHT), **generic_weights()}
    if template is None:
        return Signals(CUSTOM, weights)
    dwell = template.dwell
    return Signals(
        scenario_type=template.id,
        weights={**weights, **template.actions},
        hot_half_life_h=template.hot_half_life_h,
        session_gap_min=template.session_gap_min,
        dwell_field=dwell.field if dwell else None,
        dwell_unit_ms=1000 if dwell and dwell.unit == "s" else 1,
        category_field=template.category_field,
    )


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
    return {template.payload_key: signals_of(template) for template in load_templates().values()}
