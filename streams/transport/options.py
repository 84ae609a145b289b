"""What an app may tell the transport, as its attribute `transport_options`; every field has a default."""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth, server_list
from faust.types import TP

from streams.transport.fairness import Turns

MIN_FETCH_BYTES: Final = 64 * 1024
Where = Callable[[Collection[TP], int], Awaitable[Mapping[TP, int]]]


def _own_name(topic: str) -> str:
    return topic


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportOptions:
    """Bounds, intervals and hooks.

    `client`: keyword arguments of aiokafka's client, `bootstrap_servers` among them.
    `pattern`: the topics to read, made now or later; None: those that the app's agents name.
    `tenant_of`: topic to tenant, between which records are shared out fairly.
    `turns`: how much a tenant gets at a time.
    `where`: asked after each assignment, with the partitions and the group's generation, from which offset to read
    each; one that is left out goes on where it was committed. It waits for its store by itself.
    `drain`: called before partitions are let go and at the stop; returns when the batches at work are finished or
    abandoned, within less than the rebalance timeout.
    `on_held`: told how many partitions are held, see `streams.transport.placing`.
    `instance_id`: this worker's name in the group (static membership); None: a new member at every start.
    `max_unread_bytes`: of records that were fetched and not handed out, as Kafka sends them: a partition has its share
    of it, at least `MIN_FETCH_BYTES` and at most `max_partition_fetch_bytes`; a larger record batch comes whole.
    """

    client: Mapping[str, Any]
    pattern: re.Pattern[str] | None = None
    tenant_of: Callable[[str], str] = _own_name
    turns: Turns = field(default_factory=Turns)
    where: Where | None = None
    drain: Callable[[], Awaitable[None]] | None = None
    on_held: Callable[[int], None] | None = None
    instance_id: str | None = None
    max_partition_fetch_bytes: int = 1024 * 1024
    max_unread_bytes: int = 16 * 1024 * 1024
    fetch_wait_ms: int = 100
    session_timeout_s: float = 10.0
    rebalance_timeout_s: float = 20.0
    heartbeat_interval_s: float = 3.0
    discovery_interval_s: float = 2.0

    def partition_fetch_bytes(self, partitions: int) -> int:
        """How much may be fetched of each, where so many are assigned."""
        share = max(MIN_FETCH_BYTES, self.max_unread_bytes // max(1, partitions))
        return min(self.max_partition_fetch_bytes, share)


def options_of(app: Any) -> TransportOptions:
    """The app's own, or what an app that knows nothing of this transport has in its Faust settings."""
    given: TransportOptions | None = getattr(app, "transport_options", None)
    if given is not None:
        return given
    conf, transport = app.conf, app.transport
    return TransportOptions(
        client={
            "bootstrap_servers": server_list(transport.url, transport.default_port),
            **credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context),
        },
        instance_id=conf.consumer_group_instance_id,
        session_timeout_s=conf.broker_session_timeout,
        rebalance_timeout_s=conf.broker_rebalance_timeout,
        heartbeat_interval_s=conf.broker_heartbeat_interval,
        discovery_interval_s=conf.consumer_metadata_max_age_ms / 1000,
    )
