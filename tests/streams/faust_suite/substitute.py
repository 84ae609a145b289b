"""A pytest plugin: Faust's own tests meet this transport's classes under the names of Faust's.

Named with `-p` in the process that runs Faust's suite, where `tests` is Faust's own package; so it imports nothing
from ours. `DIFFERENT` names the tests that state what this transport does otherwise, each with what it does instead.
"""

from typing import Final

import faust.transport.conductor
import faust.transport.consumer
import pytest
from faust.transport.drivers import aiokafka

from streams.transport import Transport
from streams.transport.conductor import Conductor
from streams.transport.consumer import Consumer
from streams.transport.thread import ConsumerThread

BATCHES = "a message is a batch, not a record"
LIVELOCK = "the livelock detector is off: it takes a batch for one event; lag is a metric"
FETCHING = "fetch settings, assignor and isolation are the transport's own, given as TransportOptions"
COMMITS = "a commit that fails is said once and tried again; Faust crashes the app"
DEALING = "records are dealt out fairly, in the consumer's thread; nothing fetched is dropped because of its partition"
SEEKING = "every partition is placed by the app's hook, and read as soon as it has its place"
DRAINING = "waits a bounded time for the batches at work"
LEDGER = "offsets to commit are kept by a ledger of batches"

AIOKAFKA: Final = "tests/unit/transport/drivers/test_aiokafka.py::"
CONSUMER: Final = "tests/unit/transport/test_consumer.py::"

DIFFERENT: Final[dict[str, str]] = {
    AIOKAFKA + "TestConsumer::test__to_message": BATCHES,
    AIOKAFKA + "TestConsumer::test__to_message__no_timestamp": BATCHES,
    AIOKAFKA + "Test_VEP_no_fetch_since_start::test_timed_out": LIVELOCK,
    AIOKAFKA + "Test_VEP_no_recent_fetch::test_timed_out": LIVELOCK,
    AIOKAFKA + "Test_VEP_no_highwater_since_start::test_timed_out": LIVELOCK,
    AIOKAFKA + "Test_VEP_stream_idle_highwater_no_inbound::test_timed_out_since_start": LIVELOCK,
    AIOKAFKA + "Test_VEP_stream_idle_highwater_no_inbound::test_inbound_timed_out": LIVELOCK,
    AIOKAFKA + "Test_VEP_no_commit::test_timed_out_since_start": LIVELOCK,
    AIOKAFKA + "Test_VEP_no_commit::test_timed_out_since_last": LIVELOCK,
    AIOKAFKA + "Test_AIOKafkaConsumerThread::test_session_gt_request_timeout": FETCHING,
    AIOKAFKA + "Test_AIOKafkaConsumerThread::test__create_worker_consumer": FETCHING,
    AIOKAFKA + "Test_AIOKafkaConsumerThread::test__create_worker_consumer__transaction": FETCHING,
    AIOKAFKA + "Test_AIOKafkaConsumerThread::test__create_worker_consumer__uses_roundrobin_without_tables": FETCHING,
    AIOKAFKA
    + "Test_AIOKafkaConsumerThread::test__create_worker_consumer__uses_faust_assignor_with_changelog_topics": FETCHING,
    AIOKAFKA + "Test_AIOKafkaConsumerThread::test__commit": COMMITS,
    AIOKAFKA + "Test_AIOKafkaConsumerThread::test__commit__already_rebalancing": COMMITS,
    AIOKAFKA + "Test_AIOKafkaConsumerThread::test__commit__CommitFailedError": COMMITS,
    AIOKAFKA + "Test_AIOKafkaConsumerThread::test__commit__IllegalStateError": COMMITS,
    CONSUMER + "TestConsumer::test_getmany__stopped_after_wait": DEALING,
    CONSUMER + "TestConsumer::test_getmany__flow_inactive": DEALING,
    CONSUMER + "TestConsumer::test_getmany__flow_inactive2": DEALING,
    CONSUMER + "TestConsumer::test_getmany": DEALING,
    CONSUMER + "TestConsumer::test_getmany_buffered": DEALING,
    CONSUMER + "TestConsumer::test_perform_seek": SEEKING,
    CONSUMER + "TestConsumer::test_seek": SEEKING,
    CONSUMER + "TestConsumer::test_wait_empty": DRAINING,
    CONSUMER + "TestConsumer::test_force_commit": LEDGER,
}


aiokafka.Transport = Transport
aiokafka.Consumer = faust.transport.consumer.Consumer = Consumer
aiokafka.AIOKafkaConsumerThread = ConsumerThread
faust.transport.conductor.Conductor = Conductor


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is meant to differ. Raises UsageError where such a test is not there any more."""
    found = {item.nodeid: item for item in items}
    if missing := DIFFERENT.keys() - found.keys():
        raise pytest.UsageError(f"Faust has no such tests: {sorted(missing)}")
    for name, instead in DIFFERENT.items():
        found[name].add_marker(pytest.mark.skip(reason=instead))
