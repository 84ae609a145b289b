"""The tracking configs in force in this process."""

from schemas.metrics import CONFIGS_HELD
from tracking_configs.compiler import CompiledConfig, compile_config
from tracking_configs.model import TrackingConfig


class ConfigRegistry:
    """The newest version of each config, compiled. Reads take no lock: a change replaces one entry."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, str], CompiledConfig] = {}
        self._active: dict[tuple[str, str], CompiledConfig] = {}

    def get(self, tenant: str, scenario: str) -> CompiledConfig | None:
        """The config that judges this scenario's events; None without one, or with a deleted one."""
        return self._active.get((tenant, scenario))

    def apply(self, config: TrackingConfig) -> bool:
        """Put a version in force. False, and nothing done, where this or a newer one is in force already."""
        key = config.tenant_id, config.scenario_id
        held = self._newest.get(key)
        if held is not None and held.config.version >= config.version:
            return False
        compiled = compile_config(config)
        self._newest[key] = compiled
        if config.is_active:
            self._active[key] = compiled
        else:
            self._active.pop(key, None)
        CONFIGS_HELD.set(len(self._active))
        return True

    def all(self) -> tuple[CompiledConfig, ...]:
        """Every active config."""
        return tuple(self._active.values())
