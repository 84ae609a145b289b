"""Python types of a scenario's events: TypedDicts, for Python 3.11 and later. An event is a plain dict for `json`."""

import keyword
from typing import Final

from tracking_configs.exports.naming import one_line, quoted
from tracking_configs.exports.shape import Choice, ListOf, MapOf, Member, Record, Type, shape_of
from tracking_configs.model import TrackingConfig

_SCALARS: Final = {"integer": "int", "number": "float", "string": "str", "boolean": "bool", "any": "Any"}
_USED: Final = frozenset({*_SCALARS.values(), "dict", "list"})  # a member so called would hide the type


def stub(config: TrackingConfig) -> str:
    """A module that `mypy --strict` passes."""
    shape = shape_of(config)
    title = one_line(shape.title).replace("\\", "\\\\").replace('"', '\\"')
    blocks = [f'"""{title}"""\n\nfrom typing import Any, Literal, NotRequired, TypedDict\n']
    blocks += [_alias(choice) for choice in shape.choices if not choice.fixed]
    blocks += [f"\n{_record(record)}" for record in shape.records]
    return "\n".join(blocks)


def _alias(choice: Choice) -> str:
    return f"{_comment(choice.comment, '')}{choice.name} = {_literal(choice)}\n"


def _literal(choice: Choice) -> str:
    return f"Literal[{', '.join(_value(value) for value in choice.values)}]"


def _value(value: str | int) -> str:
    return str(value) if isinstance(value, int) else quoted(value, lambda character: f"\\U{ord(character):08x}")


def _record(record: Record) -> str:
    if all(_is_plain(member.name) for member in record.members):
        lines = "".join(f"{_comment(each.comment)}    {each.name}: {_member_type(each)}\n" for each in record.members)
        return f'class {record.name}(TypedDict):\n    """{record.comment}"""\n\n{lines}'
    lines = "".join(f'{_comment(each.comment)}    "{each.name}": {_member_type(each)},\n' for each in record.members)
    return (
        f'{_comment(record.comment, "")}{record.name} = TypedDict(\n    "{record.name}",\n    {{\n{lines}    }},\n)\n'
    )


def _is_plain(name: str) -> bool:
    """Whether it may name a member of a class."""
    return not keyword.iskeyword(name) and name not in _USED


def _comment(text: str, indent: str = "    ") -> str:
    return f"{indent}# {one_line(text)}\n" if text else ""


def _member_type(member: Member) -> str:
    kind = _type(member.type)
    if not member.optional:
        return kind
    return f"NotRequired[{kind}]" if member.fixed else f"NotRequired[{kind} | None]"


def _type(kind: Type) -> str:
    match kind:
        case Choice():
            return _literal(kind) if kind.fixed else kind.name
        case Record():
            return kind.name
        case ListOf():
            return f"list[{_type(kind.item)}]"
        case MapOf():
            return f"dict[str, {_type(kind.values)}]"
        case _:
            return _SCALARS[kind]
