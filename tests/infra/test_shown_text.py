"""What events hold is shown on a terminal, and must not steer it."""

from typing import Any

from rich.console import Console

from infra.cli.sql import as_table
from infra.cli.tail import dead_letter_line, event_line
from tests.factories import make_event

STEERING = "\x1b[31mred\x07\nline\u202e"
SHOWN = "\\x1b[31mred\\x07\\nline\\u202e"


def test_an_event_is_one_line_that_steers_nothing() -> None:
    line = event_line(make_event(user_id=STEERING, item_id=STEERING).as_dict())
    assert line.isprintable()
    assert line.count(SHOWN) == 2


def test_nor_does_a_dead_letter() -> None:
    letter: dict[str, Any] = {"topic": "t", "partition": 0, "offset": 1, "timestamp": 0, "reason_codes": ["missing"]}
    first, second = dead_letter_line(letter | {"message": STEERING, "original": STEERING}).split("\n")
    assert first.endswith(SHOWN)
    assert second.strip() == SHOWN


def test_nor_a_row_of_a_query() -> None:
    console = Console(width=200, no_color=True)
    with console.capture() as shown:
        console.print(as_table(["user_id"], [[STEERING]]))
    assert SHOWN in shown.get()
