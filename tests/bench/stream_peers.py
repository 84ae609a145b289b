"""The peers of `bench_stream`, each in the idiom of its own documentation, with the same judge and the same commands.

None of them has a fence, drops duplicates or caps what a user adds. They are installed by `make bench` alone.
"""

import asyncio
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from schemas.event import Event
from schemas.keys import KeySpace
from schemas.topics import raw_topic
from tests.bench.stream_job import Clock, Job, commands_of, judged, make_judge

Result = dict[str, float]
TAKEN, WITHIN_S, BATCH = 1000, 0.5, 2000


def group() -> str:
    return f"bench-{time.time_ns()}"


def write_by_pipeline(redis: Redis, keys: KeySpace, events: list[Event]) -> None:
    """As redis-py's documentation has it."""
    pipe = redis.pipeline(transaction=False)
    for command in commands_of(keys, events):
        pipe.execute_command(*command)  # type: ignore[no-untyped-call]
    pipe.execute()


def faust(job: Job) -> Result:
    """Stock Faust: `stream.take`, a pipeline a batch."""
    return asyncio.run(_faust(job))


async def _faust(job: Job) -> Result:
    import faust as stock

    stop = asyncio.Event()
    clock, judge, keys = Clock(job.events, stop.set), make_judge(job.tenant), KeySpace(job.tenant)
    redis = AsyncRedis.from_url(job.redis)
    app = stock.App(
        group(),
        broker=f"kafka://{job.kafka}",
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        value_serializer="raw",
        datadir=tempfile.mkdtemp(),
    )

    @app.agent(app.topic(raw_topic(job.tenant), value_type=bytes, key_type=bytes))  # type: ignore[untyped-decorator]
    async def features(stream: Any) -> None:
        async for values in stream.take(TAKEN, within=WITHIN_S):
            now_ms = time.time_ns() // 1_000_000
            events = [judged(judge, job.tenant, value, now_ms, 0, 0) for value in values]
            pipe = redis.pipeline(transaction=False)
            for command in commands_of(keys, events):
                pipe.execute_command(*command)
            await pipe.execute()
            clock.count(len(events))

    app.finalize()
    starting = asyncio.ensure_future(app.start())
    await stop.wait()
    await starting
    await app.stop()
    await redis.aclose()
    return clock.result


def quixstreams(job: Job) -> Result:
    """A dataframe of bytes, judged by `apply`, into a batching sink, flushed at each checkpoint (1 s)."""
    from quixstreams import Application
    from quixstreams.sinks import BatchingSink

    redis, judge, keys = Redis.from_url(job.redis), make_judge(job.tenant), KeySpace(job.tenant)
    app = Application(
        broker_address=job.kafka,
        consumer_group=group(),
        auto_offset_reset="earliest",
        loglevel="ERROR",
        commit_interval=1.0,
        state_dir=tempfile.mkdtemp(),
    )
    clock = Clock(job.events, app.stop)

    class Features(BatchingSink):  # type: ignore[misc]  # no types where the peers are not installed
        def write(self, batch: Any) -> None:
            write_by_pipeline(redis, keys, [item.value for item in batch])
            clock.count(batch.size)

    def judge_value(value: bytes, key: bytes, timestamp: int, headers: Any) -> Event:
        return judged(judge, job.tenant, value, timestamp, 0, 0)

    topic = app.topic(raw_topic(job.tenant), value_deserializer="bytes", key_deserializer="bytes")
    app.dataframe(topic).apply(judge_value, metadata=True).sink(Features())
    app.run()
    return clock.result


def bytewax(job: Job) -> Result:
    """Its Kafka source, a `map` that judges, a sink that writes what comes together."""
    import bytewax.operators as op
    from bytewax.connectors.kafka import KafkaSource
    from bytewax.dataflow import Dataflow
    from bytewax.outputs import DynamicSink, StatelessSinkPartition
    from bytewax.testing import run_main

    redis, judge, keys = Redis.from_url(job.redis), make_judge(job.tenant), KeySpace(job.tenant)
    clock = Clock(job.events, lambda: None)

    class Features(StatelessSinkPartition[Event]):  # type: ignore[misc]
        def write_batch(self, items: list[Event]) -> None:
            write_by_pipeline(redis, keys, items)
            clock.count(len(items))

    class FeatureSink(DynamicSink[Event]):  # type: ignore[misc]
        def build(self, step_id: str, worker_index: int, worker_count: int) -> Features:
            return Features()

    def judge_message(message: Any) -> Event:
        return judged(judge, job.tenant, message.value, message.timestamp[1], message.partition, message.offset)

    flow = Dataflow("features")
    source = KafkaSource([job.kafka], [raw_topic(job.tenant)], tail=False, batch_size=BATCH)
    op.output("redis", op.map("judge", op.input("kafka", flow, source), judge_message), FeatureSink())
    run_main(flow)
    return clock.result


def confluent(job: Job) -> Result:
    """Bare confluent-kafka, commands packed by hiredis, one write and one read of the socket a batch."""
    import hiredis
    from confluent_kafka import Consumer

    stopped = threading.Event()
    clock, judge, keys = Clock(job.events, stopped.set), make_judge(job.tenant), KeySpace(job.tenant)
    address = urlsplit(job.redis)
    consumer = Consumer({"bootstrap.servers": job.kafka, "group.id": group(), "auto.offset.reset": "earliest"})
    consumer.subscribe([raw_topic(job.tenant)])
    with socket.create_connection((address.hostname, address.port)) as redis:
        while not stopped.is_set():
            messages = consumer.consume(BATCH, timeout=0.1)
            events = [
                judged(judge, job.tenant, m.value(), m.timestamp()[1], m.partition(), m.offset())
                for m in messages
                if not m.error()
            ]
            commands = commands_of(keys, events)
            redis.sendall(b"".join([hiredis.pack_command(command) for command in commands]))  # type: ignore[arg-type]
            _drain(redis, hiredis.Reader(), len(commands))
            if events:
                clock.count(len(events))
    consumer.close()
    return clock.result


def _drain(redis: socket.socket, reader: Any, replies: int) -> None:
    while replies:
        reader.feed(redis.recv(1 << 16))
        while reader.gets() is not False:
            replies -= 1


PEERS: dict[str, tuple[str, Callable[[Job], Result]]] = {
    "faust": ("stock Faust, take()", faust),
    "quixstreams": ("quixstreams, batching sink", quixstreams),
    "bytewax": ("bytewax", bytewax),
    "confluent_kafka": ("confluent-kafka, packed by hand", confluent),
}
"""By the module that a peer needs: its name in the table, and its worker."""
