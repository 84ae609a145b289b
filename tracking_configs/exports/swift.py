"""Swift types of a scenario's events: Codable structs, for JSONEncoder."""

from typing import Final

from tracking_configs.exports.naming import Names, camel, one_line, quoted
from tracking_configs.exports.shape import Choice, ListOf, MapOf, Member, Record, Type, shape_of
from tracking_configs.model import TrackingConfig

_SCALARS: Final = {"integer": "Int64", "number": "Double", "string": "String", "boolean": "Bool"}
_KEYWORDS: Final = frozenset(
    """
    as associatedtype break case catch class continue default defer deinit do else enum extension fallthrough false
    fileprivate for func guard if import in inout internal is let nil operator open precedencegroup private protocol
    public repeat rethrows return static struct subscript super switch throw throws true try typealias var where while
    """.split()
)
# Backticks do not help these: what a type, a raw value, a coding key or an optional already has under that name.
_HELD: Final = frozenset({"hashValue", "init", "intValue", "none", "rawValue", "self", "some", "stringValue"})
_ANY: Final = """\
/// Any JSON value.
indirect enum {name}: Codable {{
    case null
    case boolean(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([{name}])
    case object([String: {name}])

    init(from decoder: Decoder) throws {{
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {{
            self = .null
        }} else if let boolean = try? value.decode(Bool.self) {{
            self = .boolean(boolean)
        }} else if let integer = try? value.decode(Int64.self) {{
            self = .integer(integer)
        }} else if let number = try? value.decode(Double.self) {{
            self = .number(number)
        }} else if let string = try? value.decode(String.self) {{
            self = .string(string)
        }} else if let array = try? value.decode([{name}].self) {{
            self = .array(array)
        }} else {{
            self = .object(try value.decode([String: {name}].self))
        }}
    }}

    func encode(to encoder: Encoder) throws {{
        var value = encoder.singleValueContainer()
        switch self {{
        case .null: try value.encodeNil()
        case .boolean(let boolean): try value.encode(boolean)
        case .integer(let integer): try value.encode(integer)
        case .number(let number): try value.encode(number)
        case .string(let string): try value.encode(string)
        case .array(let array): try value.encode(array)
        case .object(let object): try value.encode(object)
        }}
    }}
}}
"""


def stub(config: TrackingConfig) -> str:
    """A file that needs nothing but the standard library."""
    shape = shape_of(config)
    blocks = [f"// {one_line(shape.title)}\n", _ANY.format(name=shape.any_name)]
    blocks += [_enum(choice) for choice in shape.choices]
    blocks += [_struct(record, shape.any_name) for record in shape.records]
    return "\n".join(blocks)


def _enum(choice: Choice) -> str:
    raw = "Int64" if isinstance(choice.values[0], int) else "String"
    cases = zip(_cases(choice), choice.values, strict=True)
    lines = "".join(f"    case {name} = {_value(value)}\n" for name, value in cases)
    return f"{_comment(choice.comment, '')}enum {choice.name}: {raw}, Codable {{\n{lines}}}\n"


def _cases(choice: Choice) -> list[str]:
    names = Names(_HELD)
    return [_escaped(names.take(_case_name(value), "_")) for value in choice.values]


def _case_name(value: str | int) -> str:
    sign = "minus" if isinstance(value, int) and value < 0 else "value"
    return camel(str(value), sign)


def _value(value: str | int) -> str:
    return str(value) if isinstance(value, int) else _string(value)


def _string(text: str) -> str:
    literal = quoted(text, lambda character: f"\\u{{{ord(character):x}}}")
    return literal.replace("/*", "\\u{2f}*")  # some editors' grammars begin a comment there


def _struct(record: Record, any_name: str) -> str:
    names = Names(_HELD)
    properties = {_escaped(names.take(camel(each.name, "value"), "_")): each for each in record.members}
    lines = "".join(_property(name, member, any_name) for name, member in properties.items())
    keys = "".join(f'        case {name} = "{member.name}"\n' for name, member in properties.items())
    if keys:
        lines += f"\n    enum CodingKeys: String, CodingKey {{\n{keys}    }}\n"
    return f"{_comment(record.comment, '')}struct {record.name}: Codable {{\n{lines}}}\n"


def _property(name: str, member: Member, any_name: str) -> str:
    kind = _type(member.type, any_name)
    if member.fixed:
        kind = f"{kind} = .{_cases(member.fixed)[0]}"
    elif member.optional:
        kind += "?"
    return f"{_comment(member.comment)}    var {name}: {kind}\n"


def _escaped(name: str) -> str:
    return f"`{name}`" if name in _KEYWORDS else name


def _comment(text: str, indent: str = "    ") -> str:
    return f"{indent}/// {one_line(text)}\n" if text else ""


def _type(kind: Type, any_name: str) -> str:
    match kind:
        case Choice() | Record():
            return kind.name
        case ListOf():
            return f"[{_type(kind.item, any_name)}]"
        case MapOf():
            return f"[String: {_type(kind.values, any_name)}]"
        case _:
            return any_name if kind == "any" else _SCALARS[kind]
