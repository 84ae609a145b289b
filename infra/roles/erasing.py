"""Who was erased, in a process: the list and the feed that keeps it, by the key of the settings or of MongoDB."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from infra.erased_feed import ErasedFeed
from infra.roles.role import Role
from infra.settings import Settings
from ingest_api.erasure_key import ErasureKey
from schemas.erased import ErasedUsers


def erasure_secret(settings: Settings) -> bytes | None:
    """The key that the settings give."""
    return settings.erasure_key.get_secret_value().encode() if settings.erasure_key is not None else None


def erasure_key(role: Role) -> ErasureKey:
    return ErasureKey(role.deps.mongo, erasure_secret(role.settings))


def erased_feed(role: Role, erased: ErasedUsers) -> ErasedFeed:
    return ErasedFeed(erased, role.deps.kafka, erasure_key(role).find, replication=role.settings.replication)


@asynccontextmanager
async def open_erased(role: Role) -> AsyncIterator[ErasedUsers]:
    """Everybody whom the topic named when it began; waits for Kafka as long as it is away."""
    erased = ErasedUsers(role.settings.erased_users)
    feed = erased_feed(role, erased)
    try:
        await role.until_stopped(feed.start())
        yield erased
    finally:
        await feed.stop()
