"""An app that knows of the transport only by its name in `broker`. Prints the batches of its topic. Not a test."""

import sys
from typing import Any

import faust

from streams.transport import Batch, BatchSchema

servers, topic, data = sys.argv[1:]
app = faust.App(
    f"outside-{topic}",
    broker=f"millrace://{servers}",
    datadir=data,
    web_enabled=False,
    topic_disable_leader=True,
    worker_redirect_stdouts=False,
)


@app.agent(app.topic(topic, schema=BatchSchema()))  # type: ignore[untyped-decorator]  # Faust is untyped here
async def print_batches(stream: Any) -> None:
    async for event in stream.noack().events():
        batch: Batch = event.value
        sys.stdout.writelines(f"record {batch.partition} {record.offset}\n" for record in batch.records)
        sys.stdout.flush()
        batch.processed = True
        await stream.ack(event)


faust.Worker(app, loglevel="WARNING").execute_from_commandline()
