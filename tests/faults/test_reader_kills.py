"""Analytics and recommender workers killed while events flow: tables, neighbours and lists are exact."""

import asyncio
import random
import time
from itertools import pairwise
from pathlib import Path

import pytest

from tests.faults.readers import Tables, assert_recommended, native_tables, reader
from tests.faults.scene import MARKS, Scene, kill, native_scene, send_paced
from tests.faults.traffic import SPLIT_USERS, make_sent

pytestmark = [*MARKS, pytest.mark.long]
COUNT = 4_000
PER_S = 1000
ROUNDS = 3


async def test_killed_analytics_and_recommend_workers_lose_nothing_and_count_nothing_twice(
    tenant: str, tmp_path: Path
) -> None:
    dice = random.Random(5)
    made = make_sent(tenant, count=COUNT, now_ms=time.time_ns() // 1_000_000)
    sent = [each for each in made if each.key.decode() not in SPLIT_USERS]  # whose order is nobody's to say
    cuts = [len(sent) * number // (2 * ROUNDS) for number in range(2 * ROUNDS + 1)]
    slices = [sent[begin:end] for begin, end in pairwise(cuts)]
    async with native_scene(tenant, tmp_path) as scene, native_tables(tmp_path) as tables, scene.worker():
        analytics = reader("analytics", scene, tables.dsn, tmp_path)
        recommend = reader("recommend", scene, scene.redis_dsn, tmp_path)
        try:
            for number in range(ROUNDS):
                await asyncio.gather(analytics.start(), recommend.start())
                sending = asyncio.create_task(send_paced(scene, slices[2 * number], PER_S))
                await some_moment(scene, tables, number, dice)
                await asyncio.gather(kill(analytics), kill(recommend))
                await sending
                await send_paced(scene, slices[2 * number + 1], PER_S)
                await scene.wait_all_counted()  # the judge and the features go on
            expected = await scene.assert_exact()
            await asyncio.gather(analytics.start(), recommend.start())
            await tables.assert_exact(scene, expected)
            await assert_recommended(scene, expected)
        finally:
            await asyncio.gather(analytics.stop(1), recommend.stop(1))
    assert len(expected.accepted) + len(expected.rejected) == len(sent)


async def some_moment(scene: Scene, tables: Tables, number: int, dice: random.Random) -> None:
    """Every second time soon after progress, else at any moment: while they start, are placed, or work."""
    if number % 2:
        await tables.wait_stored(scene.tenant, await tables.stored(scene.tenant))
        await asyncio.sleep(dice.uniform(0, 0.5))
    else:
        await asyncio.sleep(dice.uniform(0.1, 3))
