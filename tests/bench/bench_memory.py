"""The memory of a worker: a hundred tenants, an event each of a million users.

    python -m tests.bench bench_memory [--tenants 100] [--users 1000000] [--partitions 2] [--stack native]

One `millrace worker stream`, judge and features, as it is when it has its partitions and nothing to do, while it works
off a backlog of every tenant at once, and afterwards. MB of resident memory, as the kernel counts it; the peak is the
kernel's own (VmHWM), which misses nothing.
"""

import argparse
import re
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import uvloop
from rich.console import Console
from rich.table import Table

from infra.stack.kinds import STACK_KINDS
from schemas.topics import raw_topic
from tests.bench.site import Raw, fill, make_topics, running, site
from tests.bench.stream_job import make_bodies

GOAL_MB = 400
EVENT_ID, TIMESTAMP, USER = re.compile(rb"evt_[0-9a-f]{16}"), re.compile(rb'"timestamp":\d+'), re.compile(rb"user_\d+")


def make_records(tenants: list[str], users: int, partitions: int) -> Iterator[Raw]:
    """An event of each user, the tenants in turn; about 400 bytes."""
    ((_, body),) = make_bodies("bursty", "bench", 1)
    form = USER.sub(b"user_%d", TIMESTAMP.sub(b'"timestamp":%d', EVENT_ID.sub(b"evt_%016x", body)))
    forms = [(raw_topic(t), form.replace(b'"bench"', b'"%s"' % t.encode())) for t in tenants]
    for number in range(users):
        topic, of_tenant = forms[number % len(forms)]
        value = of_tenant % (number, number, time.time_ns() // 1_000_000)
        yield Raw(topic, number // len(forms) % partitions, b"user_%d" % number, value)


def peak_mb(pid: int) -> float:
    """The most that the process has ever had."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


async def measure(options: argparse.Namespace) -> Table:
    tenants = [f"bench{number}" for number in range(options.tenants)]
    table = Table(title=f"{options.tenants} tenants of {options.partitions} partitions, {options.users:,} users")
    for column in ("a worker", "MB"):
        table.add_column(column, justify="left" if column == "a worker" else "right")
    async with site(options.stack) as at:
        await make_topics(at.kafka, map(raw_topic, tenants), options.partitions)
        worker = at.worker()
        async with running(worker):
            process = psutil.Process(worker.pid)
            table.add_row("ready, nothing to do", f"{process.memory_info().rss / 1e6:.0f}")
            began = time.monotonic()
            sent = await fill(at.kafka, make_records(tenants, options.users, options.partitions))
            await at.until_applied(tenants, sent)
            took_s = time.monotonic() - began
            table.add_row("when all is counted", f"{process.memory_info().rss / 1e6:.0f}")
            table.add_row(f"at most (goal {GOAL_MB})", f"{peak_mb(worker.pid):.0f}")
            table.caption = f"{sent / took_s:,.0f} events/s, sending included"
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenants", type=int, default=100)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--partitions", type=int, default=2, help="of each tenant")
    parser.add_argument("--stack", choices=STACK_KINDS, default="embedded")
    Console().print(uvloop.run(measure(parser.parse_args())))


if __name__ == "__main__":
    main()
