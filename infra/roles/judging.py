"""The judge of a process: a registry that follows the change topic, and what the stream asks of its configs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from infra.roles.erasing import erased_feed
from infra.roles.role import Role
from recommenders.mix import RecallMix, Share
from schemas.erased import ErasedUsers
from streams.features.model import ScenarioSignals
from streams.interpreter import settle_interpreter
from tracking_configs.feed import ConfigFeed
from tracking_configs.judge import Judge
from tracking_configs.registry import ConfigRegistry
from tracking_configs.signals import signals_of_template


@dataclass(frozen=True)
class Judging:
    registry: ConfigRegistry
    feed: ConfigFeed
    judge: Judge
    erased: ErasedUsers

    def scenario_signals(self, tenant: str, scenario_id: str, scenario_type: str) -> ScenarioSignals:
        """What the scenario's config says of sessions and hot lists; without a config, what its template says."""
        config = self.registry.get(tenant, scenario_id)
        signals = config.signals if config else signals_of_template(scenario_type)
        return ScenarioSignals(
            session_gap_ms=int(signals.session_gap_min * 60_000), half_life_ms=int(signals.hot_half_life_h * 3_600_000)
        )

    def recall_mix(self, tenant: str, scenario_id: str) -> RecallMix:
        """What the scenario's config in force says of the recall sources; nothing without a config."""
        config = self.registry.get(tenant, scenario_id)
        mix = config.config.recall_mix if config else {}
        return {source: Share(share.quota, share.weight) for source, share in mix.items()}


@asynccontextmanager
async def open_judging(role: Role) -> AsyncIterator[Judging]:
    """A judge that knows every config, and everybody erased, that the topics held when it began.

    Waits for Kafka as long as it is away.
    """
    registry, erased = ConfigRegistry(), ErasedUsers(role.settings.erased_users)
    feed = ConfigFeed(registry, role.deps.kafka, replication=role.settings.replication)
    erasures = erased_feed(role, erased)
    judge = Judge(registry, refuse_unknown_scenarios=role.settings.refuse_unknown_scenarios, erased=erased)
    try:
        await role.until_stopped(asyncio.gather(feed.start(), erasures.start()))
        role.checks["configs"] = lambda: feed.healthy
        settle_interpreter()
        yield Judging(registry, feed, judge, erased)
    finally:
        await asyncio.gather(feed.stop(), erasures.stop())
