"""The raw Kafka door: a producer of `user-behaviors-{tenant}`, key user_id. The stream judges what it finds there."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from infra.doors.door import UNAVAILABLE, DoorName, Outcome, Refusal
from infra.errors import ServerAwayError
from schemas.kafka import KafkaDsn
from schemas.topics import raw_topic


class _Keyed(msgspec.Struct):
    user_id: str | None = None


_decode_key: Final = msgspec.json.Decoder(_Keyed).decode


class KafkaDoor:
    name: DoorName = "kafka"
    batch_size = 500
    calls = 4

    def __init__(self, kafka: KafkaDsn, tenant: str) -> None:
        self._kafka = kafka
        self._topic = raw_topic(tenant)

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(
            acks="all", linger_ms=5, compression_type="lz4", max_batch_size=256 * 1024, **self._kafka.client_options()
        )
        try:
            await self._producer.start()
        except KafkaError as error:
            await self._producer.stop()
            raise ServerAwayError(
                f"Kafka does not answer at {self._kafka.bootstrap_servers}: start it with `millrace up`, "
                "or correct MILLRACE_KAFKA"
            ) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._producer.stop()

    async def send(self, events: Sequence[bytes]) -> Outcome:
        """`taken` here means that Kafka has them; whether they are good, the stream finds."""
        refusals = []
        deliveries = []
        for event in events:
            try:
                deliveries.append(await self._producer.send(self._topic, key=key_of(event), value=event))
            except MessageSizeTooLargeError:
                refusals.append(Refusal("larger than Kafka takes", ("too_large",)))
            except KafkaError as error:
                refusals.append(Refusal(str(error), (UNAVAILABLE,)))
        for answer in await asyncio.gather(*deliveries, return_exceptions=True):
            if isinstance(answer, KafkaError):
                refusals.append(Refusal(str(answer), (UNAVAILABLE,)))
            elif isinstance(answer, BaseException):
                raise answer
        return Outcome(len(events) - len(refusals), tuple(refusals))


def key_of(event: bytes) -> bytes | None:
    """The user's id in UTF-8; a line without one that can be read has no key."""
    try:
        user_id = _decode_key(event).user_id
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return user_id.encode() if user_id else None
