"""What outsiders may do to ClickHouse over HTTP, over every stack: clickhouse-connect and plain requests."""

import gzip
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import DatabaseError

from infra.stack.clickhouse_engine import PROFILE

ROOT = Path(__file__).parents[2]
ASK_THE_TIME = """
import sys
from pathlib import Path
from infra.stack.clickhouse_engine import Engine
from infra.stack.clickhouse_request import ClickHouseRequest
engine = Engine(Path(sys.argv[1]))
same = engine.execute(ClickHouseRequest(b"SELECT toString(now()) = toString(now('UTC'))", None, "TabSeparated"))
print(engine.timezone, same.data.decode())
"""


async def test_rows_inserted_by_column_come_back_typed(clickhouse: AsyncClient) -> None:
    await clickhouse.command("CREATE TABLE t (id UInt64, name String, tags Array(String)) ENGINE=MergeTree ORDER BY id")
    await clickhouse.insert(
        "t", [[1, 2], ["é", "b"], [["x"], []]], column_names=["id", "name", "tags"], column_oriented=True
    )
    assert (await clickhouse.query("SELECT * FROM t ORDER BY id")).result_rows == [(1, "é", ["x"]), (2, "b", [])]


async def test_a_parameter_is_never_part_of_the_statement(clickhouse: AsyncClient) -> None:
    answer = await clickhouse.query("SELECT {x:String} AS x, {n:UInt64} + 1", parameters={"x": "it's; DROP", "n": 41})
    assert answer.result_rows == [("it's; DROP", 42)]


async def test_parameters_may_be_longer_than_an_address_can_be(clickhouse: AsyncClient) -> None:
    names = [f"it's {number};\té\r\n--" for number in range(5000)]
    answer = await clickhouse.query("SELECT {names:Array(String)}, {n:UInt8}", parameters={"names": names, "n": 7})
    assert answer.result_rows == [(names, 7)]


async def test_a_statement_that_is_wrong_is_refused_with_the_engines_message(clickhouse: AsyncClient) -> None:
    with pytest.raises(DatabaseError, match=r"(?i)unknown.*no_such_table"):
        await clickhouse.query("SELECT * FROM no_such_table")


async def test_an_event_inserted_twice_is_seen_once_without_final(clickhouse: AsyncClient) -> None:
    await clickhouse.command("CREATE TABLE e (id String) ENGINE=ReplacingMergeTree ORDER BY id")
    for _ in range(2):
        await clickhouse.insert("e", [["a"]], column_names=["id"])
    assert (await clickhouse.query("SELECT count() FROM e")).result_rows == [(1,)]


async def test_an_insert_with_the_token_of_an_earlier_one_is_dropped(clickhouse: AsyncClient) -> None:
    options = "SETTINGS non_replicated_deduplication_window = 100"
    await clickhouse.command(f"CREATE TABLE d (n UInt64) ENGINE=MergeTree ORDER BY n {options}")
    for n in (1, 2):
        await clickhouse.insert("d", [[n]], column_names=["n"], settings={"insert_deduplication_token": "same"})
    assert (await clickhouse.query("SELECT n FROM d")).result_rows == [(1,)]


@pytest.mark.parametrize("by", ["query", "body", "both"])
async def test_a_query_may_come_in_the_address_or_the_body(clickhouse_server: str, by: str) -> None:
    parts: dict[str, dict[str, Any]] = {
        "query": {"params": {"query": "SELECT 1 AS one FORMAT JSONEachRow"}},
        "body": {"content": "SELECT 1 AS one FORMAT JSONEachRow"},
        "both": {"params": {"query": "SELECT 1 AS one"}, "content": " FORMAT JSONEachRow"},
    }
    async with httpx.AsyncClient(base_url=clickhouse_server) as client:
        answer = await client.post("/", **parts[by])
    assert answer.status_code == 200
    assert answer.text == '{"one":1}\n'


async def test_rows_may_come_compressed_in_the_body(clickhouse_server: str) -> None:
    async with httpx.AsyncClient(base_url=clickhouse_server) as client:
        await client.post("/", content="CREATE TABLE IF NOT EXISTS z (n UInt64) ENGINE=Memory")
        await client.post("/", content="TRUNCATE TABLE z")
        insert = {"query": "INSERT INTO z FORMAT JSONEachRow"}
        rows = gzip.compress(b'{"n":7}\n{"n":8}\n')
        sent = await client.post("/", params=insert, content=rows, headers={"Content-Encoding": "gzip"})
        assert sent.status_code == 200, sent.text
        assert (await client.get("/", params={"query": "SELECT sum(n) FROM z"})).text == "15\n"
        assert (await client.get("/ping")).text == "Ok.\n"


async def test_an_error_has_its_status_and_code(clickhouse_server: str) -> None:
    async with httpx.AsyncClient(base_url=clickhouse_server) as client:
        answer = await client.post("/", content="SELEKT 1")
    assert answer.status_code == 400
    assert answer.headers["X-ClickHouse-Exception-Code"] == "62"
    assert "Syntax error" in answer.text


async def test_a_setting_in_the_address_holds_for_its_query_alone(clickhouse_server: str) -> None:
    async with httpx.AsyncClient(base_url=clickhouse_server) as client:
        there = await client.post("/", params={"session_timezone": "Asia/Tokyo"}, content="SELECT timezone()")
        after = await client.post("/", content="SELECT timezone()")
    assert there.text == "Asia/Tokyo\n"
    assert after.text == "UTC\n"


def test_the_profile_of_the_engine_is_that_of_a_server() -> None:
    (profile,) = ElementTree.parse(ROOT / "infra" / "docker" / "clickhouse-users.xml").iterfind("profiles/default")
    assert {setting.tag: setting.text for setting in profile} == PROFILE


def test_where_the_machine_stands_does_not_change_what_the_time_is(tmp_path: Path) -> None:
    """What is given to a view is passed on as text, so `now()` must be the text of the UTC time."""
    done = subprocess.run(
        [sys.executable, "-c", ASK_THE_TIME, str(tmp_path)],
        env=os.environ | {"TZ": "Asia/Shanghai"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["UTC", "1"], done.stderr


async def test_a_setting_that_does_not_exist_is_refused(clickhouse_server: str) -> None:
    async with httpx.AsyncClient(base_url=clickhouse_server) as client:
        answer = await client.post("/", params={"no_such_setting": "1"}, content="SELECT 1")
    assert answer.status_code == 404
    assert answer.headers["X-ClickHouse-Exception-Code"] == "115"


async def test_a_get_may_only_read(clickhouse_server: str) -> None:
    async with httpx.AsyncClient(base_url=clickhouse_server) as client:
        answer = await client.get("/", params={"query": "CREATE TABLE never (n UInt8) ENGINE = Memory"})
    assert answer.headers["X-ClickHouse-Exception-Code"] == "164"


async def test_the_format_may_be_named_three_ways(clickhouse_server: str) -> None:
    async with httpx.AsyncClient(base_url=clickhouse_server) as client:
        by_statement = await client.post("/", content="SELECT 1 AS n FORMAT CSV")
        by_header = await client.post("/", content="SELECT 1 AS n", headers={"X-ClickHouse-Format": "CSV"})
        by_argument = await client.post("/", params={"default_format": "CSV"}, content="SELECT 1 AS n")
    assert {answer.text for answer in (by_statement, by_header, by_argument)} == {"1\n"}
    assert {answer.headers["X-ClickHouse-Format"] for answer in (by_statement, by_header, by_argument)} == {"CSV"}
