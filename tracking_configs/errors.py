"""What can be wrong with a call about tracking configs.

ConfigError                        status  code
├── InvalidConfigError             400     invalid_config      names every problem
├── InvalidCursorError             400     invalid_cursor
├── TemplateNotFoundError          404     template_not_found
├── ConfigNotFoundError            404     config_not_found
├── DraftNotFoundError             404     draft_not_found
├── NothingToSuggestError          404     no_events
├── ConfigExistsError              409     config_exists
├── BreakingChangeError            409     breaking_change     names every change that breaks
├── VersionConflictError           412     version_conflict
├── ConfigStoreUnavailableError    503     store_unavailable   a retry helps
└── EventsUnavailableError         503     events_unavailable  a retry helps

A template file that is wrong is a fault of ours, not of a caller: InvalidTemplateError, a ValueError.
"""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple


class Problem(NamedTuple):
    """One thing wrong with a config. `field` is a dotted path, as `required_fields[0].pattern`."""

    field: str
    message: str


class ConfigError(Exception):
    """The root: `status` is HTTP's, `code` a stable identifier, `retryable` whether the same call may succeed later."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "config_error"
    retryable: ClassVar[bool] = False


class InvalidConfigError(ConfigError):
    """A config, or a part of one, that cannot be used; every problem is named."""

    status = 400
    code = "invalid_config"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{field}: {message}" if field else message for field, message in self.problems))


class InvalidCursorError(ConfigError):
    """A cursor that no page of the list gave."""

    status = 400
    code = "invalid_cursor"

    def __init__(self) -> None:
        super().__init__("cursor: not one that a page of this list gave")


class TemplateNotFoundError(ConfigError):
    """There is no such template."""

    status = 404
    code = "template_not_found"

    def __init__(self, template_id: str, known: Sequence[str]) -> None:
        self.template_id = template_id
        super().__init__(f"there is no template {template_id!r}: there are {', '.join(known)}")


class ConfigNotFoundError(ConfigError):
    """There is no such config, or not in that version."""

    status = 404
    code = "config_not_found"

    def __init__(self, tenant: str, scenario: str, version: int | None = None) -> None:
        self.tenant, self.scenario, self.version = tenant, scenario, version
        wanted = "" if version is None else f" in version {version}"
        super().__init__(f"tenant {tenant!r} has no tracking config for scenario {scenario!r}{wanted}")


class ConfigExistsError(ConfigError):
    """The scenario has a config already, deleted or not: change it instead."""

    status = 409
    code = "config_exists"

    def __init__(self, tenant: str, scenario: str) -> None:
        self.tenant, self.scenario = tenant, scenario
        super().__init__(f"tenant {tenant!r} already has a tracking config for scenario {scenario!r}")


class DraftNotFoundError(ConfigError):
    """No draft is saved for the scenario."""

    status = 404
    code = "draft_not_found"

    def __init__(self, tenant: str, scenario: str) -> None:
        self.tenant, self.scenario = tenant, scenario
        super().__init__(f"tenant {tenant!r} has no draft for scenario {scenario!r}: POST .../suggest makes one")


class NothingToSuggestError(ConfigError):
    """There are no events to make a proposal of."""

    status = 404
    code = "no_events"

    def __init__(self, tenant: str, scenario: str, why: str) -> None:
        self.tenant, self.scenario = tenant, scenario
        super().__init__(f"nothing to propose for scenario {scenario!r} of tenant {tenant!r}: {why}")


class BreakingChangeError(ConfigError):
    """The change would break clients and is not applied; `errors` say what would newly warn or be rejected."""

    status = 409
    code = "breaking_change"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        listed = "; ".join(f"{field}: {message}" for field, message in problems)
        super().__init__(f"not applied, because it would break clients (allow_breaking=true applies it): {listed}")


class VersionConflictError(ConfigError):
    """Another version is current than the caller saw, or another writer was faster."""

    status = 412
    code = "version_conflict"

    def __init__(self, tenant: str, scenario: str, current: int) -> None:
        self.tenant, self.scenario, self.current = tenant, scenario, current
        super().__init__(
            f"the config of scenario {scenario!r} of tenant {tenant!r} is at version {current}: read it and try again"
        )


class ConfigStoreUnavailableError(ConfigError):
    """The store of tracking configs does not answer; those in force stay in force."""

    status = 503
    code = "store_unavailable"
    retryable = True

    def __init__(self) -> None:
        super().__init__("MongoDB, the store of tracking configs, does not answer: try again in a moment")


class EventsUnavailableError(ConfigError):
    """ClickHouse or Kafka, which hold past events, does not answer: nothing can be said about them now."""

    status = 503
    code = "events_unavailable"
    retryable = True

    def __init__(self, store: str, why: str) -> None:
        super().__init__(f"{store}, which holds the events, does not answer: {why}")


class InvalidTemplateError(ValueError):
    """A template file that cannot be used; the message begins with its name."""
