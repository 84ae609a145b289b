"""Names, string literals and comments for generated text: whatever a tenant wrote, the result is legal and its own.

Identifiers are plain ASCII; a name that nothing legal is left of is called after what it is.
"""

import re
from collections.abc import Callable, Iterable

_WORD = re.compile(r"[A-Za-z0-9]+")
_TAG = re.compile(r"(?<!\w)@(?=\w)")


class Names:
    """Hands out names that differ from each other, and from those taken before, in more than their case."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {name.casefold(): 1 for name in taken}  # and the last number behind it

    def take(self, wanted: str, separator: str = "") -> str:
        """`wanted`, with a number behind it where it is taken."""
        name, key = wanted, wanted.casefold()
        while name.casefold() in self._taken:
            self._taken[key] += 1
            name = f"{wanted}{separator}{self._taken[key]}"
        self._taken[name.casefold()] = 1
        return name


def pascal(text: str, otherwise: str) -> str:
    """`VlogFeed` for `vlog_feed`. `otherwise` stands alone where no word is left, and before a digit."""
    name = "".join(word[0].upper() + word[1:] for word in _WORD.findall(text))
    return name if name[:1].isalpha() else otherwise + name


def camel(text: str, otherwise: str) -> str:
    """`vlogFeed` for `vlog_feed`, and for `VLOG_FEED`."""
    words = [word.lower() if word.isupper() else word[0].lower() + word[1:] for word in _WORD.findall(text)]
    name = "".join([*words[:1], *(word[0].upper() + word[1:] for word in words[1:])])
    return name if name[:1].isalpha() else otherwise + name


def constant(text: str, otherwise: str) -> str:
    """`VLOG_FEED` for `vlog_feed`."""
    name = "_".join(_WORD.findall(text)).upper()
    return name if name[:1].isalpha() else f"{otherwise}_{name}".rstrip("_")


def quoted(text: str, escape: Callable[[str], str], special: str = "") -> str:
    """A string literal in double quotes. `escape` writes a character that is not printable; `special`: needs a \\."""
    special += '"\\'
    return '"' + "".join(f"\\{c}" if c in special else c if c.isprintable() else escape(c) for c in text) + '"'


def utf16_escape(character: str) -> str:
    """As `\\u000a`; a character beyond 16 bits as two of them."""
    code = character.encode("utf-16-be").hex()
    return "".join(f"\\u{code[at : at + 4]}" for at in range(0, len(code), 4))


def one_line(text: str) -> str:
    """The text for a line comment: no end of line, nothing invisible."""
    return " ".join("".join(c for c in text if c.isprintable() or c.isspace()).split())


def in_block(text: str) -> str:
    """The text for a comment between `/*` and `*/`, which it cannot end, and in which it sets no @tag."""
    return _TAG.sub("@ ", one_line(text).replace("*/", "* /").replace("/*", "/ *"))
