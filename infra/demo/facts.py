"""What the servers themselves say of the demo's events: Kafka, ClickHouse and Redis, never the sender."""

import asyncio
import base64
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from aiokafka import AIOKafkaConsumer
from clickhouse_connect.driver.asyncclient import AsyncClient as ClickHouse
from redis.asyncio import Redis

from infra.demo.data import TENANT
from infra.errors import OperatorError
from infra.partitions import partitions_of
from schemas.kafka import KafkaDsn
from schemas.keys import KeySpace
from schemas.topics import raw_topic

POLL_S: Final = 0.25
STUCK_AFTER_S: Final = 45.0  # without any progress
SETTLED_S: Final = 1.0
RECENT: Final = 100  # how many of a user's events `user:recent` keeps


@dataclass(frozen=True, slots=True)
class Progress:
    """`recents`: entries of all users' recent lists in Redis; `recents_due`: as many as ClickHouse's rows call for."""

    in_kafka: int
    stored: int
    dead: int
    recents: int
    recents_due: int
    users: int

    @property
    def adds_up(self) -> bool:
        return self.in_kafka == self.stored + self.dead and self.recents == self.recents_due


@dataclass(frozen=True, slots=True)
class DeadLetterRow:
    """`original`: the bytes as they came."""

    reasons: list[str]
    message: str
    original: bytes
    place: str


class Facts:
    """Questions to the three servers, about one tenant."""

    def __init__(self, kafka: KafkaDsn, clickhouse: ClickHouse, redis: Redis) -> None:
        self.keys = KeySpace(TENANT)
        self.redis = redis
        self._kafka = kafka
        self._clickhouse = clickhouse

    async def progress(self) -> Progress:
        users = dict(
            await self.rows("SELECT user_id, count() FROM user_behaviors WHERE tenant_id = {t:String} GROUP BY 1")
        )
        counts = "SELECT count() FROM {} WHERE tenant_id = {{t:String}}"
        lengths = self.redis.pipeline(transaction=False)
        for user in users:
            lengths.llen(self.keys.key("user:recent", user))
        return Progress(
            in_kafka=await self._records(),
            stored=sum(users.values()),
            dead=(await self.rows(counts.format("rejected_behaviors")))[0][0],
            recents=sum(await lengths.execute()),
            recents_due=sum(min(RECENT, count) for count in users.values()),
            users=len(users),
        )

    async def drained(self, sent: int, on_progress: Callable[[Progress], None]) -> Progress:
        """Once everything sent is stored everywhere. Raises OperatorError when nothing moves any more."""
        best, moved_at = -1, time.monotonic()
        while True:
            now = await self.progress()
            on_progress(now)
            if now.adds_up and now.in_kafka == sent:
                return now
            reached = now.stored + now.dead + now.recents
            if reached > best:
                best, moved_at = reached, time.monotonic()
            elif time.monotonic() - moved_at > STUCK_AFTER_S:
                raise OperatorError(_stuck(sent, now))
            await asyncio.sleep(POLL_S)

    async def by_door(self) -> dict[str, int]:
        return dict(
            await self.rows("SELECT source, count() FROM user_behaviors WHERE tenant_id = {t:String} GROUP BY 1")
        )

    async def warnings(self) -> tuple[int, dict[str, int]]:
        """How many events are warned, and by code."""
        warned = await self.rows(
            "SELECT count() FROM user_behaviors WHERE tenant_id = {t:String} AND notEmpty(validation_warnings)"
        )
        codes = await self.rows(
            "SELECT arrayJoin(validation_warnings).code AS code, count() FROM user_behaviors "
            "WHERE tenant_id = {t:String} GROUP BY 1 ORDER BY 2 DESC, 1"
        )
        return warned[0][0], dict(codes)

    async def reasons(self) -> dict[str, int]:
        return dict(
            await self.rows(
                "SELECT arrayJoin(reason_codes) AS reason, count() FROM rejected_behaviors "
                "WHERE tenant_id = {t:String} GROUP BY 1 ORDER BY 2 DESC, 1"
            )
        )

    async def dead_letter(self, reason: str) -> DeadLetterRow:
        rows = await self.rows(
            "SELECT reason_codes, message, original, concat(kafka_topic, ' partition ', toString(kafka_partition), "
            "' offset ', toString(kafka_offset)) FROM rejected_behaviors "
            "WHERE tenant_id = {t:String} AND has(reason_codes, {reason:String}) LIMIT 1",
            reason=reason,
        )
        reasons, message, original, place = rows[0]
        return DeadLetterRow(reasons, message, base64.b64decode(original), place)

    async def rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """The answer to a query whose `{t:String}` is the tenant."""
        answer = await self._clickhouse.query(query, parameters={"t": TENANT} | parameters)
        return [tuple(row) for row in answer.result_rows]

    async def session(self, user_id: str) -> dict[str, str]:
        found = await cast(Any, self.redis.hgetall(self.keys.key("user:session", user_id)))
        return {name.decode(): value.decode() for name, value in found.items()}

    async def hot(self, category: str, size: int) -> list[tuple[str, float]]:
        rows = await cast(
            Any, self.redis.zrevrange(self.keys.key("hot:category", category), 0, size - 1, withscores=True)
        )
        return [(item.decode(), score) for item, score in rows]

    async def list_settled(self, user_id: str, scene: str, after_ms: int, timeout_s: float = 30.0) -> None:
        """Until the user's kept list was made after that moment, and has not been made again for a second."""
        meta = self.keys.key("rec:meta", user_id, scene)
        made, seen_at, deadline = 0, time.monotonic(), time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            latest = int(await cast(Any, self.redis.hget(meta, "computed_at")) or 0)
            if latest != made:
                made, seen_at = latest, time.monotonic()
            if made > after_ms and time.monotonic() - seen_at > SETTLED_S:
                return
            await asyncio.sleep(POLL_S / 5)
        raise OperatorError(f"user {user_id} got no new recommendations within {timeout_s:.0f} s: see recommend.log")

    async def _records(self) -> int:
        """Records that the tenant's raw topic has taken, by its end offsets."""
        consumer = AIOKafkaConsumer(**self._kafka.client_options())
        await consumer.start()
        try:
            ends = await consumer.end_offsets(await partitions_of(self._kafka, raw_topic(TENANT)))
            return sum(ends.values())
        finally:
            await consumer.stop()


def _stuck(sent: int, now: Progress) -> str:
    return (
        f"nothing moved for {STUCK_AFTER_S:.0f} s: {sent:,} events sent, {now.in_kafka:,} in Kafka, {now.stored:,} + "
        f"{now.dead:,} in ClickHouse, {now.recents:,} of {now.recents_due:,} recent entries in Redis; see the logs"
    )
