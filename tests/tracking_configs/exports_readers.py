"""Reads generated client types back, each with a parser of its language: which enums, which members of the payload."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final, get_args, get_type_hints

import tree_sitter_kotlin
import tree_sitter_swift
import tree_sitter_typescript
from tree_sitter import Language, Node, Parser

PARSERS: Final = {
    "typescript": Parser(Language(tree_sitter_typescript.language_typescript())),
    "kotlin": Parser(Language(tree_sitter_kotlin.language())),
    "swift": Parser(Language(tree_sitter_swift.language())),
}


@dataclass(frozen=True)
class Reading:
    """`enums`: the values of each, in order. `payload`: for each name on the wire whether it may be left out."""

    enums: list[list[str | int]]
    payload: dict[str, bool]


def faults(node: Node) -> Iterator[str]:
    """What the grammar could not read."""
    if node.type == "ERROR" or node.is_missing:
        yield f"{node.type} at {node.start_point}: {text_of(node)[:80]}"
    for child in node.children if node.has_error else ():
        yield from faults(child)


def parsed(language: str, text: str) -> Node:
    root = PARSERS[language].parse(text.encode()).root_node
    assert list(faults(root)) == []
    return root


def nodes(node: Node, kind: str) -> list[Node]:
    found = [node] if node.type == kind else []
    return found + [each for child in node.children for each in nodes(child, kind)]


def text_of(node: Node) -> str:
    assert node.text is not None
    return node.text.decode()


def named(node: Node, ending: str) -> bool:
    """Whether the declaration's name ends so."""
    names = [each for each in node.children if each.type in ("identifier", "type_identifier")]
    return bool(names) and text_of(names[0]).endswith(ending)


def read_python(text: str) -> Reading:
    module = ModuleType("stub")
    exec(compile(text, "stub.py", "exec"), module.__dict__)
    enums = [list(get_args(value)) for value in vars(module).values() if type(value).__name__ == "_LiteralGenericAlias"]
    payloads = [value for name, value in vars(module).items() if name.endswith("Payload")]
    return Reading(enums, {name: name in each.__optional_keys__ for each in payloads for name in get_type_hints(each)})


def read_typescript(text: str) -> Reading:
    root = parsed("typescript", text)
    unions = nodes(root, "type_alias_declaration")
    payloads = [each for each in nodes(root, "interface_declaration") if named(each, "Payload")]
    members = [text_of(each) for payload in payloads for each in nodes(payload, "property_signature")]
    heads = [member.partition(":")[0] for member in members]
    return Reading(
        [[json.loads(text_of(each)) for each in nodes(union, "literal_type")] for union in unions],
        {head.rstrip("?").strip('"'): head.endswith("?") for head in heads},
    )


def read_kotlin(text: str) -> Reading:
    root = parsed("kotlin", text)
    classes = nodes(root, "class_declaration")
    payloads = [each for each in classes if named(each, "Payload")]
    parameters = [each for payload in payloads for each in nodes(payload, "class_parameter")]
    enums = [each for each in classes if nodes(each, "enum_entry")]
    for each in enums:
        assert_different(text_of(entry.children[-1]) for entry in nodes(each, "enum_entry"))
    return Reading(
        [[_kotlin_string(entry) for entry in nodes(each, "enum_entry")] for each in enums],
        {_kotlin_string(each): text_of(each).endswith("? = null") for each in parameters},
    )


def _kotlin_string(node: Node) -> str:
    literal = re.sub(
        r"\\(.)", lambda match: "$" if match[1] == "$" else match[0], text_of(nodes(node, "string_literal")[0])
    )
    return str(json.loads(literal))


def read_swift(text: str) -> Reading:
    root = parsed("swift", text)
    types = [each for each in nodes(root, "class_declaration") if not named(each, "CodingKeys")]
    payloads = [each for each in types if named(each, "Payload")]
    enums = [each for each in types if text_of(each).startswith("enum")]
    for each in enums:
        assert_different(text_of(entry).partition(" = ")[0] for entry in nodes(each, "enum_entry"))
    keys = [key for payload in payloads for key in _swift_cases(payload)]
    properties = [text_of(each) for payload in payloads for each in nodes(payload, "property_declaration")]
    optional = [each.endswith("?") for each in properties]
    return Reading([_swift_cases(each) for each in enums], dict(zip(keys, optional, strict=True)))


def _swift_cases(node: Node) -> list[Any]:
    values = [text_of(each).partition(" = ")[2] for each in nodes(node, "enum_entry")]
    return [json.loads(re.sub(r"\\u\{([0-9a-f]+)\}", _json_escape, value)) for value in values]


def _json_escape(match: re.Match[str]) -> str:
    return json.dumps(chr(int(match[1], 16)))[1:-1]


def assert_different(names: Iterator[str]) -> None:
    found = list(names)
    assert len(set(found)) == len(found)


READERS: Final[dict[str, Callable[[str], Reading]]] = {
    "python": read_python,
    "typescript": read_typescript,
    "kotlin": read_kotlin,
    "swift": read_swift,
}
