"""What the stream workers are told, once, at their start."""

from dataclasses import dataclass

from schemas.kafka import KafkaDsn


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """Bounds and intervals of the stream workers. The defaults are those of production."""

    kafka: KafkaDsn
    group_prefix: str = "millrace-"
    max_batch_records: int = 2500  # of a tenant that is alone
    turn_records: int | None = 100  # of a tenant at a time while others are there; None: as they come, unfairly
    max_partition_fetch_bytes: int = 1024 * 1024
    fetch_wait_ms: int = 100
    commit_interval_s: float = 1.0
    instance_id: str | None = None  # the worker's name in its groups: restarted soon, it keeps its partitions
    session_timeout_s: float = 10.0
    heartbeat_interval_s: float = 3.0
    discovery_interval_s: float = 2.0  # how old the list of topics may be: a new tenant is found within it
    lane_depth: int = 2  # batches of one partition held by an agent: the one at work, and what follows
    drain_timeout_s: float = 4.0  # how long a rebalance or a stop waits for the batches at work
    closing_interval_s: float = 2.0  # how often sessions that have ended are closed and shipped
    quiet_s: float = 30.0  # how long a partition has no events before the clock moves its watermark
    replication_factor: int = 1  # of the topics that the judge makes
    retention_ms: int = 7 * 24 * 60 * 60 * 1000

    def group(self, role: str) -> str:
        """The consumer group of a role: judge, features, analytics."""
        return self.group_prefix + role
