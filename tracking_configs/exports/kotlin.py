"""Kotlin types of a scenario's events: data classes for kotlinx.serialization's Json.

A number with an enum is a Long: kotlinx.serialization writes the entries of an enum class as strings.
"""

from typing import Final

from tracking_configs.exports.naming import Names, camel, constant, in_block, one_line, quoted, utf16_escape
from tracking_configs.exports.shape import Choice, ListOf, MapOf, Member, Record, Type, shape_of
from tracking_configs.exports.words import sentence, values_in_words
from tracking_configs.model import TrackingConfig

_SCALARS: Final = {
    "integer": "Long",
    "number": "Double",
    "string": "String",
    "boolean": "Boolean",
    "any": "JsonElement",
}
_HARD_KEYWORDS: Final = frozenset(
    """
    as break class continue do else false for fun if in interface is null object package return super this throw true
    try typealias typeof val var when while
    """.split()
)
_IMPORTS: Final = """\
import kotlinx.serialization.EncodeDefault
import kotlinx.serialization.ExperimentalSerializationApi
import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import kotlinx.serialization.json.JsonElement
"""


def stub(config: TrackingConfig) -> str:
    """A file without a package, to be put into one's own."""
    shape = shape_of(config)
    blocks = [f"// {one_line(shape.title)}\n", _IMPORTS]
    blocks += [_enum(choice) for choice in shape.choices if _has_class(choice)]
    blocks += [_class(record) for record in shape.records]
    return "\n".join(blocks)


def _has_class(choice: Choice) -> bool:
    return isinstance(choice.values[0], str)


def _enum(choice: Choice) -> str:
    entries = zip(choice.values, _entries(choice), strict=True)
    lines = "".join(f"    @SerialName({_string(str(value))})\n    {entry},\n" for value, entry in entries)
    return f"{_comment(choice.comment, '')}@Serializable\nenum class {choice.name} {{\n{lines}}}\n"


def _entries(choice: Choice) -> list[str]:
    names = Names()
    return [names.take(constant(str(value), "VALUE"), "_") for value in choice.values]


def _class(record: Record) -> str:
    if not record.members:
        return f"{_comment(record.comment, '')}@Serializable\nclass {record.name}\n"
    names = Names()
    fixed = any(member.fixed for member in record.members)
    opt_in = "@OptIn(ExperimentalSerializationApi::class)\n" if fixed else ""  # for EncodeDefault
    lines = "".join(_member(member, names) for member in record.members)
    return f"{_comment(record.comment, '')}{opt_in}@Serializable\ndata class {record.name}(\n{lines})\n"


def _member(member: Member, names: Names) -> str:
    name = names.take(camel(member.name, "value"))
    name = f"`{name}`" if name in _HARD_KEYWORDS else name
    kind, always, comment = _type(member.type), "", member.comment
    if member.fixed:
        always, kind = "    @EncodeDefault\n", f"{kind} = {kind}.{_entries(member.fixed)[0]}"
    elif member.optional:
        kind = f"{kind}? = null"
    if isinstance(member.type, Choice) and not _has_class(member.type):
        comment = f"{comment} {sentence(values_in_words(member.type.values))}"
    return f'{_comment(comment)}{always}    @SerialName("{member.name}")\n    val {name}: {kind},\n'


def _comment(text: str, indent: str = "    ") -> str:
    return f"{indent}/** {in_block(text)} */\n" if text else ""


def _string(text: str) -> str:
    return quoted(text, utf16_escape, special="$")


def _type(kind: Type) -> str:
    match kind:
        case Choice():
            return kind.name if _has_class(kind) else _SCALARS["integer"]
        case Record():
            return kind.name
        case ListOf():
            return f"List<{_type(kind.item)}>"
        case MapOf():
            return f"Map<String, {_type(kind.values)}>"
        case _:
            return _SCALARS[kind]
