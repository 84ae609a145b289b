"""Pieces of Markdown that hold whatever a tenant wrote: it is text, starts no line, ends no cell, and is no HTML."""

import re
from collections.abc import Iterable
from typing import Final

from tracking_configs.exports.naming import one_line

Row = Iterable[str]

_PLAIN: Final = re.compile(r"[^`|<>&\\]+")
_SPECIAL: Final = re.compile(r"[\\`*_{}\[\]<>&|~#!$]")
_AS_ENTITY: Final = "<>&|`\\"


def escaped(text: str) -> str:
    """The text for the middle of a line or cell."""
    return _SPECIAL.sub(_escape, one_line(text))


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return f"&#{ord(character)};" if character in _AS_ENTITY else f"\\{character}"


def code(text: str) -> str:
    """The text as code where a code span in a cell can hold it, else as text."""
    text = one_line(text)
    return f"`{text}`" if _PLAIN.fullmatch(text) else escaped(text)


def listed(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def table(header: Iterable[str], rows: Iterable[Row]) -> str:
    cells = [tuple(header), *map(tuple, rows)]
    cells.insert(1, ("---",) * len(cells[0]))
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)
