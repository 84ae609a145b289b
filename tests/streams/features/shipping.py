"""Closing and taking what has ended, as the worker does it, without Kafka."""

from streams.features.closing import Closed, Summary
from streams.features.session_fold import Ended
from streams.features.sink import RedisFeatureSink


async def close_all(
    sink: RedisFeatureSink, tenant: str, partition: int = 0, *, epoch: int = 1, most: int = 2
) -> list[Summary]:
    """Close a few at a time until nothing is left to close or to ship; what was shipped."""
    shipped: list[Summary] = []
    while True:
        last = shipped[-1].sequence if shipped else ""
        closed = await sink.close_sessions(tenant, partition, epoch, shipped=last, most=most)
        assert isinstance(closed, Closed)
        if not closed.outbox and not closed.more:
            return shipped
        shipped += closed.outbox


def as_ended(shipped: list[Summary]) -> list[Ended]:
    return [Ended(summary.user_id, summary.fields) for summary in shipped]


def in_any_order(sessions: list[Ended]) -> list[tuple[str, list[tuple[str, str]]]]:
    return sorted((each.user_id, sorted(each.fields.items())) for each in sessions)
