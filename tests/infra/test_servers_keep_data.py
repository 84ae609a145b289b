"""The servers' promises to whoever runs them: data outlives a restart, and a cached start asks no network."""

import secrets
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from redis.asyncio import Redis

from infra.stack import jars
from infra.stack.jars import JarsError, ensure_jars, recorded_checksums
from infra.stack.servers import running_server


@pytest.mark.stack
async def test_kafka_keeps_its_log(tmp_path: Path) -> None:
    topic = f"kept-{secrets.token_hex(4)}"
    async with (
        running_server("kafka", "embedded", tmp_path) as bootstrap,
        AIOKafkaProducer(bootstrap_servers=bootstrap) as producer,
    ):
        sent = await producer.send_and_wait(topic, b"kept", partition=0)
    async with (
        running_server("kafka", "embedded", tmp_path) as bootstrap,
        AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer,
    ):
        consumer.assign([TopicPartition(topic, sent.partition)])
        assert (await consumer.getone()).value == b"kept"
        assert len(consumer.partitions_for_topic(topic) or ()) == 4


@pytest.mark.stack
async def test_redis_keeps_its_keys(tmp_path: Path) -> None:
    for found in (None, b"kept"):
        async with running_server("redis", "embedded", tmp_path) as url, Redis.from_url(url) as client:
            assert await client.get("key") == found
            await client.set("key", b"kept")
            assert (await client.config_get("maxmemory-policy"))["maxmemory-policy"] == "noeviction"


@pytest.mark.stack
async def test_clickhouse_keeps_its_tables(tmp_path: Path) -> None:
    for count in ("0\n", "1\n"):
        async with (
            running_server("clickhouse", "embedded", tmp_path) as url,
            httpx.AsyncClient(base_url=url) as client,
        ):
            await client.post("/", content="CREATE TABLE IF NOT EXISTS t (n UInt8) ENGINE = MergeTree ORDER BY n")
            assert (await client.get("/", params={"query": "SELECT count() FROM t"})).text == count
            await client.post("/", content="INSERT INTO t VALUES (1)")


async def test_cached_jars_are_taken_without_the_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept = make_jars(monkeypatch, tmp_path, {"a.jar": b"one"})
    kept.mkdir()
    (kept / "a.jar").write_bytes(b"one")
    monkeypatch.setattr(jars, "_resolve", refuse)
    assert await ensure_jars() == kept


async def test_jars_that_differ_from_the_record_are_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept = make_jars(monkeypatch, tmp_path, {"a.jar": b"one", "b.jar": b"two"})

    async def deliver(scratch: Path) -> None:
        (scratch / "jars").mkdir()
        (scratch / "jars" / "a.jar").write_bytes(b"something else")

    monkeypatch.setattr(jars, "_resolve", deliver)
    with pytest.raises(JarsError, match=r"2 of Kafka's jars differ.*a\.jar, b\.jar"):
        await ensure_jars()
    assert not kept.exists()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == []


def test_the_record_names_the_broker_and_its_own_clients() -> None:
    recorded = recorded_checksums()
    assert {f"kafka_2.13-{jars.KAFKA_VERSION}.jar", f"kafka-clients-{jars.KAFKA_VERSION}.jar"} <= recorded.keys()


async def refuse(_: Path) -> None:
    raise AssertionError("the network was asked")


def make_jars(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: dict[str, bytes]) -> Path:
    """A cache and a record of our own; the folder where the jars belong, not made yet."""
    record = tmp_path / "record"
    record.mkdir()
    for name, content in files.items():
        (record / name).write_bytes(content)
    lines = [f"{digest}  {name}" for name, digest in jars.checksums(record).items()]
    (tmp_path / "kafka_jars.sha256").write_text("\n".join(lines))
    monkeypatch.setattr(jars, "CHECKSUMS", tmp_path / "kafka_jars.sha256")
    monkeypatch.setenv("MILLRACE_CACHE", str(tmp_path / "cache"))
    return jars.jars_dir()
