"""Moments as a person writes them."""

import re
from datetime import UTC, datetime
from typing import Final

import typer

_AGO: Final = re.compile(r"([1-9][0-9]{0,4})([smhd])")
_MS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LONGEST: Final = 40


def moment_ms(text: str, now_ms: int) -> int:
    """ms of an age (90s, 5m, 2h, 7d), of ms, or of ISO 8601, UTC where it names no offset. Raises BadParameter."""
    text = text.strip()
    if found := _AGO.fullmatch(text):
        return now_ms - int(found[1]) * _MS[found[2]]
    if text.isdecimal() and text.isascii() and len(text) < 16:
        return int(text)
    try:
        at = datetime.fromisoformat(text[:_LONGEST])
        return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text[:_LONGEST]!r} is no moment: write an age (90s, 5m, 2h, 7d), ms, or 2026-11-21T10:00:00"
        ) from None


def moment_text(ms: int) -> str:
    """ISO 8601, UTC, to the ms."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
