"""Kafka topic names (CONTRACTS §5). A tenant's topics are made and taken apart here only."""

import re
from typing import Final

TENANT_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
RESERVED_TENANTS: Final = frozenset({"templates", "health", "from-template", "suggest", "admin", "api"})

RAW_PREFIX: Final = "user-behaviors-"
VALIDATED_PREFIX: Final = "validated-behaviors-"
REJECTED_PREFIX: Final = "rejected-behaviors-"
SUMMARIES_PREFIX: Final = "session-summaries-"
CONFIG_CHANGES: Final = "tracking-config-changes"
ERASED_USERS: Final = "erased-users"

SOURCE_HEADER: Final = "millrace-source"  # set by our doors: http or grpc; a raw producer sets none


def is_tenant(value: str) -> bool:
    """Whether `value` may name a tenant."""
    return TENANT_PATTERN.fullmatch(value) is not None and value not in RESERVED_TENANTS


def raw_topic(tenant: str) -> str:
    return RAW_PREFIX + tenant


def validated_topic(tenant: str) -> str:
    return VALIDATED_PREFIX + tenant


def rejected_topic(tenant: str) -> str:
    return REJECTED_PREFIX + tenant


def summaries_topic(tenant: str) -> str:
    return SUMMARIES_PREFIX + tenant


def tenant_of(topic: str, prefix: str) -> str | None:
    """The tenant of a topic with that prefix, None where the topic is not one of ours."""
    tenant = topic.removeprefix(prefix)
    return tenant if tenant != topic and is_tenant(tenant) else None
