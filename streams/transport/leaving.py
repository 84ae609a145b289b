"""Leaving the group and closing aiokafka's consumer: at once, and within bounds whatever Kafka does.

aiokafka's own close waits until a join has ended, that is until every other member has joined again, and tells the
broker only of a membership that was complete; the group then waits for a member that is gone until its session is
over. Its client may swallow a cancellation. So the join is given up here, the broker is told under whatever name it
knows this member by, and nothing is awaited without a limit.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import for_code
from aiokafka.protocol.group import LeaveGroupRequest

log = structlog.get_logger()

JOINING_S: Final = 0.5  # what a join at work may still take: long enough for the broker to give this member its name
LEAVING_S: Final = 1.0
CLOSING_S: Final = 1.0


async def leave_and_close(consumer: AIOKafkaConsumer) -> None:
    """Never raises and never takes longer than the limits together."""
    coordinator = consumer._coordinator
    if isinstance(coordinator, GroupCoordinator) and not coordinator._closing.done():
        coordinator._closing.set_result(None)
        await bounded(_end_joining(coordinator), 2 * JOINING_S, "join_not_ended")
        await bounded(_leave(coordinator), LEAVING_S, "leave_failed")
    await bounded(consumer.stop(), CLOSING_S, "close_failed")


async def bounded(work: Coroutine[Any, Any, None], within_s: float, otherwise: str) -> None:
    """Do some work; where it fails or takes longer, say so and go on without it."""
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=within_s)
    if not done:
        task.cancel()
        log.warning(otherwise, error=f"takes longer than {within_s} s")
    elif not task.cancelled() and (error := task.exception()) is not None:
        log.warning(otherwise, error=repr(error))


async def _end_joining(coordinator: GroupCoordinator) -> None:
    joining = coordinator._coordination_task
    await asyncio.wait({joining}, timeout=JOINING_S)
    joining.cancel()
    await asyncio.gather(joining, return_exceptions=True)


async def _leave(coordinator: GroupCoordinator) -> None:
    """Raises KafkaError. A static member (`instance_id`) does not leave: it is to come back under its name."""
    await coordinator._stop_heartbeat_task()
    await coordinator._stop_commit_offsets_refresh_task()
    if coordinator._group_instance_id is None and coordinator.member_id and coordinator.coordinator_id is not None:
        request = LeaveGroupRequest(coordinator.group_id, coordinator.member_id)
        # Not over the coordinator's own connection: the broker answers no second request there before the join.
        answer = await coordinator._client.send(coordinator.coordinator_id, request)
        if answer.error_code:
            raise for_code(answer.error_code)
