"""A worker that is told to stop stops, whatever Kafka and its client do."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from infra.stack.ports import LOOPBACK, free_ports
from streams import app as app_module
from streams.app import lanes_app, run_worker
from tests.streams.live import Recorder, make_config, role

LONG_S = 30


async def test_a_worker_stops_while_kafka_is_away() -> None:
    stop, config = asyncio.Event(), make_config(f"{LOOPBACK}:{free_ports(1)[0]}")
    make_app = lambda: lanes_app("judge", "user-behaviors-", config, Recorder("acme"))  # noqa: E731
    running = asyncio.create_task(run_worker(make_app, stop, asyncio.Event()))
    await asyncio.sleep(0.3)
    stop.set()
    await asyncio.wait_for(running, LONG_S)


async def test_a_client_that_swallows_a_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "CANCELLING_S", 0.01)
    stop, begun = asyncio.Event(), list[int]()

    async def work() -> None:
        for time in range(3):
            begun.append(time)
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(LONG_S)
        begun.append(3)

    working = asyncio.create_task(app_module._unless(stop, work()))
    await asyncio.sleep(0)
    stop.set()
    assert not await asyncio.wait_for(working, LONG_S)
    assert begun == [0, 1, 2, 3]


async def test_work_that_never_lets_itself_be_cancelled_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "CANCELLING_S", 0.01)
    stop, released = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        while not released.is_set():
            with suppress(asyncio.CancelledError):
                await released.wait()

    working = asyncio.create_task(app_module._unless(stop, work()))
    await asyncio.sleep(0)
    stop.set()
    assert not await asyncio.wait_for(working, LONG_S)
    released.set()


async def test_an_app_that_crashes_is_built_anew(kafka: str, tenant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "RESTART_PAUSE_S", 0.1)
    config, built = make_config(kafka), []

    def make_app() -> Any:
        built.append(lanes_app("judge", "user-behaviors-", config, Recorder(tenant)))
        return built[-1]

    async with role(lambda stop, ready: run_worker(make_app, stop, ready)):
        await built[0].crash(ValueError("poisoned"))
        async with asyncio.timeout(LONG_S):
            while len(built) < 2 or not built[1].consumer.placed.is_set():
                await asyncio.sleep(0.05)
