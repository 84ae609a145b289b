"""What of each partition may be fetched at a time."""

import pytest

from streams.transport.options import MIN_FETCH_BYTES, TransportOptions

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("partitions", "of_each"),
    [(0, MIB), (1, MIB), (16, MIB), (32, MIB // 2), (256, MIN_FETCH_BYTES), (100_000, MIN_FETCH_BYTES)],
)
def test_a_partition_has_its_share_of_what_may_lie_unread(partitions: int, of_each: int) -> None:
    options = TransportOptions(client={}, max_partition_fetch_bytes=MIB, max_unread_bytes=16 * MIB)
    assert options.partition_fetch_bytes(partitions) == of_each
