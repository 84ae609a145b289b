"""A worker to be killed: notes `partition offset` of every record it has processed. Not a test."""

import asyncio
import sys

from streams.app import lanes_app, run_worker
from streams.transport import Batch
from tests.streams.live import Recorder, make_config


class Noting(Recorder):
    """Slow, so that it is killed in the middle of its work."""

    def __init__(self, tenant: str, file: str) -> None:
        super().__init__(tenant)
        self._file = file

    async def process(self, batch: Batch) -> int | None:
        if batch.topic.endswith(self.tenant):
            with open(self._file, "a") as notes:  # noqa: ASYNC230, PTH123 - must be on disk before the batch counts
                notes.writelines(f"{record.partition} {record.offset}\n" for record in batch.records)
            await asyncio.sleep(0.1)
        return None


async def main(kafka: str, group_prefix: str, tenant: str, file: str) -> None:
    config = make_config(kafka, group_prefix=group_prefix, max_batch_records=100)
    step = Noting(tenant, file)
    await run_worker(lambda: lanes_app("judge", "user-behaviors-", config, step), asyncio.Event(), asyncio.Event())


asyncio.run(main(*sys.argv[1:]))
