"""The tracking configs in force in this process."""

from functools import cached_property

from schemas.metrics import CONFIGS_HELD
from tracking_configs.compiler import CompiledConfig, compile_config
from tracking_configs.model import TrackingConfig


class _Held:
    """One version of a config, compiled when its first event comes: most processes see few of the configs."""

    def __init__(self, config: TrackingConfig) -> None:
        self.config = config

    @cached_property
    def compiled(self) -> CompiledConfig | None:
        return compile_config(self.config) if self.config.is_active else None


class ConfigRegistry:
    """The newest version of each config. Reads take no lock: a change replaces one entry.

    A deleted config is held too, so that no older version of it comes back.
    """

    def __init__(self) -> None:
        self._newest: dict[tuple[str, str], _Held] = {}
        self.count = 0  # of active configs

    def get(self, tenant: str, scenario: str) -> CompiledConfig | None:
        """The config that judges this scenario's events; None without one, or with a deleted one."""
        held = self._newest.get((tenant, scenario))
        return held.compiled if held is not None else None

    def lacks(self, config: TrackingConfig) -> bool:
        """Whether this version is newer than what is held."""
        held = self._newest.get((config.tenant_id, config.scenario_id))
        return held is None or config.version > held.config.version

    def apply(self, config: TrackingConfig) -> bool:
        """Put a version in force. False, and nothing done, where this or a newer one is in force already."""
        if not self.lacks(config):
            return False
        key = config.tenant_id, config.scenario_id
        before = self._newest.get(key)
        self.count += config.is_active - (before is not None and before.config.is_active)
        self._newest[key] = _Held(config)
        CONFIGS_HELD.set(self.count)
        return True

    def all(self) -> tuple[TrackingConfig, ...]:
        """Every active config."""
        return tuple(held.config for held in self._newest.values() if held.config.is_active)
