"""A pattern of RE2 as one of ECMA-262, the dialect of JSON Schema, that means the same in every engine.

What the dialects share but read differently is spelt out: `\\w`, `\\d` and `\\s` are ASCII in RE2, `.` is all but
a line feed, and `$` the very end. What only RE2 has (flags, Unicode classes, named groups ...) has no counterpart.

Sources: RE2's syntax (github.com/google/re2/wiki/Syntax); ECMA-262, "Patterns"; JSON Schema 2020-12 §6.4.
"""

import re
from typing import Final

_TOKEN: Final = re.compile(
    r"""
      \\(?P<escaped>.)
    | (?P<class>\[\^?\]?(?:\\.|\[:|[^\]\\])*\])
    | (?P<special>\(\?:?|\{[0-9]+(?:,[0-9]*)?\}[?]?|[.$^|()]|[*+?][?]?)
    | (?P<plain>[^\\\[\](){}.$^|*+?/])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES: Final = {
    "d": "[0-9]",
    "D": "[^0-9]",
    "w": "[0-9A-Za-z_]",
    "W": "[^0-9A-Za-z_]",
    "s": r"[\t\n\f\r ]",
    "S": r"[^\t\n\f\r ]",
    "A": "^",
    "z": r"(?![\s\S])",
    **{letter: f"\\{letter}" for letter in "tnfr"},
}
_IN_CLASS: Final = {
    **{letter: text[1:-1] for letter, text in _ESCAPES.items() if letter in "dws"},
    **{letter: f"\\{letter}" for letter in "tnfr"},
}
_PUNCTUATION: Final = set(r"\^$.|?*+()[]{}/-")
_SPECIAL: Final = {".": r"[^\n]", "$": r"(?![\s\S])"}


def ecma_pattern(pattern: str) -> str | None:
    """The pattern for JSON Schema; None where it says what cannot be said there."""
    written: list[str] = []
    position = 0
    while position < len(pattern):
        token = _TOKEN.match(pattern, position)
        text = _translated(token) if token else None
        if token is None or text is None:
            return None
        written.append(text)
        position = token.end()
    return "".join(written)


def _translated(token: re.Match[str]) -> str | None:
    if (letter := token["escaped"]) is not None:
        return f"\\{letter}" if letter in _PUNCTUATION - {"-"} else _ESCAPES.get(letter)
    if (listed := token["class"]) is not None:
        return _class(listed)
    if token["special"] == "(?":  # flags, names and look-around
        return None
    return _SPECIAL.get(token[0], token[0])


def _class(text: str) -> str | None:
    """A bracketed class, in which ECMA-262 knows no `[:alpha:]` and wants brackets escaped."""
    negated = text.startswith("[^")
    body = text[2 if negated else 1 : -1]
    if "[" in body.replace(r"\[", "") or not body or body.startswith("]"):
        return None
    letters = re.findall(r"\\(.)", body, re.DOTALL)
    if any(letter not in _IN_CLASS and letter not in _PUNCTUATION for letter in letters):
        return None
    inner = re.sub(r"\\(.)", lambda found: _IN_CLASS.get(found[1], found[0]), body, flags=re.DOTALL)
    return f"[{'^' if negated else ''}{inner}]"
