"""What every client of a door does, and what it learns."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal, Protocol, Self

from infra.connections import Deps
from infra.errors import OperatorError

DoorName = Literal["http", "grpc", "kafka"]

UNAVAILABLE: Final = "broker_unavailable"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One event that a door did not take: why, in words and in codes."""

    message: str
    codes: tuple[str, ...] = ()

    @property
    def is_the_brokers_fault(self) -> bool:
        return UNAVAILABLE in self.codes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one call. `taken` events are with the broker, on all in-sync replicas."""

    taken: int
    refusals: tuple[Refusal, ...] = field(default=())


class Door(Protocol):
    """A client of one door. `batch_size`: events a call; `calls`: how many calls it pays to have under way."""

    name: DoorName
    batch_size: int
    calls: int

    async def send(self, events: Sequence[bytes]) -> Outcome:
        """Raises ServerAwayError when the door does not answer."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the doors of one platform are: a URL, host:port, and Kafka from the settings."""

    http: str
    grpc: str


def open_door(name: DoorName, tenant: str, addresses: Addresses, deps: Deps) -> Door:
    """The client of a door; nothing is connected before it is entered. Each imports its own library only."""
    if name == "http":
        from infra.doors.http import HttpDoor

        return HttpDoor(addresses.http, tenant)
    if name == "grpc":
        from infra.doors.grpc import GrpcDoor

        return GrpcDoor(addresses.grpc, tenant)
    if name == "kafka":
        from infra.doors.kafka import KafkaDoor

        return KafkaDoor(deps.kafka, tenant)
    raise OperatorError(f"there is no door {name}: there are http, grpc and kafka")
