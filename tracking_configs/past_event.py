"""A past event, and what a config says of it: as the judge would, had that config been in force when it came."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from schemas.event import Event, Source
from schemas.topics import RAW_PREFIX, tenant_of
from schemas.verdict import Code, Issue
from tracking_configs.assembly import NO_CONFIG, Arrival
from tracking_configs.base import ABSENT
from tracking_configs.compiler import CompiledConfig, compile_config
from tracking_configs.explain import bounded
from tracking_configs.json_text import plain
from tracking_configs.judge import Judge
from tracking_configs.model import TrackingConfig
from tracking_configs.registry import ConfigRegistry
from tracking_configs.slow_path import action_issues, scenario_issues

BASE_WARNINGS: Final = (Code.EVENT_ID_MISSING, Code.UNKNOWN_FIELD)  # those that no config makes or takes away


class TakenEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An accepted event as it was stored, where an enum's own value stands for an alias. Times are ms UTC.

    `base_warnings` are those of BASE_WARNINGS that it carried.
    """

    event_id: str
    tenant_id: str
    scenario_id: str
    user_id: str
    item_id: str
    action_type: str
    timestamp: int
    context: msgspec.Raw
    received_at: int
    scenario_data: msgspec.Raw = ABSENT
    base_warnings: tuple[Issue, ...] = ()

    @property
    def body(self) -> bytes:
        """The event as JSON, without the parts that no config looks at: position, experiment, extra_data."""
        shown = {name: getattr(self, name) for name in _SHOWN}
        data = {"scenario_data": self.scenario_data} if self.scenario_data else {}
        return msgspec.json.encode(shown | data)


_SHOWN: Final = ("event_id", "tenant_id", "scenario_id", "user_id", "item_id", "action_type", "timestamp", "context")


class RefusedEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A rejected event: its bytes, and where and when (ms UTC) they came in."""

    body: bytes
    topic: str
    partition: int
    offset: int
    received_at: int


PastEvent = TakenEvent | RefusedEvent


class Outcome(StrEnum):
    """What becomes of an event: taken without a word, taken with warnings, or not taken."""

    PASS = "pass"  # noqa: S105 - no password
    WARN = "warn"
    REJECT = "reject"


class Finding(NamedTuple):
    """`reasons`: the message of each (code, field), where `field` has `*` for an item's number or key."""

    outcome: Outcome
    reasons: Mapping[tuple[Code, str], str]


_CLEAN: Final = Finding(Outcome.PASS, {})


class PastJudge:
    """Judges the past events of one scenario by one config, or by none; a deleted config is none.

    `refuse_unknown_scenarios` as for `Judge`.
    """

    def __init__(self, config: TrackingConfig | None, refuse_unknown_scenarios: frozenset[str] = frozenset()) -> None:
        self._config = compile_config(config) if config is not None and config.is_active else None
        self._refusing = refuse_unknown_scenarios
        self._judge = Judge(_OneConfig(self._config), refuse_unknown_scenarios=refuse_unknown_scenarios)
        self._payload_path = f"scenario_data.{self._config.payload_key}." if self._config else None

    def judge(self, event: PastEvent) -> Finding:
        """An accepted event is judged only in what depends on the config, a rejected one as a whole."""
        if isinstance(event, TakenEvent):
            return self._judge_taken(event)
        verdict = self._judge.judge(event.body, _arrival_of(event))
        if isinstance(verdict, Event):
            return self._taken(verdict.validation_warnings)
        return self._found(Outcome.REJECT, verdict.errors)

    def _judge_taken(self, event: TakenEvent) -> Finding:
        config = self._config
        if config is not None and config.read(event.action_type, event.scenario_data) is not None:
            return self._taken(event.base_warnings)
        values = {"action_type": event.action_type}
        if event.scenario_data:
            values["scenario_data"] = plain(event.scenario_data)
        errors = [
            *action_issues(values, config),
            *([NO_CONFIG] if config is None and event.tenant_id in self._refusing else ()),
        ]
        if errors:
            return self._found(Outcome.REJECT, errors)
        issues = bounded(scenario_issues(values, config))
        if issues and config is not None and config.rejects:
            return self._found(Outcome.REJECT, issues)
        return self._taken((*event.base_warnings, *issues))

    def _taken(self, warnings: tuple[Issue, ...]) -> Finding:
        return self._found(Outcome.WARN, warnings) if warnings else _CLEAN

    def _found(self, outcome: Outcome, issues: Iterable[Issue]) -> Finding:
        return Finding(outcome, {(issue.code, self._folded(issue)): issue.message for issue in issues})

    def _folded(self, issue: Issue) -> str:
        """The issue's field, with `*` below a declared one: no reason falls apart by the items of an array."""
        path = self._payload_path
        if path is None or issue.code is Code.UNDECLARED_FIELD or not issue.field.startswith(path):
            return issue.field
        name, item, _ = issue.field[len(path) :].partition(".")
        return f"{path}{name}.*" if item else issue.field


class _OneConfig(ConfigRegistry):
    """One config at the most, apart from those in force; nothing is put into it, so no metric moves."""

    def __init__(self, config: CompiledConfig | None) -> None:
        super().__init__()
        self._config = config

    def get(self, tenant: str, scenario: str) -> CompiledConfig | None:
        config = self._config
        if config is None or (config.config.tenant_id, config.config.scenario_id) != (tenant, scenario):
            return None
        return config


def _arrival_of(event: RefusedEvent) -> Arrival:
    return Arrival(
        source=Source.KAFKA,
        received_at=event.received_at,
        tenant=tenant_of(event.topic, RAW_PREFIX),
        topic=event.topic,
        partition=event.partition,
        offset=event.offset,
    )
