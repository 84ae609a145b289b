"""Any Faust app has the transport by its name alone: `broker="millrace://..."`."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import entry_points
from pathlib import Path

from faust.transport import drivers

from streams.transport import Transport
from tests.streams.live import fill, make_topic

OUTSIDE_APP = Path(__file__).with_name("outside_app.py")
LONG_S = 60


def test_the_name_leads_to_the_transport() -> None:
    (found,) = entry_points(group="faust.transports", name="millrace")
    assert found.load() is drivers.by_url("millrace://localhost:9092") is Transport


async def test_an_app_of_others_reads_batches_and_goes_on_where_it_stopped(
    kafka: str, tenant: str, tmp_path: Path
) -> None:
    await make_topic(kafka, tenant)
    seen: list[tuple[int, int]] = []
    for count in (100, 200):
        await fill(kafka, tenant, 100)
        async with outside_app(kafka, tenant, tmp_path) as lines:
            async with asyncio.timeout(LONG_S):
                while len(seen) < 2 * count:
                    match (await lines.readline()).split():
                        case b"record", number, offset:
                            seen.append((int(number), int(offset)))
                        case []:
                            raise AssertionError("the app has ended")
    for partition in range(2):
        assert [place for owner, place in seen if owner == partition] == list(range(200))


@asynccontextmanager
async def outside_app(kafka: str, topic: str, data: Path) -> AsyncIterator[asyncio.StreamReader]:
    """The app in a process of its own, and what it prints; it is told to stop at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(OUTSIDE_APP), kafka, topic, str(data)),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield process.stdout
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), LONG_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
