"""A Faust transport that gives an agent one fetch of one partition as one message.

Stock Faust pays some 70 microseconds of machinery an event. Here a message's value is a `Batch`, its offset the
last record's, so the machinery is paid once a batch. Records pass through untouched: key, value (None for a
tombstone), headers, timestamp and offset are Kafka's own. Faust still runs the app, the agents, the group, the
rebalances and the commits. What differs from faust-streaming 0.15.3:

- `Consumer.getmany`, `_drain_messages`, `_to_message`: a batch a partition. Nothing fetched is dropped because
  its partition is paused. A fetch is labelled, in the thread that made it, with the seek it follows and the
  generation of the group, and is dropped when either is over: it will be read again.
- `Consumer.ack`, `force_commit`: an ordered list of batches in flight (`Ledger`) instead of intervals of offsets,
  which advance by one batch a commit. Faust acknowledges messages that it skips during a rebalance; only a batch
  marked `processed` counts here. Faust forgets acknowledged offsets before the last commit of a rebalance, so
  that they are processed twice; here they are committed first.
- `Consumer.perform_seek`: every assigned partition is put where the app's `where` hook says, else at the committed
  offset, else at the earliest; it is read as soon as that is known, and waits for no other.
- `Consumer.wait_empty`: a rebalance waits a bounded time for the batches at work (`app.drain`), because a sink
  whose store is away would otherwise hold up the group.
- `ConsumerThread.subscribe`: by the app's pattern, with a short metadata age; `Conductor` therefore gives every
  assigned partition to every agent instead of looking topics up by name.
- `ConsumerThread._commit`: a commit that fails is said once and tried again; Faust crashes the app.
- `ConsumerThread.call_thread`: calls into the thread run at once, each by itself; Faust has two run at a time.
- `ConsumerThread.on_thread_stop`: the group is left even while it is being joined, and no step waits without a limit.
- Compressed record batches are inflated within a bound (`inflating`).
- Fetch settings are ours, as are TLS and SASL: one `KafkaDsn` for every client of the platform.
- Faust's livelock detector is off.
"""

from faust.transport.drivers.aiokafka import Transport as FaustTransport

from streams.transport.batch import Batch, Record
from streams.transport.conductor import BatchSchema, Conductor
from streams.transport.consumer import Consumer

__all__ = ["Batch", "BatchSchema", "Record", "Transport"]


class Transport(FaustTransport):  # type: ignore[misc]  # Faust is untyped here
    """Registered as `millrace://` in the entry points of `faust.transports`."""

    Consumer = Consumer
    Conductor = Conductor
