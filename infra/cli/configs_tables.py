"""How configs, changes and plans look on a screen. What a tenant wrote is shown as it is, and is never markup."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from rich.table import Table
from rich.text import Text

from infra.configs.plan import Action, Step

STYLES: Final = {"breaking": "red", "widening": "yellow", "compatible": "green"}
MARKS: Final = {Action.CREATE: "+", Action.UPDATE: "~", Action.BRING_BACK: "+", Action.UNCHANGED: "="}


def plain(value: Any) -> str:
    """Its text on one line; what would steer a terminal is shown as an escape."""
    text = "" if value is None else str(value)
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], numbers: Sequence[str] = ()) -> Table:
    """A table of any values; the columns named in `numbers` to the right."""
    made = Table(box=None, pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*(value if isinstance(value, Text) else Text(plain(value)) for value in row))
    return made


def verdict(name: str) -> Text:
    return Text(name, STYLES.get(name, ""))


def when(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")


def waits(published: bool) -> str:
    """What is to be said of a change that was not published, Kafka being away; else nothing."""
    return "" if published else " (stored; in force everywhere once Kafka is back)"


def change_lines(change: Mapping[str, Any]) -> Iterable[Text]:
    """A sentence for each detail of a change; `change` is as the API answers it."""
    for detail in change["details"]:
        said = plain(f"{detail['field']}: {detail['message']}")
        yield Text("    ").append_text(verdict(detail["verdict"])).append(f" {said}")


def plan_lines(steps: Iterable[Step]) -> Iterable[Text]:
    """A line for each step, and its details below."""
    for step in steps:
        line = Text(f"{MARKS[step.action]} {step.action.value:<11}{plain(step.config.key)}")
        if step.change is not None:
            line.append(f"  version {step.config.version}, ").append(verdict(step.change.verdict))
        yield line.append(f"  ({plain(step.file.path)})")
        if step.change is not None:
            yield from change_lines(msgspec.to_builtins(step.change))
