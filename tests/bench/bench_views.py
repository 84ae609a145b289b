"""The views of ClickHouse, measured over many events.

    python -m tests.bench.bench_views [--rows 5000000] [--runs 3]

Three tenants, ten scenarios each, 200,000 users, 30 days, in inserts of 50,000 rows, of which one in 33 comes twice;
30,000 sessions. Nothing is merged beforehand but what the engine has merged by itself. The fastest run counts: the
machine is shared. `plain count` is what reading the same rows costs without any view.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from clickhouse_connect.driver.asyncclient import AsyncClient
from rich.console import Console
from rich.table import Table

from infra.connections import open_clickhouse
from infra.stack.servers import running_server
from streams.migrations import migrate

INSERT_ROWS = 50_000
FILL = """
INSERT INTO user_behaviors (event_id, tenant_id, scenario_id, user_id, item_id, action_type, timestamp, received_at,
    device_type, context, experiment_id, experiment_group, weight, kafka_partition, kafka_offset)
SELECT concat('evt_', lower(hex(sipHash64(n)))), concat('t', toString(n % 3)), concat('s', toString(intHash32(n) % 10)),
    concat('u', toString(user)), concat('i', toString(intHash32(n * 11) % 5000)),
    arrayElement(['impression', 'impression', 'impression', 'impression', 'click', 'play', 'play_end', 'purchase'],
        1 + intHash32(n * 13) % 8),
    toDateTime64('2025-10-01 00:00:00', 3, 'UTC') + toIntervalMillisecond(intDiv(n * 2592000000, {rows:UInt64})) AS at,
    at, 'mobile', '{}', 'exp', arrayElement(['a', 'b'], 1 + intHash32(user) % 2), 1, n % 12, intDiv(n, 12)
FROM (SELECT number + {first:UInt64} AS n, intHash32(n * 7) % 200000 AS user FROM numbers(50000))
"""
FILL_SESSIONS = """
INSERT INTO sessions (session_id, tenant_id, user_id, scenario_id, started_at, ended_at, events, actions, dwell_ms)
SELECT concat('ses_', toString(number)), concat('t', toString(number % 3)), concat('u', toString(number % 200000)),
    's0', toDateTime64('2025-10-01 00:00:00', 3, 'UTC') + toIntervalSecond(number * 86) AS at, at + toIntervalMinute(9),
    7, map('impression', 5, 'click', 1), 60000
FROM numbers(30000)
"""
FUNNEL = (
    "SELECT * FROM funnel(tenant = 't1', scenario = 's1', steps = ['impression', 'click', 'purchase'],"
    " window_s = 86400, since = '{}', until = '{}')"
)
QUERIES = {
    "plain count, all": "SELECT tenant_id, scenario_id, toStartOfHour(timestamp) AS hour, action_type, count()"
    " FROM user_behaviors GROUP BY ALL SETTINGS final = 0",
    "ctr_hourly, all": "SELECT * FROM ctr_hourly",
    "ctr_hourly, a tenant": "SELECT * FROM ctr_hourly WHERE tenant_id = 't1'",
    "ctr_hourly, a tenant's day": "SELECT * FROM ctr_hourly WHERE tenant_id = 't1' AND day = '2025-10-20'",
    "funnel, a scenario's month": FUNNEL.format("2025-10-01", "2025-11-01"),
    "funnel, a scenario's day": FUNNEL.format("2025-10-20", "2025-10-21"),
    "retention, all": "SELECT * FROM retention",
    "retention, a tenant": "SELECT * FROM retention WHERE tenant_id = 't1'",
    "experiment_outcomes, all": "SELECT * FROM experiment_outcomes",
    "experiment_outcomes, a tenant": "SELECT * FROM experiment_outcomes WHERE tenant_id = 't1'",
    "sessions_daily, all": "SELECT * FROM sessions_daily",
}


async def fill(client: AsyncClient, rows: int) -> None:
    firsts = list(range(0, rows, INSERT_ROWS))
    for first in firsts + firsts[::33]:
        await client.command(FILL, parameters={"rows": rows, "first": first})
    await client.command(FILL_SESSIONS)


async def measure(rows: int, runs: int) -> Table:
    table = Table("query", "ms", "rows read", title=f"{rows:,} events")
    with tempfile.TemporaryDirectory() as folder:
        async with running_server("clickhouse", "embedded", Path(folder)) as dsn:
            client = await open_clickhouse(dsn)
            await migrate(client)
            await fill(client, rows)
            for name, query in QUERIES.items():
                spent, read = [], 0
                for _ in range(runs):
                    began = time.perf_counter()
                    answer = await client.query(query)
                    spent.append(time.perf_counter() - began)
                    read = int(answer.summary["read_rows"])
                table.add_row(name, f"{min(spent) * 1000:,.0f}", f"{read:,}")
            await client.close()
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    Console().print(asyncio.run(measure(options.rows, options.runs)))


if __name__ == "__main__":
    main()
