"""Where the four servers listen."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Endpoints:
    """DSNs of a running stack, as every client of the platform takes them."""

    kafka: str  # host:port
    redis: str  # redis://host:port/0
    clickhouse: str  # http://host:port
    mongo: str  # mongodb://host:port

    def environment(self) -> dict[str, str]:
        """The MILLRACE_* variables that point a process at these servers."""
        return {
            "MILLRACE_KAFKA": self.kafka,
            "MILLRACE_REDIS": self.redis,
            "MILLRACE_CLICKHOUSE": self.clickhouse,
            "MILLRACE_MONGO": self.mongo,
        }
