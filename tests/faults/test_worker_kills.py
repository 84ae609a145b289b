"""Workers killed again and again while events flow: nothing is lost, nothing is counted twice."""

import asyncio
import os
import random
import time
from itertools import pairwise
from pathlib import Path

from tests.faults.scene import MARKS, Scene, kill, native_scene, send_paced
from tests.faults.traffic import PARTITIONS, POISONS, SPLIT_USERS, make_sent

pytestmark = MARKS
PER_S = 800
KILLS = int(os.environ.get("MILLRACE_TEST_KILLS", "6"))  # `make faults` kills 20 times
COUNT = 800 * (KILLS + 1)
WITH_A_SECOND = (3, 4)  # kills that hit a second member of the group, one that joined a moment before


async def test_kills_at_any_moment_lose_nothing_and_count_nothing_twice(tenant: str, tmp_path: Path) -> None:
    dice = random.Random(5)
    async with native_scene(tenant, tmp_path) as scene:
        first, second = (scene.process(name, tmp_path / f"worker-{name}.log") for name in ("first", ""))
        sent = make_sent(tenant, count=COUNT, now_ms=time.time_ns() // 1_000_000)
        cuts = [len(sent) * number // (KILLS + 1) for number in range(KILLS + 2)]
        slices = [sent[begin:end] for begin, end in pairwise(cuts)]
        try:
            await first.start()
            for number, part in enumerate(slices[:KILLS]):
                victim = second if number in WITH_A_SECOND else first
                if victim is second:
                    await second.start()
                sending = asyncio.create_task(send_paced(scene, part, PER_S))
                await some_moment(scene, number, dice)
                await kill(victim)
                if victim is first:
                    await first.start()
                await sending
            await send_paced(scene, slices[-1], PER_S)
            expected = await scene.assert_exact()
        finally:
            await asyncio.gather(first.stop(1), second.stop(1))
    assert len(expected.accepted) + len(expected.rejected) == len(sent)
    assert len(expected.rejected) == PARTITIONS * POISONS
    partitions = {user: {e.partition for e in expected.accepted if e.user_id == user} for user in SPLIT_USERS}
    assert max(map(len, partitions.values())) > 1, "nobody's events lay in two partitions"


async def some_moment(scene: Scene, number: int, dice: random.Random) -> None:
    """Every second time soon after progress, else at any moment: while it starts, is placed, or works."""
    if number % 2:
        await scene.wait_counted(await scene.counted())
        await asyncio.sleep(dice.uniform(0, 0.5))
    else:
        await asyncio.sleep(dice.uniform(0.1, 3))
