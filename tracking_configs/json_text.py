"""Reading JSON that is not to be trusted: how deep it is, values whatever their size, a part exchanged."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schemas.limits import MAX_NESTING

_TOKENS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{\[]|[}\]]', re.DOTALL)
decode_raws: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_any = msgspec.json.Decoder().decode


def is_too_deep(value: bytes) -> bool:
    """Whether objects and arrays stand more than MAX_NESTING in each other. Braces in strings do not count."""
    if value.count(b"{") + value.count(b"[") <= MAX_NESTING:
        return False  # nearly every event: not enough braces, wherever they stand
    depth = 0
    for token in _TOKENS.finditer(value):
        mark = value[token.start()]
        if mark in b"{[":
            depth += 1
            if depth > MAX_NESTING:
                return True
        elif mark in b"}]":
            depth -= 1
    return False


def plain(raw: msgspec.Raw | bytes) -> Any:
    """The value of valid JSON. A number beyond a double's range is infinite, an integer of any length is taken."""
    try:
        return _decode_any(raw)
    except msgspec.ValidationError:
        return json.loads(bytes(raw), parse_int=_integer)


def respelled(raw: msgspec.Raw, changes: Mapping[str, Any]) -> msgspec.Raw:
    """The JSON object with some values replaced; all the rest stays the client's own text."""
    return msgspec.Raw(msgspec.json.encode({**decode_raws(raw), **changes})) if changes else raw


def _integer(digits: str) -> int | float:
    # Python refuses integers of thousands of digits; none that long is in any range of ours.
    return int(digits) if len(digits) < 400 else math.copysign(math.inf, -1 if digits[0] == "-" else 1)
