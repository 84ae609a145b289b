"""From the store to the change topic: every stored change gets there, and the newest of a config is its last record.

The topic is compacted, so a reader that comes late sees only a config's last record. Two processes may publish
versions of one config in the wrong order; whoever published an old one therefore looks again and publishes the newer.
"""

import asyncio
from typing import Final

import structlog
from aiokafka.errors import KafkaError

from schemas.metrics import CONFIG_STORE_UP
from tracking_configs.errors import ConfigError, ConfigStoreUnavailableError
from tracking_configs.feed import ConfigPublisher
from tracking_configs.model import TrackingConfig
from tracking_configs.store import ConfigStore

log = structlog.get_logger()

PASS_EVERY_S: Final = 5.0


class ConfigOutbox:
    """Publishes what the store holds. A change that Kafka did not take stays in the store's outbox."""

    def __init__(self, store: ConfigStore, publisher: ConfigPublisher) -> None:
        self._store = store
        self._publisher = publisher

    async def publish(self, config: TrackingConfig) -> bool:
        """Publish a stored config, and what is newer by then; False where it has to wait."""
        try:
            published = [config]
            await self._publisher.publish(config)
            while newer := await self._store.get(config.tenant_id, config.scenario_id, published[-1].version + 1):
                await self._publisher.publish(newer)
                published.append(newer)
            for each in published:  # only now: until the newest is out, the entries remind the next pass of it
                await self._store.mark_published(each)
        except (KafkaError, OSError, TimeoutError, ConfigError) as error:
            # Stored and in the outbox: a later pass sends it again, and twice does no harm.
            why = str(error) or type(error).__name__
            log.warning("config_publish_delayed", tenant=config.tenant_id, scenario=config.scenario_id, error=why)
            return False
        return True

    async def publish_waiting(self) -> int:
        """One pass; how many were sent. It stops at the first that Kafka does not take."""
        sent = 0
        for config in await self._store.unpublished():
            if not await self.publish(config):
                break
            sent += 1
        return sent

    async def keep_published(self) -> None:
        """A pass now and again, until cancelled; it also tells whether the store answers."""
        while True:
            try:
                while await self.publish_waiting():
                    pass
                CONFIG_STORE_UP.set(1)
            except ConfigStoreUnavailableError as error:
                CONFIG_STORE_UP.set(0)
                log.warning("config_store_away", error=str(error))
            await asyncio.sleep(PASS_EVERY_S)
