"""The demo's story on a screen: compact tables with titles, plain text when it goes into a file or pipe."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from infra.demo.data import Movie
from infra.demo.facts import DeadLetterRow
from infra.demo.facts import Progress as Drain
from infra.doors.sending import Sent

PLAIN_WIDTH: Final = 110


class Story:
    """Tells; knows titles, asks nothing."""

    def __init__(self, movies: dict[str, Movie], console: Console | None = None) -> None:
        terminal = console or Console(highlight=False)
        self.console = (
            terminal if terminal.is_terminal else Console(file=terminal.file, highlight=False, width=PLAIN_WIDTH)
        )
        self._movies = movies

    def title(self, item_id: str) -> str:
        movie = self._movies.get(item_id)
        if movie is None:
            return item_id
        return f"{movie.title} ({movie.year})" if movie.year else movie.title

    def say(self, sentence: str) -> None:
        self.console.print(escape(sentence), soft_wrap=not self.console.is_terminal)

    def heading(self, text: str) -> None:
        self.console.print(f"\n[bold]{escape(text)}[/]")

    def bars(self) -> Progress:
        """Live progress; nothing where the output is no terminal."""
        return Progress(
            TextColumn("  {task.description:<16}"),
            BarColumn(bar_width=40),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[str] = ()) -> None:
        table = Table(
            box=box.SIMPLE_HEAD if self.console.is_terminal and any(columns) else None,
            pad_edge=False,
            show_edge=False,
            show_header=any(columns),
        )
        for column in columns:
            table.add_column(column, justify="right" if column in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(escape(f"{cell:,}" if isinstance(cell, int) else str(cell)) for cell in row))
        self.console.print(table)

    def doors(self, sent: dict[str, Sent], stored: dict[str, int]) -> None:
        rows = [
            (
                name,
                run.taken,
                stored.get(name, 0),
                run.rejected,
                f"{run.per_second:,.0f}",
                f"{run.percentile_ms(0.5):.0f} / {run.percentile_ms(0.99):.0f}",
            )
            for name, run in sent.items()
        ]
        columns = ("door", "taken", "stored", "refused", "events/s", "ms a call p50/p99")
        self.table(columns, rows, right=columns[1:])

    def verdicts(self, drain: Drain, warned: int, codes: dict[str, int], reasons: dict[str, int]) -> None:
        self.say(f"Accepted {drain.stored:,}, of which warned {warned:,}; rejected {drain.dead:,}.")
        rows = [("warned", code, count) for code, count in codes.items()]
        rows += [("rejected", code, count) for code, count in reasons.items()]
        self.table(("verdict", "code", "events"), rows, right=("events",))

    def sum_up(self, sent: int, drain: Drain) -> None:
        verdict = "adds up" if drain.adds_up and drain.in_kafka == sent else "DOES NOT ADD UP"
        self.say(
            f"Sent {sent:,} = in Kafka {drain.in_kafka:,} = stored {drain.stored:,} + dead-lettered {drain.dead:,}: "
            f"{verdict}.\nRedis holds {drain.recents:,} recent entries of {drain.users:,} users, "
            f"ClickHouse's rows call for {drain.recents_due:,}."
        )

    def session(self, user_id: str, session: dict[str, str]) -> None:
        started, last = int(session["started_at"]), int(session["last_at"])
        actions = {name.removeprefix("a:"): count for name, count in session.items() if name.startswith("a:")}
        counts = ", ".join(f"{count} {action}" for action, count in sorted(actions.items()))
        titles = ", ".join(self.title(item) for item in json.loads(session["recent_items"])[:4])
        self.say(
            f"{session['session_id']}: {session['events']} events on {session['items']} films ({counts}) in "
            f"{(last - started) / 60000:.0f} min, until {moment(last)}.\nLast: {titles}."
        )

    def hot(self, rows: Sequence[tuple[str, float]]) -> None:
        """Scores decay from a landmark, so only their ratio says something."""
        best = rows[0][1] if rows else 1.0
        self.table(
            ("", "film", "heat"),
            [(rank, self.title(item), f"{score / best:.2f}") for rank, (item, score) in enumerate(rows, 1)],
            right=("", "heat"),
        )

    def recommendations(self, items: Sequence[dict[str, Any]], before: frozenset[str] | None = None) -> None:
        rows = [
            (
                "" if before is None or item["item_id"] in before else "new",
                self.title(item["item_id"]),
                item["recall_source"],
                item["reason"],
            )
            for item in items
        ]
        self.table(("", "film", "recall_source", "reason"), rows)

    def dead_letter(self, letter: DeadLetterRow) -> None:
        original = letter.original.decode(errors="replace")
        self.say(f"{', '.join(letter.reasons)}: {letter.message}\n  at {letter.place}\n  {original[:200]}")


def moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
