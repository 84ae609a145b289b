"""What past events say about tracking configs: what a candidate does to them, what they suggest, how good they are."""

import asyncio
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from aiokafka.errors import KafkaError

from ingest_api.event_store import EventStore
from ingest_api.past_events import past_events, raw_events, stored_events
from ingest_api.quality import Quality, quality_of
from schemas.clock import Clock, system_clock
from schemas.kafka import KafkaDsn
from tracking_configs.change import Change
from tracking_configs.diff import compare
from tracking_configs.errors import EventsUnavailableError
from tracking_configs.from_template import from_template
from tracking_configs.model import TrackingConfig, draft_of
from tracking_configs.preview import Preview, preview
from tracking_configs.service import Applied, Authorship, ConfigService, Guard
from tracking_configs.suggest import Suggestion, suggest

_IDENTITY = ("tenant_id", "scenario_id")


class Previewed(msgspec.Struct, frozen=True):
    """What the candidate changes by its text (None where there is no config yet), and on real events."""

    change: Change | None
    preview: Preview


class ConfigInsights:
    """Raises EventsUnavailableError where ClickHouse or Kafka does not answer.

    `refuse_unknown_scenarios`: as the judge has it.
    """

    def __init__(
        self,
        service: ConfigService,
        events: EventStore,
        kafka: KafkaDsn,
        *,
        refuse_unknown_scenarios: frozenset[str] = frozenset(),
        clock: Clock = system_clock,
    ) -> None:
        self._service = service
        self._refusing = refuse_unknown_scenarios
        self._events = events
        self._kafka = kafka
        self._clock = clock

    async def preview(self, tenant: str, scenario: str, parts: dict[str, Any], last: int) -> Previewed:
        """The candidate that `parts` make of the current config, against the newest `last` events.

        Raises InvalidConfigError for parts that make no config.
        """
        then = await self._service.candidate(tenant, scenario, parts)
        now = await self._service.store.get(tenant, scenario)
        try:
            events = await past_events(self._events, self._kafka, tenant, scenario, last)
        except (KafkaError, OSError, TimeoutError) as error:
            raise EventsUnavailableError("Kafka", str(error) or type(error).__name__) from error
        judged_now = now if now is not None and now.is_active else None
        found = await asyncio.to_thread(preview, events, judged_now, then, refuse_unknown_scenarios=self._refusing)
        return Previewed(_change(now, then), found)

    async def parts_of(
        self, tenant: str, scenario: str, template_id: str, overrides: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """A template with overrides, as parts of a config. Raises TemplateNotFoundError, InvalidConfigError."""
        template = self._service.template(template_id)
        draft = from_template(template, tenant, scenario, template.name, dict(overrides or {}))
        return _parts(msgspec.to_builtins(draft))

    async def draft_parts(self, tenant: str, scenario: str) -> dict[str, Any]:
        """The saved draft, as parts of a config. Raises DraftNotFoundError."""
        saved = await self._service.store.get_draft(tenant, scenario)
        return _parts(msgspec.json.decode(saved.text, type=Suggestion).draft)

    async def suggest(
        self, tenant: str, scenario: str, source: Literal["clickhouse", "topic"], hours: int, last: int
    ) -> Suggestion:
        """A proposed config, which is saved as the scenario's draft. Raises NothingToSuggestError."""
        try:
            if source == "topic":
                samples = await raw_events(self._kafka, tenant, scenario, last)
            else:
                samples = await stored_events(self._events, tenant, scenario, hours, last)
        except (KafkaError, OSError, TimeoutError) as error:
            raise EventsUnavailableError("Kafka", str(error) or type(error).__name__) from error
        found = await asyncio.to_thread(suggest, tenant, scenario, samples)
        text = msgspec.json.encode(found).decode()
        await self._service.store.save_draft(tenant, scenario, text, self._clock())
        return found

    async def publish_draft(self, tenant: str, scenario: str, guard: Guard, by: Authorship) -> Applied:
        """The saved draft in force: a new config, or the next version. Raises as `ConfigService.update` does."""
        parts = await self.draft_parts(tenant, scenario)
        if await self._service.store.get(tenant, scenario) is None:
            then = await self._service.candidate(tenant, scenario, parts)
            applied = await self._service.create(draft_of(then), by)
        else:
            applied = await self._service.update(tenant, scenario, parts, guard, by)
        await self._service.store.delete_draft(tenant, scenario)
        return applied

    async def quality(self, tenant: str, scenario: str, hours: int) -> Quality:
        """How good the scenario's events of the last hours were, and what was wrong with them."""
        return await quality_of(self._events, tenant, scenario, hours=hours, clock=self._clock)


def _parts(draft: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in draft.items() if name not in _IDENTITY}


def _change(now: TrackingConfig | None, then: TrackingConfig) -> Change | None:
    return compare(now, then) if now is not None else None
