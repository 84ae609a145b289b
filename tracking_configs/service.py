"""Tracking configs as the doors offer them: checked, stored, in force here at once and everywhere through the topic."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import structlog
from aiokafka.errors import KafkaError

from schemas.clock import Clock, system_clock
from tracking_configs.checks import check_config
from tracking_configs.errors import ConfigError, ConfigNotFoundError, TemplateNotFoundError
from tracking_configs.feed import ConfigPublisher
from tracking_configs.from_template import from_template
from tracking_configs.model import ConfigDraft, TrackingConfig, config_of
from tracking_configs.registry import ConfigRegistry
from tracking_configs.store import ConfigStore, Page
from tracking_configs.template import Template

log = structlog.get_logger()

OUTBOX_EVERY_S: Final = 5.0


class ConfigService:
    """Creates and reads configs.

    A config that is stored but could not be published stays in the outbox; `keep_published` sends it later.
    """

    def __init__(
        self,
        store: ConfigStore,
        publisher: ConfigPublisher,
        templates: Mapping[str, Template],
        registry: ConfigRegistry,
        clock: Clock = system_clock,
    ) -> None:
        self.templates = templates
        self._store = store
        self._publisher = publisher
        self._registry = registry
        self._clock = clock

    def template(self, template_id: str) -> Template:
        """Raises TemplateNotFoundError."""
        if template_id not in self.templates:
            raise TemplateNotFoundError(template_id, tuple(self.templates))
        return self.templates[template_id]

    async def from_template(
        self, tenant: str, scenario: str, template_id: str, name: str, overrides: dict[str, Any] | None = None
    ) -> TrackingConfig:
        """A config made from a template. Raises TemplateNotFoundError, and what `create` raises."""
        return await self.create(from_template(self.template(template_id), tenant, scenario, name, overrides))

    async def create(self, draft: ConfigDraft) -> TrackingConfig:
        """Version 1 of a config, in force.

        Raises InvalidConfigError, ConfigExistsError, ConfigStoreUnavailableError.
        """
        check_config(draft)
        now = self._clock()
        config = config_of(draft, version=1, created_at=now, updated_at=now)
        await self._store.create(config)
        self._registry.apply(config)
        log.info("config_created", tenant=config.tenant_id, scenario=config.scenario_id, version=config.version)
        await self._try_to_publish(config)
        return config

    async def get(self, tenant: str, scenario: str, version: int | None = None) -> TrackingConfig:
        """The current version, or the one asked for. Raises ConfigNotFoundError."""
        config = await self._store.get(tenant, scenario, version)
        if config is None:
            raise ConfigNotFoundError(tenant, scenario, version)
        return config

    async def list_page(
        self,
        *,
        tenant: str | None = None,
        scenario_type: str | None = None,
        include_inactive: bool = False,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """A page of current versions. Raises InvalidCursorError."""
        return await self._store.list_page(
            tenant=tenant, scenario_type=scenario_type, include_inactive=include_inactive, limit=limit, cursor=cursor
        )

    async def publish_unpublished(self) -> int:
        """One pass over the outbox; how many were sent. It stops at the first that Kafka does not take."""
        sent = 0
        for config in await self._store.unpublished():
            if not await self._try_to_publish(config):
                break
            sent += 1
        return sent

    async def keep_published(self) -> None:
        """Empty the outbox, now and again, until cancelled."""
        while True:
            try:
                await self.publish_unpublished()
            except ConfigError as error:
                log.warning("config_outbox_waits", error=str(error))
            await asyncio.sleep(OUTBOX_EVERY_S)

    async def _try_to_publish(self, config: TrackingConfig) -> bool:
        try:
            await self._publisher.publish(config)
            await self._store.mark_published(config)
        except (KafkaError, OSError, TimeoutError, ConfigError) as error:
            # Stored and marked as unpublished: the outbox sends it again, and twice does no harm.
            why = str(error) or type(error).__name__
            log.warning("config_publish_delayed", tenant=config.tenant_id, scenario=config.scenario_id, error=why)
            return False
        return True
