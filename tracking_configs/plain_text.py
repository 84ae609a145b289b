"""Plain values from YAML and JSON text that can be read in one way only, and YAML from plain values.

YAML is taken as JSON with fewer quotation marks. Words are text but for null, true and false, numbers are decimal:
`no`, `017`, `1:30` and `2024-01-01`, which YAML 1.1 reads as false, 15, 90 and a date, are text here. `parse_yaml` of
what `yaml_text` wrote is the same value.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

MAX_VALUES: Final = 200_000  # of one YAML text, each alias counted as what it stands for
MAX_DEPTH: Final = 32

_RESOLVED: Final = {  # of YAML 1.2's core schema; the letters are those that such a word begins with
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    "float": (r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
}


class _Loader(yaml.SafeLoader):
    """No key stands twice, where YAML lets the last one win in silence."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - those of YAML 1.1, emptied

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, f"a key is not text: {key!r}", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!r}", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.1 or the loader above takes for more than text; repeats values instead of naming them."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """In quotes with escapes where a character cannot be seen: of line breaks that YAML knows, some get lost."""
        return self.represent_scalar("tag:yaml.org,2002:str", text, None if text.isprintable() else '"')


_Dumper.add_representer(str, _Dumper.represent_text)
for _name, (_pattern, _first) in _RESOLVED.items():
    for _reader_or_writer in (_Loader, _Dumper):
        _reader_or_writer.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"(?:{_pattern})$"), _first)


def parse_yaml(text: str) -> Any:
    """The value of one YAML document. Raises ValueError, saying where and what is wrong."""
    try:
        value = yaml.load(text, Loader=_Loader)  # noqa: S506 - a subclass of SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{place}{error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from None
    return _plain(value, MAX_VALUES)


def parse_json(text: str) -> Any:
    """The value of JSON text. Raises ValueError, saying where and what is wrong."""
    try:
        return _plain(json.loads(text, object_pairs_hook=_object), len(text))  # it holds no more than it is long
    except RecursionError as error:
        raise ValueError(str(error)) from None


def yaml_text(value: Any) -> str:
    """Plain values as YAML, keys in their order; a list or object that holds no other stands on one line."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=120, default_flow_style=None
    )
    return text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"duplicate key {key!r}")
        found[key] = value
    return found


def _plain(value: Any, most: int) -> Any:
    """The value itself, which holds nothing that JSON has not, and at most so many values. Raises ValueError."""
    for count, each in enumerate(_values(value, 0)):
        if count == most:
            raise ValueError(f"more than {most} values")
        if isinstance(each, float) and not math.isfinite(each):
            raise ValueError(f"{each} is not a number of JSON")
        if isinstance(each, str):
            each.encode()  # half of a surrogate pair is no text: UnicodeEncodeError is a ValueError
        elif not isinstance(each, dict | list | int | float | None):
            raise ValueError(f"{type(each).__name__} is not a type of JSON")
    return value


def _values(value: Any, depth: int) -> Iterator[Any]:
    """The value, and all that it holds."""
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    yield value
    if isinstance(value, dict):
        yield from value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _values(each, depth + 1)
