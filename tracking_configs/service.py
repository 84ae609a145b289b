"""Tracking configs as the doors offer them: checked, stored, in force here at once and everywhere through the topic."""

from collections.abc import Mapping
from typing import Any

import msgspec
import structlog

from schemas.clock import Clock, system_clock
from tracking_configs.change import Change, Verdict
from tracking_configs.checks import check_config
from tracking_configs.diff import compare
from tracking_configs.errors import (
    BreakingChangeError,
    ConfigNotFoundError,
    ConfigStoreUnavailableError,
    InvalidConfigError,
    Problem,
    TemplateNotFoundError,
    VersionConflictError,
)
from tracking_configs.from_template import from_template
from tracking_configs.model import ConfigDraft, TrackingConfig, config_of, parse_draft
from tracking_configs.outbox import ConfigOutbox
from tracking_configs.patching import patched
from tracking_configs.registry import ConfigRegistry
from tracking_configs.store import ConfigStore, Page
from tracking_configs.template import CUSTOM, Template

log = structlog.get_logger()


class Authorship(msgspec.Struct, frozen=True):
    """Who makes a version, and why."""

    author: str = ""
    reason: str = ""


class Guard(msgspec.Struct, frozen=True):
    """On what condition a change is made.

    `expected`: the version that the caller saw. `allow_breaking`: None leaves it to the config's enforcement.
    """

    expected: int | None = None
    allow_breaking: bool | None = None


class Applied(msgspec.Struct, frozen=True):
    """A new version, and what it changes for events; None for the first.

    `published`: whether every process has it, or will within moments. False while Kafka is away: it is stored, in force
    in this process, and published when Kafka is back.
    """

    config: TrackingConfig
    change: Change | None
    published: bool = True


class Step(msgspec.Struct, frozen=True):
    """A version, and what it changed against the one before; None for the first."""

    config: TrackingConfig
    change: Change | None


class History(msgspec.Struct, frozen=True):
    """Steps, newest first; `before` asks for the older ones, and is None where there are none."""

    items: tuple[Step, ...]
    before: int | None


NOBODY = Authorship()
UNGUARDED = Guard()


