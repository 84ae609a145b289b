"""From where a rebuild begins, what it keeps of before, and what it refuses."""

import time

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.admin.records_to_delete import RecordsToDelete
from redis.asyncio import Redis

from schemas.erased import ErasedUser, key_id, listed_hash
from schemas.kafka import KafkaDsn
from schemas.keys import KeySpace
from schemas.topics import raw_topic
from streams.replay.errors import NoSuchTopic, StartAhead, UserErased
from streams.replay.run import Order, Rebuild
from tests.faults.scene import signals
from tests.faults.traffic import Sent
from tests.streams.live import admin_client
from tests.streams.replay.stage import Stage, a_stage, traffic
from tracking_configs.judge import Judge
from tracking_configs.registry import ConfigRegistry

HOUR_MS = 3_600_000


def sent_at(tenant: str, number: int, moment: int, user: str, action: str = "click") -> Sent:
    event = {
        "event_id": f"evt_{number}",
        "tenant_id": tenant,
        "scenario_id": "vlog_feed",
        "user_id": user,
        "item_id": f"i{number}",
        "action_type": action,
        "timestamp": moment,
        "context": {"device_type": "pc"},
    }
    return Sent(msgspec.json.encode(event), user.encode(), moment, partition=0)


def two_halves(tenant: str, now_ms: int) -> list[Sent]:
    """Ten events of five hours ago, by whom a friend was made and who came to stay, and ten of now."""
    old = [sent_at(tenant, n, now_ms - 5 * HOUR_MS + n, "ann" if n % 2 else "bob") for n in range(9)]
    old.append(sent_at(tenant, 9, now_ms - 5 * HOUR_MS + 9, "bob", "follow"))
    return [*old, *(sent_at(tenant, n, now_ms - 1000 + n, "ann") for n in range(10, 20))]


async def dump(stage: Stage) -> dict[bytes, bytes | None]:
    keys = [key async for key in stage.redis.scan_iter(match=f"{stage.tenant}:*", count=1000)]
    return {key: await stage.redis.dump(key) for key in keys}


async def check_kept(stage: Stage) -> None:
    redis, key = stage.redis, stage.key
    assert await redis.smembers(key("user:follows", "bob")) == {b"i9"}
    assert await redis.ttl(key("user:follows", "bob")) == -1
    items = [msgspec.json.decode(entry)[0] for entry in await redis.lrange(key("user:recent", "ann"), 0, -1)]
    assert items == [f"i{n}" for n in [*range(19, 9, -1), 7, 5, 3, 1]]
    assert len(await redis.lrange(key("user:recent", "bob"), 0, -1)) == 6
    assert await redis.ttl(key("user:recent", "bob")) > 24 * 3600
    assert await redis.hget(key("user:session", "ann"), "events") == b"10"
    assert not await redis.exists(key("user:session", "bob")), "whose session lies before the start"


async def test_from_a_moment_on_keeps_follows_and_recents_of_before(
    kafka: str, redis_client: Redis, tenant: str
) -> None:
    now_ms = time.time_ns() // 1_000_000
    async with a_stage(tenant, kafka, redis_client) as stage, stage.worker():
        await stage.send(two_halves(tenant, now_ms))
        await stage.counted()
        report = await stage.rebuild(now_ms - HOUR_MS)
        assert (report.records, report.complete_from) == (10, now_ms - HOUR_MS)
        await check_kept(stage)
        await stage.send([sent_at(tenant, 20, now_ms, "ann")])
        await stage.counted()
        assert await redis_client.hget(stage.key("user:session", "ann"), "events") == b"11"


async def test_what_kafka_dropped_is_named_and_kept(kafka: str, redis_client: Redis, tenant: str) -> None:
    now_ms = time.time_ns() // 1_000_000
    async with a_stage(tenant, kafka, redis_client) as stage, stage.worker():
        await stage.send(two_halves(tenant, now_ms))
        await stage.counted()
        async with admin_client(kafka) as admin:
            await admin.delete_records({TopicPartition(raw_topic(tenant), 0): RecordsToDelete(before_offset=10)})
        for since in (None, now_ms - 9 * HOUR_MS):
            report = await stage.rebuild(since)
            assert (report.records, report.complete_from) == (10, now_ms - 1000 + 10)
            await check_kept(stage)


async def test_a_dry_run_changes_nothing_and_no_summary_is_made_twice(
    kafka: str, redis_client: Redis, tenant: str
) -> None:
    async with a_stage(tenant, kafka, redis_client) as stage:
        async with stage.worker():
            await stage.send(traffic(tenant, 2_000))
            await stage.counted()
        before = await dump(stage)
        report = await stage.rebuild(swap=False)
        assert not report.swapped
        assert await dump(stage) == before
        outboxes = {key: value for key, value in before.items() if b":sessions:outbox:" in key}
        assert outboxes
        await stage.rebuild()
        after = await dump(stage)
        assert {key: value for key, value in after.items() if b":sessions:outbox:" in key} == outboxes
        await stage.assert_exact()
        found = (await stage.rebuild(swap=False)).difference
        assert (found.only_live, found.only_shadow) == (0, 0)
        assert all(":split" in name for name in found.examples["differing"]), "whose partitions come in any order"


async def test_a_tenant_without_events_and_a_start_ahead_are_refused(
    kafka: str, redis_client: Redis, tenant: str
) -> None:
    judge = Judge(ConfigRegistry())
    with pytest.raises(NoSuchTopic, match=tenant):
        await Rebuild(redis_client, KafkaDsn.parse(kafka), judge, signals, Order(tenant)).run()
    ahead = Order(tenant, time.time_ns() // 1_000_000 + HOUR_MS)
    with pytest.raises(StartAhead, match="ahead"):
        await Rebuild(redis_client, KafkaDsn.parse(kafka), judge, signals, ahead).run()


async def test_features_are_not_swapped_where_a_user_was_erased_meanwhile(
    kafka: str, redis_client: Redis, tenant: str
) -> None:
    now_ms = time.time_ns() // 1_000_000
    async with a_stage(tenant, kafka, redis_client) as stage, stage.worker():
        await stage.send(two_halves(tenant, now_ms))
        await stage.counted()
        secret = b"0123456789abcdef"
        stage.judge.erased.use_key(secret)
        erased = ErasedUser(
            tenant_id=tenant,
            user=listed_hash(secret, tenant, "ann"),
            erased_at=now_ms + HOUR_MS,
            key_id=key_id(secret),
        )
        assert stage.judge.erased.note(erased)
        with pytest.raises(UserErased):
            await stage.rebuild()
        left = [key async for key in redis_client.scan_iter(match=f"{KeySpace(tenant, shadow=True).prefix}*")]
        assert left == []
