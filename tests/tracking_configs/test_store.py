"""The store on a real server of MongoDB's protocol."""

from typing import Any

import msgspec
import pytest
from pymongo.asynchronous.database import AsyncDatabase

from tests.tracking_configs.factories import make_config, template_config
from tracking_configs.errors import ConfigExistsError, InvalidCursorError
from tracking_configs.model import TrackingConfig
from tracking_configs.store import ConfigStore, Page

pytestmark = pytest.mark.stack


@pytest.fixture
def store(mongo_database: AsyncDatabase[dict[str, Any]]) -> ConfigStore:
    return ConfigStore(mongo_database)


def names(page: Page) -> list[str]:
    return [config.scenario_id for config in page.items]


async def test_what_was_stored_is_read_back(store: ConfigStore, tenant: str) -> None:
    config = msgspec.structs.replace(
        template_config("music", fields={"bpm": {"default": {"$a.b": 2**70}}}), tenant_id=tenant
    )
    await store.create(config)
    assert await store.get(tenant, config.scenario_id) == config
    assert await store.get(tenant, config.scenario_id, 1) == config
    assert await store.get(tenant, config.scenario_id, 2) is None
    assert await store.get(tenant, "other") is None


async def test_a_version_is_stored_once(store: ConfigStore, tenant: str) -> None:
    await store.create(make_config(tenant_id=tenant))
    with pytest.raises(ConfigExistsError):
        await store.create(make_config(tenant_id=tenant, name="Another"))
    found = await store.get(tenant, "feed")
    assert found is not None and found.name == "Feed"


async def test_the_current_version_is_the_highest(store: ConfigStore, tenant: str) -> None:
    for version in (2, 10, 9):
        await store.create(make_config(tenant_id=tenant, version=version))
    found = await store.get(tenant, "feed")
    assert found is not None and found.version == 10


async def test_pages_hold_each_current_config_once_and_in_order(store: ConfigStore, tenant: str) -> None:
    for name in ("d", "a", "c", "e", "b"):
        await store.create(make_config(tenant_id=tenant, scenario_id=name))
        await store.create(make_config(tenant_id=tenant, scenario_id=name, version=2))
    seen: list[TrackingConfig] = []
    sizes: list[int] = []
    cursor: str | None = None
    while True:
        page = await store.list_page(tenant=tenant, limit=2, cursor=cursor)
        seen += page.items
        sizes.append(len(page.items))
        if (cursor := page.next_cursor) is None:
            break
    assert ([config.scenario_id for config in seen], sizes) == (list("abcde"), [2, 2, 1])
    assert {config.version for config in seen} == {2}


async def test_a_list_leaves_out_other_types_and_deleted_ones(store: ConfigStore, tenant: str) -> None:
    await store.create(make_config(tenant_id=tenant, scenario_id="plain"))
    await store.create(make_config(tenant_id=tenant, scenario_id="film", scenario_type="video"))
    gone = make_config(tenant_id=tenant, scenario_id="gone")
    await store.create(gone)
    await store.create(msgspec.structs.replace(gone, version=2, is_active=False))
    assert names(await store.list_page(tenant=tenant)) == ["film", "plain"]
    assert names(await store.list_page(tenant=tenant, scenario_type="video")) == ["film"]
    assert names(await store.list_page(tenant=tenant, include_inactive=True)) == ["film", "gone", "plain"]


async def test_a_list_shows_one_tenants_configs_only(store: ConfigStore, tenant: str) -> None:
    await store.create(make_config(tenant_id=tenant))
    await store.create(make_config(tenant_id=f"{tenant}-2"))
    assert [config.tenant_id for config in (await store.list_page(tenant=tenant)).items] == [tenant]


@pytest.mark.parametrize("cursor", ["x", "!!", "/w==", "é"])
async def test_a_cursor_that_no_page_gave_is_refused(store: ConfigStore, cursor: str) -> None:
    with pytest.raises(InvalidCursorError):
        await store.list_page(cursor=cursor)


async def test_the_outbox_holds_what_was_not_published(store: ConfigStore, tenant: str) -> None:
    async def waiting() -> list[TrackingConfig]:
        return [config for config in await store.unpublished() if config.tenant_id == tenant]

    first, second = make_config(tenant_id=tenant), make_config(tenant_id=tenant, version=2)
    await store.create(second)
    await store.create(first)
    assert await waiting() == [first, second]
    await store.mark_published(first)
    assert await waiting() == [second]
    await store.mark_published(second)
    assert await waiting() == []
