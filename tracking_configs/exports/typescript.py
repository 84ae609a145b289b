"""TypeScript types of a scenario's events: interfaces and unions of literals, for `JSON.stringify`."""

from typing import Final

from tracking_configs.exports.naming import in_block, one_line, quoted, utf16_escape
from tracking_configs.exports.shape import Choice, ListOf, MapOf, Member, Record, Type, shape_of
from tracking_configs.model import TrackingConfig

_SCALARS: Final = {"integer": "number", "number": "number", "string": "string", "boolean": "boolean", "any": "unknown"}
_QUOTED: Final = frozenset(
    """
    any as async await boolean break case catch class const constructor continue debugger declare default delete do
    else enum export extends false finally for function get if implements import in infer instanceof interface is keyof
    let module namespace never new null number object of package private protected public readonly return set static
    string super switch symbol this throw true try type typeof undefined unique unknown var void while with yield
    """.split()
)


def stub(config: TrackingConfig) -> str:
    """A module of types alone: it compiles to nothing."""
    shape = shape_of(config)
    blocks = [f"// {one_line(shape.title)}\n"]
    blocks += [_union(choice) for choice in shape.choices if not choice.fixed]
    blocks += [_interface(record) for record in shape.records]
    return "\n".join(blocks)


def _union(choice: Choice) -> str:
    return f"{_comment(choice.comment)}export type {choice.name} = {_literals(choice)};\n"


def _literals(choice: Choice) -> str:
    return " | ".join(str(each) if isinstance(each, int) else quoted(each, utf16_escape) for each in choice.values)


def _interface(record: Record) -> str:
    lines = "".join(map(_member, record.members))
    return f"{_comment(record.comment)}export interface {record.name} {{\n{lines}}}\n"


def _member(member: Member) -> str:
    name = f'"{member.name}"' if member.name in _QUOTED else member.name
    mark = "?" if member.optional else ""
    null = " | null" if member.optional and not member.fixed else ""
    return f"{_comment(member.comment, '  ')}  {name}{mark}: {_type(member.type)}{null};\n"


def _comment(text: str, indent: str = "") -> str:
    return f"{indent}/** {in_block(text)} */\n" if text else ""


def _type(kind: Type) -> str:
    match kind:
        case Choice():
            return _literals(kind) if kind.fixed else kind.name
        case Record():
            return kind.name
        case ListOf():
            return f"{_type(kind.item)}[]"
        case MapOf():
            return f"Record<string, {_type(kind.values)}>"
        case _:
            return _SCALARS[kind]
