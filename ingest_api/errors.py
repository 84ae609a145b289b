"""What can go wrong at a door.

    DoorError
    |-- BrokerUnavailable       Kafka did not acknowledge in time            HTTP 503, gRPC UNAVAILABLE
    |-- TenantUnknown           no such tenant, and it may not be made       HTTP 400, gRPC INVALID_ARGUMENT
    |-- StoreUnavailable        MongoDB or Redis is away                     HTTP 503
    `-- RequestRefused          the call itself is wrong                     HTTP 4xx

A store that is away is never a bad event: the caller is told to come back, and when.
"""

from ingest_api.api_codes import ApiCode
from schemas.verdict import Code, Issue


class DoorError(Exception):
    """The base of all of them."""


class BrokerUnavailable(DoorError):
    """Kafka did not take an event in time. `outcome_unknown`: it may have it all the same."""

    def __init__(self, retry_after_s: int, why: str, *, outcome_unknown: bool = False) -> None:
        self.retry_after_s = retry_after_s
        self.outcome_unknown = outcome_unknown
        taken = "it is not known whether the event was taken" if outcome_unknown else "the event was not taken"
        super().__init__(f"{why}: {taken}")


class TenantUnknown(DoorError):
    """The tenant has no topic, and this door may not make one."""

    def __init__(self, tenant: str, why: str) -> None:
        self.tenant = tenant
        self.issue = Issue("tenant_id", Code.TENANT_UNKNOWN, f"tenant {tenant!r} {why}")
        super().__init__(self.issue.message)


class StoreUnavailable(DoorError):
    """A store did not answer; the same call may be made again."""

    def __init__(self, store: str, retry_after_s: int = 1) -> None:
        self.store = store
        self.retry_after_s = retry_after_s
        super().__init__(f"{store} is unavailable: make the same call again")


class RequestRefused(DoorError):
    """A call that cannot be answered as it is. `code` is for the doors that answer with codes."""

    def __init__(self, code: ApiCode, message: str, errors: tuple[Issue, ...] = (), *, status: int = 400) -> None:
        self.code = code
        self.status = status
        self.errors = errors
        super().__init__(message)
