"""Which version of a config is in force."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.metrics import CONFIGS_HELD
from tests.tracking_configs.factories import make_config, make_field, make_registry
from tracking_configs.compiler import CompiledConfig, compile_config
from tracking_configs.model import TrackingConfig


def deleted(version: int) -> TrackingConfig:
    return msgspec.structs.replace(make_config(version=version), is_active=False)


def test_a_newer_version_replaces_an_older_one_and_not_the_other_way_round() -> None:
    registry = make_registry(make_config(version=2))
    assert not registry.apply(make_config(version=1))
    assert not registry.apply(make_config(version=2))
    assert registry.apply(make_config(version=3))
    held = registry.get("acme", "feed")
    assert held is not None and held.version == 3


def test_a_deleted_config_judges_nothing_and_is_not_brought_back_by_an_older_one() -> None:
    registry = make_registry(make_config(), deleted(3))
    assert registry.get("acme", "feed") is None
    registry.apply(make_config(version=2))
    assert registry.get("acme", "feed") is None
    assert registry.all() == ()


def test_a_deleted_config_comes_back_with_a_newer_version() -> None:
    registry = make_registry(deleted(1), make_config(version=2))
    assert registry.all() == (make_config(version=2),)


def test_a_config_is_its_tenants_own() -> None:
    registry = make_registry(make_config())
    assert registry.get("other", "feed") is None
    assert [config.tenant_id for config in registry.all()] == ["acme"]


def test_what_was_compiled_before_a_change_judges_nothing_after_it() -> None:
    registry = make_registry(make_config())
    assert registry.get("acme", "feed") is not None
    registry.apply(make_config(version=2, fields=[make_field("score", "number")]))
    held = registry.get("acme", "feed")
    assert held is not None and list(held.specs) == ["score"]


def test_a_config_is_compiled_once_and_only_when_an_event_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []

    def compile_it(config: TrackingConfig) -> CompiledConfig:
        compiled.append(config.scenario_id)
        return compile_config(config)

    monkeypatch.setattr("tracking_configs.registry.compile_config", compile_it)
    registry = make_registry(make_config(scenario_id="asked"), make_config(scenario_id="not_asked"))
    assert not compiled
    assert registry.get("acme", "asked") is registry.get("acme", "asked")
    assert compiled == ["asked"]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 6), st.booleans())))
def test_the_newest_version_is_in_force_whatever_the_order(changes: list[tuple[str, int, bool]]) -> None:
    registry, newest = make_registry(), dict[str, TrackingConfig]()
    for scenario, version, is_active in changes:
        config = make_config(scenario_id=scenario, version=version)
        config = msgspec.structs.replace(config, is_active=is_active)
        if registry.apply(config):
            newest[scenario] = config
        assert newest[scenario].version >= version
    assert len(registry.all()) == registry.count == sum(config.is_active for config in newest.values())
    for scenario, config in newest.items():
        held = registry.get("acme", scenario)
        assert (held.config if held else None) == (config if config.is_active else None)


def test_the_metric_counts_the_active_ones() -> None:
    make_registry(make_config(scenario_id="one"), make_config(scenario_id="two"), deleted(1))
    assert CONFIGS_HELD._value.get() == 2
