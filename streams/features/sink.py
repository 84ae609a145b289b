"""The Redis sink of the features: effectively once.

Promise: every event handed to `apply` changes Redis exactly once, whatever is replayed, retried or cut in other
batches, as long as Kafka keeps the events. A batch goes as one or a few scripts, each of which applies its events
and moves the fence of (tenant, consumer, partition), or changes nothing. So a retry is harmless: where the fence
already stands at or within the batch, only what lies behind it is applied. When Redis is away, or refuses writes for
now, `SinkUnavailable` is raised and the caller, who keeps the batch, waits and calls again. When Redis comes back
with older data, or none, `FenceMoved` says where to read again from. A worker that lost its partition gets `Zombie`.
An event_id that the tenant had among its last 200,000 events, and within 24 h, is applied once only. What one user
adds to one item in hot lists is capped exactly, behind the same fence.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from importlib import resources
from operator import lt
from typing import Final, cast

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import ClusterError, OutOfMemoryError, ReadOnlyError, ResponseError, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from schemas import metrics
from schemas.clock import Clock, system_clock
from schemas.event import Event
from schemas.keys import KeySpace
from streams.features.closing import Closed, id_behind, parse_closed
from streams.features.decay import COLDEST, SPAN
from streams.features.deltas import DeltaBuilder
from streams.features.errors import FenceUnreadable, OffsetsOutOfOrder, SinkUnavailable
from streams.features.model import HeatCap, Lifetimes, Signals, Sizes
from streams.features.watermark import Closing

log = structlog.get_logger()

PARTS: Final = ("common.lua", "ending.lua", "prelude.lua", "sessions.lua", "hot.lua", "apply.lua")
CLOSE_PARTS: Final = ("common.lua", "ending.lua", "close.lua")
SCRIPT, CLOSE_SCRIPT = (
    "\n".join(resources.files("streams.features").joinpath(part).read_text() for part in parts)
    for parts in (PARTS, CLOSE_PARTS)
)
MAX_SCRIPT_EVENTS: Final = 3000  # Lua's unpack gives about 8,000 values, and a session's HSET takes two an action
MAX_ROUNDS: Final = 10  # answers `again` for one script; each other partition's worker can cause one more

# Answers of a Redis that is there but cannot take writes now; from within a script they stand inside the message.
REFUSALS: Final = (
    "BUSY",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOREPLICAS",
    "OOM",
    "READONLY",
    "TRYAGAIN",
)


@dataclass(frozen=True, slots=True)
class Applied:
    """The batch is in Redis. `events` were applied by this call, `duplicates` had been seen before.

    `to_close`: the partition has sessions to close, or summaries of such to ship.
    """

    events: int
    duplicates: int = 0
    to_close: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class FenceMoved:
    """The fence does not stand where the batch begins: read again from behind `found_offset` (None: no fence)."""

    found_offset: int | None


@dataclass(frozen=True, slots=True)
class Zombie:
    """A later epoch owns the partition: stop writing."""

    found_epoch: int


Outcome = Applied | FenceMoved | Zombie


@dataclass(frozen=True, slots=True)
class _Place:
    """Which fence a script moves, from where (None: there is none yet), and for which epoch."""

    tenant: str
    partition: int
    epoch: int
    expected: int | None


@dataclass(frozen=True, slots=True)
class _Found:
    """The fence a script found in place of the expected one; None: there is none."""

    epoch: int
    offset: int | None

    @property
    def place(self) -> tuple[int, int] | None:
        return None if self.offset is None else (self.epoch, self.offset)


@dataclass(frozen=True, slots=True)
class _Again:
    """Why a script changed nothing: places of events and of users, from 1."""

    duplicates: list[int]
    split: list[int]


class RedisFeatureSink:
    """Writes batches of accepted events to Redis. One instance serves all tenants and partitions of a worker.

    `signals` gives a scenario's session gap and half-life; `max_events` and `max_users` cut a batch so that no
    script holds Redis for longer than about 20 ms. `closing` says when sessions end. `shadow`: writes the tenants'
    shadows instead (streams/replay), whose sessions end without a summary.
    """

    def __init__(
        self,
        redis: Redis,
        signals: Signals,
        *,
        consumer: str = "features",
        cluster: bool = False,
        lifetimes: Lifetimes | None = None,
        sizes: Sizes | None = None,
        cap: HeatCap | None = None,
        closing: Closing | None = None,
        clock: Clock = system_clock,
        max_events: int = 1250,
        max_users: int = 625,
        shadow: bool = False,
    ) -> None:
        if not 0 < max_events <= MAX_SCRIPT_EVENTS:
            raise ValueError(f"max_events is {max_events}, not within 1..{MAX_SCRIPT_EVENTS}")
        self._redis = redis
        self._signals = signals
        self._consumer = consumer
        self._cluster = cluster
        self._shadow = shadow
        self._sizes = sizes or Sizes()
        self._cap = cap or HeatCap()
        self._clock = clock
        self.closing = closing or Closing()
        self._settings = _pack_settings(lifetimes or Lifetimes(), self._sizes, self._cap, summaries=not shadow)
        self._max_events = max_events
        self._max_users = max_users
        self._script = redis.register_script(SCRIPT)
        self._close_script = redis.register_script(CLOSE_SCRIPT)

    async def fence(self, tenant: str, partition: int) -> tuple[int, int] | None:
        """(epoch, last applied raw offset) of a partition, None where nothing was applied yet.

        Raises SinkUnavailable and FenceUnreadable.
        """
        key = self._fence_key(tenant)
        with _redis_errors(tenant, key, partition):
            value = await self._redis.hget(key, str(partition))
        return self._parse_fence(tenant, partition, cast(bytes, value or b"")).place

    async def fences(self, partitions: Mapping[str, Sequence[int]]) -> dict[tuple[str, int], tuple[int, int] | None]:
        """(tenant, partition) -> what `fence` says, all in one request, a command a tenant.

        A fence that cannot be read is left out, as are those of a node of a cluster that is away. Raises
        SinkUnavailable.
        """
        pipeline = self._redis.pipeline(transaction=False)
        for tenant, numbers in partitions.items():
            pipeline.hmget(self._fence_key(tenant), [str(number) for number in numbers])
        with _redis_errors("(any)", self._fence_key("(any)"), -1):
            answers = await pipeline.execute(raise_on_error=False)
        found = {}
        for (tenant, numbers), values in zip(partitions.items(), answers, strict=True):
            for number, value in zip(numbers, values if isinstance(values, list) else (), strict=False):
                with suppress(FenceUnreadable):
                    found[tenant, number] = self._parse_fence(tenant, number, value or b"").place
        return found

    async def apply(
        self,
        tenant: str,
        partition: int,
        epoch: int,
        expected_offset: int | None,
        last_offset: int,
        events: Sequence[Event],
    ) -> Outcome:
        """Applies the accepted events among the raw records behind `expected_offset` up to `last_offset`.

        `expected_offset` None means that the partition has no fence yet; `events` may be empty. `epoch` rises with
        each assignment of the partition and stays below 2^53. Raises SinkUnavailable, FenceUnreadable,
        OffsetsOutOfOrder.
        """
        _check_offsets(expected_offset, last_offset, events)
        builder = DeltaBuilder(
            tenant,
            self._signals,
            self._clock(),
            recent=self._sizes.recent,
            window_ms=self._cap.window_ms,
            closing=self.closing,
        )
        left = _first_of_each_id(events)
        done = Applied(0, len(events) - len(left))
        position = expected_offset
        while position != last_offset:
            cut = left[: self._cut(left)]
            target = cut[-1].offset if len(cut) < len(left) else last_offset
            outcome = await self._apply_cut(_Place(tenant, partition, epoch, position), target, cut, builder)
            if isinstance(outcome, Applied):
                done = _sum(done, outcome)
                position = target
            elif outcome.epoch > epoch:
                metrics.FENCE_REPAIRS.labels(self._consumer, "zombie").inc()
                return Zombie(outcome.epoch)
            elif _is_within(outcome.offset, position, last_offset, left):
                metrics.FENCE_REPAIRS.labels(self._consumer, "applied_before").inc()
                position = outcome.offset
            else:
                metrics.FENCE_REPAIRS.labels(self._consumer, "moved").inc()
                return FenceMoved(outcome.offset)
            left = [event for event in left if position is not None and event.offset > position]
        return done

    def _cut(self, events: Sequence[Event]) -> int:
        """How many of the events go into the next script."""
        if len(events) <= self._max_events and len({event.user_id for event in events}) <= self._max_users:
            return len(events)
        users = set[str]()
        for count, event in enumerate(events):
            users.add(event.user_id)
            if count == self._max_events or len(users) > self._max_users:
                return count
        return len(events)

    async def _apply_cut(
        self, place: _Place, target: int, events: list[Event], builder: DeltaBuilder
    ) -> Applied | _Found:
        """One script, run again with what it asked for until it applies the events or finds another fence."""
        split = frozenset[str]()
        duplicates = 0
        for _ in range(MAX_ROUNDS):
            deltas = builder.build(events, split=split) if events else None
            answer = await self._run(place, target, deltas.blob if deltas else b"")
            if isinstance(answer, _Found):
                return answer
            if isinstance(answer, bool) or deltas is None:
                return Applied(len(events), duplicates, answer is True)
            split |= {deltas.users[user - 1] for user in answer.split}
            dropped = set(answer.duplicates)
            duplicates += len(dropped)
            events = [event for place_, event in enumerate(events, 1) if place_ not in dropped]
        raise SinkUnavailable(place.tenant, f"others changed what {MAX_ROUNDS} scripts had found")

    async def _run(self, place: _Place, target: int, blob: bytes) -> _Found | _Again | bool:
        """One call of the script; a boolean means applied, and says whether there are sessions to close."""
        key = self._fence_key(place.tenant)
        expected = "" if place.expected is None else place.expected
        where = (self._keys(place.tenant).prefix, place.tenant, place.partition, place.epoch, expected, target)
        catalogue = KeySpace(place.tenant, cluster=self._cluster).prefix
        args: list[str | int | bytes] = [*where, blob, self._settings, catalogue]
        with _redis_errors(place.tenant, key, place.partition):
            answer, *rest = await self._script(keys=[key], args=args)
        if answer == b"fence":
            return self._parse_fence(place.tenant, place.partition, rest[0])
        if answer == b"again":
            return _Again(*rest)
        capped, left_out, late, to_close, *deleted = rest
        if capped:
            metrics.HEAT_CAPPED.labels(place.tenant).inc(capped)
        if left_out:
            metrics.HOT_LEFT_OUT.labels(place.tenant).inc(left_out)
        if late:
            metrics.LATE_EVENTS.labels(place.tenant).inc(late)
        if deleted:
            log.warning("wrong_type_keys_deleted", tenant=place.tenant, keys=[name.decode() for name in deleted])
        return bool(to_close)

    async def close_sessions(
        self, tenant: str, partition: int, epoch: int, *, mark: int = 0, shipped: str = "", most: int = 500
    ) -> Closed | None:
        """Close up to `most` sessions of the partition that its watermark has passed, and read its outbox.

        The watermark is moved to `mark`, ms, at least; summaries up to the id `shipped` leave the outbox. A retry is
        harmless: a session is closed once. None where nothing was applied yet, or a later epoch owns the partition.
        Raises SinkUnavailable and FenceUnreadable.
        """
        key = self._fence_key(tenant)
        args = (self._keys(tenant).prefix, tenant, partition, epoch, mark, id_behind(shipped), most, self._settings)
        with _redis_errors(tenant, key, partition):
            answer, *rest = await self._close_script(keys=[key], args=args)
        if answer == b"fence":
            self._parse_fence(tenant, partition, rest[0])
            return None
        closed = parse_closed(rest)
        metrics.SESSIONS_CLOSED.labels(tenant).inc(closed.sessions)
        return closed

    def _keys(self, tenant: str) -> KeySpace:
        return KeySpace(tenant, cluster=self._cluster, shadow=self._shadow)

    def _fence_key(self, tenant: str) -> str:
        return self._keys(tenant).key("fence", self._consumer)

    def _parse_fence(self, tenant: str, partition: int, value: bytes) -> _Found:
        if not value:
            return _Found(0, None)
        epoch, _, offset = value.decode(errors="replace").partition(":")
        if not (epoch.isdecimal() and offset.isdecimal()):
            raise FenceUnreadable(self._fence_key(tenant), partition, value.decode(errors="replace"))
        return _Found(int(epoch), int(offset))


def _sum(one: Applied, other: Applied) -> Applied:
    return Applied(one.events + other.events, one.duplicates + other.duplicates, one.to_close or other.to_close)


def _check_offsets(expected_offset: int | None, last_offset: int, events: Sequence[Event]) -> None:
    offsets = [-1 if expected_offset is None else expected_offset, *[event.offset for event in events]]
    if last_offset <= offsets[0] or offsets[-1] > last_offset or not all(map(lt, offsets, offsets[1:])):
        raise OffsetsOutOfOrder(f"events do not lie in rising order behind {expected_offset} and up to {last_offset}")


def _first_of_each_id(events: Sequence[Event]) -> list[Event]:
    first: dict[str, Event] = {}
    for event in events:
        first.setdefault(event.event_id, event)
    return list(first.values())


def _is_within(found: int | None, position: int | None, last_offset: int, events: Sequence[Event]) -> bool:
    """Whether a fence stands within a batch, so that all up to it has been applied, and only that.

    A batch without an expected offset is known to begin at its first event only.
    """
    if found is None or found > last_offset:
        return False
    if position is None:
        return found == last_offset or (bool(events) and found >= events[0].offset)
    return found > position


def _pack_settings(lifetimes: Lifetimes, sizes: Sizes, cap: HeatCap, *, summaries: bool) -> bytes:
    """What the scripts read as `settings`, by name."""
    heat = {"user_weight": cap.weight, "user_items": cap.items, "window_s": 2 * cap.window_ms // 1000}
    decay = {"span": SPAN, "coldest": COLDEST}
    return msgspec.msgpack.encode(asdict(lifetimes) | asdict(sizes) | heat | decay | {"summaries": summaries})


@contextmanager
def _redis_errors(tenant: str, fence_key: str, partition: int) -> Iterator[None]:
    """Raises SinkUnavailable for every error of Redis that waiting can heal."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError, ReadOnlyError, OutOfMemoryError, ClusterError, TryAgainError) as e:
        raise SinkUnavailable(tenant, str(e)) from e
    except ResponseError as error:
        if "WRONGTYPE" in str(error):  # of any other key the script makes a new one
            raise FenceUnreadable(fence_key, partition, "a key of another type") from error
        if not any(refusal in str(error) for refusal in REFUSALS):
            raise
        raise SinkUnavailable(tenant, str(error)) from error
