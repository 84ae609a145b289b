"""Child processes: started, watched, started again, and never left behind."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from infra.errors import OperatorError
from infra.platform import _sole_user
from infra.stack.ports import PortInUseError, claim_port, free_ports
from infra.stack.server import Server, ServerError
from infra.supervisor import Supervisor


def sleeper(tmp_path: Path, code: str = "import time; time.sleep(600)") -> Server:
    async def answers() -> None:
        return None

    return Server("sleeper", [sys.executable, "-c", code], tmp_path / "sleeper.log", answers)


async def test_a_child_that_dies_is_started_again_and_said_so(tmp_path: Path) -> None:
    server, said, back = sleeper(tmp_path), [], asyncio.Event()

    def say(sentence: str) -> None:
        said.append(sentence)
        if "is back" in sentence:
            back.set()

    supervisor = Supervisor(say)
    await server.run()
    first = server.pid
    supervisor.watch([server])
    server.signal(signal.SIGKILL)
    await asyncio.wait_for(back.wait(), 20)
    assert server.pid != first
    assert "ended with status -9" in said[0]
    await supervisor.release(["sleeper"])
    await server.stop()
    assert not is_running(server.pid)


async def test_a_child_that_ends_before_it_is_ready_shows_its_last_words(tmp_path: Path) -> None:
    async def never() -> None:
        raise ConnectionError

    server = Server("broken", [sys.executable, "-c", "raise SystemExit('no disk')"], tmp_path / "broken.log", never)
    with pytest.raises(ServerError, match="no disk"):
        await server.run()


async def test_nothing_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys, pathlib\n"
        "from tests.infra.test_supervisor import sleeper\n"
        "async def main():\n"
        "    server = sleeper(pathlib.Path(sys.argv[1])); await server.run(); print(server.pid, flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(tmp_path), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    parent.kill()
    await parent.wait()
    async with asyncio.timeout(10):
        while is_running(child):
            await asyncio.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def test_a_taken_port_is_named_with_the_flag_that_changes_it() -> None:
    port = free_ports(1)[0]
    assert claim_port(port, "--http-port") == port
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortInUseError, match=f"{port}.*--http-port"):
        claim_port(port, "--http-port")


def test_a_folder_that_cannot_be_one_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError, match="choose a folder"), _sole_user(tmp_path / "file"):
        pass


def test_a_second_platform_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with _sole_user(tmp_path), pytest.raises(OperatorError, match="--data-dir"), _sole_user(tmp_path):
        pass