class ConfigService:
    """Every call raises ConfigStoreUnavailableError while the store is away; the configs in force stay so."""

    def __init__(
        self,
        store: ConfigStore,
        outbox: ConfigOutbox,
        templates: Mapping[str, Template],
        registry: ConfigRegistry,
        clock: Clock = system_clock,
    ) -> None:
        self.templates = templates
        self.store = store
        self._outbox = outbox
        self._registry = registry
        self._clock = clock

    def template(self, template_id: str) -> Template:
        """Raises TemplateNotFoundError."""
        if template_id not in self.templates:
            raise TemplateNotFoundError(template_id, tuple(self.templates))
        return self.templates[template_id]

    async def from_template(
        self,
        tenant: str,
        scenario: str,
        template_id: str,
        name: str,
        overrides: dict[str, Any] | None = None,
        by: Authorship = NOBODY,
    ) -> Applied:
        """A config made from a template. Raises TemplateNotFoundError, and what `create` raises."""
        return await self.create(from_template(self.template(template_id), tenant, scenario, name, overrides), by)

    async def create(self, draft: ConfigDraft, by: Authorship = NOBODY) -> Applied:
        """Version 1 of a config, in force. Raises InvalidConfigError, ConfigExistsError."""
        check_config(draft)
        now = self._clock()
        config = config_of(draft, version=1, created_at=now, updated_at=now, author=by.author, reason=by.reason)
        await self.store.create(config)
        return Applied(config, None, await self._put_in_force(config))

    async def get(self, tenant: str, scenario: str, version: int | None = None) -> TrackingConfig:
        """The current version, or the one asked for. Raises ConfigNotFoundError.

        While the store is away, the one in force here is answered for the current version.
        """
        try:
            config = await self.store.get(tenant, scenario, version)
        except ConfigStoreUnavailableError:
            held = self._registry.get(tenant, scenario)
            if version is not None or held is None:
                raise
            return held.config
        if config is None:
            raise ConfigNotFoundError(tenant, scenario, version)
        return config

    async def list_page(self, **wanted: Any) -> Page:
        """A page of current versions, as `ConfigStore.list_page`. Raises InvalidCursorError."""
        return await self.store.list_page(**wanted)

    async def versions(self, tenant: str, scenario: str, limit: int, before: int | None = None) -> History:
        """Versions, newest first, each with what it changed. Raises ConfigNotFoundError."""
        found = await self.store.versions(tenant, scenario, limit, before)
        if not found.items and before is None:
            raise ConfigNotFoundError(tenant, scenario)
        oldest = found.items[-1].version if found.items else 1
        older = await self.store.get(tenant, scenario, oldest - 1) if oldest > 1 else None
        pairs = zip(found.items, [*found.items, older][1:], strict=True)
        steps = [Step(config, compare(last, config) if last is not None else None) for config, last in pairs]
        return History(tuple(steps), found.before)

    async def update(
        self,
        tenant: str,
        scenario: str,
        parts: dict[str, Any],
        guard: Guard = UNGUARDED,
        by: Authorship = NOBODY,
    ) -> Applied:
        """The next version, with the given parts; `is_active` among them takes the config in or out of service.

        Raises ConfigNotFoundError, InvalidConfigError, VersionConflictError where another was faster, and
        BreakingChangeError for a change that breaks clients where the guard, or a config that rejects, refuses it.
        """
        current = await self._seen(tenant, scenario, guard)
        config, change = self._next(current, parts, by)
        rejects = current.is_active and current.enforcement == config.enforcement == "reject"
        if guard.allow_breaking is False or (rejects and guard.allow_breaking is None):
            _refuse_breaking(change)
        return await self._apply(config, change)

    async def candidate(self, tenant: str, scenario: str, parts: dict[str, Any]) -> TrackingConfig:
        """What `update`, or `create` where there is no config yet, would put in force; nothing is stored."""
        current = await self.store.get(tenant, scenario)
        if current is not None:
            return self._next(current, {"is_active": True} | parts, NOBODY)[0]
        named = {"scenario_type": CUSTOM, "name": scenario} | parts
        draft = parse_draft(named | {"tenant_id": tenant, "scenario_id": scenario})
        check_config(draft)
        return config_of(draft, version=1, created_at=self._clock(), updated_at=self._clock())

    async def delete(self, tenant: str, scenario: str, guard: Guard = UNGUARDED, by: Authorship = NOBODY) -> Applied:
        """A version that is out of service; the one that is so already where it is. Raises as `rollback`."""
        current = await self._seen(tenant, scenario, guard)
        if not current.is_active:
            return Applied(current, compare(current, current))
        return await self._apply_unless_guarded(*self._next(current, {"is_active": False}, by), guard)

    async def rollback(
        self, tenant: str, scenario: str, version: int, guard: Guard = UNGUARDED, by: Authorship = NOBODY
    ) -> Applied:
        """A new version, in service, that says what an older one said. Raises as `update`.

        One can always go back: a change that breaks clients is refused only where the guard asks for it.
        """
        current = await self._seen(tenant, scenario, guard)
        wanted = await self.get(tenant, scenario, version)
        by = by if by.reason else Authorship(by.author, f"rollback to version {version}")
        following = self._following(current, msgspec.structs.replace(wanted, is_active=True), by)
        return await self._apply_unless_guarded(*following, guard)

    async def compare(self, tenant: str, scenario: str, old: int, new: int) -> Change:
        """What version `new` changes for events against version `old`. Raises ConfigNotFoundError."""
        return compare(await self.get(tenant, scenario, old), await self.get(tenant, scenario, new))

    async def _seen(self, tenant: str, scenario: str, guard: Guard) -> TrackingConfig:
        current = await self.store.get(tenant, scenario)
        if current is None:
            raise ConfigNotFoundError(tenant, scenario)
        if guard.expected not in (None, current.version):
            raise VersionConflictError(tenant, scenario, current.version)
        return current

    def _next(self, current: TrackingConfig, parts: dict[str, Any], by: Authorship) -> tuple[TrackingConfig, Change]:
        parts = dict(parts)
        is_active = parts.pop("is_active", current.is_active)
        if not isinstance(is_active, bool):
            raise InvalidConfigError([Problem("is_active", "expected true or false")])
        draft = patched(current, parts)
        check_config(draft)
        config = config_of(draft, version=1, created_at=0, updated_at=0, is_active=is_active)
        return self._following(current, config, by)

    def _following(
        self, current: TrackingConfig, config: TrackingConfig, by: Authorship
    ) -> tuple[TrackingConfig, Change]:
        following = msgspec.structs.replace(
            config,
            version=current.version + 1,
            created_at=current.created_at,
            updated_at=max(self._clock(), current.updated_at),
            author=by.author,
            reason=by.reason,
        )
        return following, compare(current, following)

    async def _apply_unless_guarded(self, config: TrackingConfig, change: Change, guard: Guard) -> Applied:
        if guard.allow_breaking is False:
            _refuse_breaking(change)
        return await self._apply(config, change)

    async def _apply(self, config: TrackingConfig, change: Change) -> Applied:
        await self.store.append(config)
        return Applied(config, change, await self._put_in_force(config))

    async def _put_in_force(self, config: TrackingConfig) -> bool:
        self._registry.apply(config)
        log.info(
            "config_changed",
            tenant=config.tenant_id,
            scenario=config.scenario_id,
            version=config.version,
            is_active=config.is_active,
        )
        return await self._outbox.publish(config)


def _refuse_breaking(change: Change) -> None:
    breaking = [Problem(each.field, each.message) for each in change.details if each.verdict is Verdict.BREAKING]
    if breaking:
        raise BreakingChangeError(breaking)
