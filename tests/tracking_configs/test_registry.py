"""Which version of a config is in force."""

import msgspec

from tests.tracking_configs.factories import make_config, make_registry


def test_a_newer_version_replaces_an_older_one_and_not_the_other_way_round() -> None:
    registry = make_registry(make_config(version=2))
    assert not registry.apply(make_config(version=1))
    assert not registry.apply(make_config(version=2))
    assert registry.apply(make_config(version=3))
    held = registry.get("acme", "feed")
    assert held is not None and held.version == 3


def test_a_deleted_config_judges_nothing_and_is_not_brought_back_by_an_older_one() -> None:
    registry = make_registry(make_config(), msgspec.structs.replace(make_config(version=2), is_active=False))
    assert registry.get("acme", "feed") is None
    registry.apply(make_config(version=1))
    assert registry.all() == ()


def test_a_config_is_its_tenants_own() -> None:
    registry = make_registry(make_config())
    assert registry.get("other", "feed") is None
    assert [compiled.config.tenant_id for compiled in registry.all()] == ["acme"]
