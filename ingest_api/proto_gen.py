"""Writes the scenario messages and the action enum into behavior.proto, then the Python made of it.

`python -m ingest_api.proto_gen` after a change of a template or of behavior.proto. A field that exists keeps its
number, and one that is gone leaves its number reserved: the file itself is the record of what was given out.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Final

from schemas.actions import BUILT_IN_ACTIONS
from tracking_configs.model import FieldSpec
from tracking_configs.template import Template, load_templates

SCHEMAS: Final = Path(__file__).parents[1] / "schemas"
PROTO: Final = SCHEMAS / "proto" / "recommender" / "v1" / "behavior.proto"
GENERATED: Final = SCHEMAS / "generated"
BEGIN: Final = "// Generated from here on: python -m ingest_api.proto_gen\n"

_SCALARS: Final = {"integer": "int64", "number": "double", "string": "string", "boolean": "bool"}
_STRUCT: Final = "google.protobuf.Struct"
_NUMBERED: Final = re.compile(r"(\w+) = (\d+)")
_RESERVED: Final = re.compile(r"reserved (\d+);")
_BLOCK: Final = re.compile(r"^(?:message|enum) (\w+) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)

Numbers = dict[str, int]


def render(current: str, templates: Mapping[str, Template]) -> str:
    """The .proto as it should be, from what it is: the part before BEGIN is kept as it stands."""
    given = _given_numbers(current)
    head = current.partition(BEGIN)[0]
    blocks = [
        _enum(given.get("ActionType", {})),
        _payload(templates, given.get("ScenarioSpecificData", {})),
        *(_message(template, given.get(_name(template.id), {})) for template in templates.values()),
    ]
    return head + BEGIN + "".join("\n" + block for block in blocks)


def compile_proto(proto_root: Path, out: Path) -> None:
    """Write the Python of every .proto below `proto_root` to `out`. Raises RuntimeError when protoc refuses one."""
    protoc = import_module("grpc_tools.protoc")  # of the extra dev: generating needs it, serving does not
    well_known = Path(str(protoc.__file__)).parent / "_proto"
    files = sorted(str(file.relative_to(proto_root)) for file in proto_root.rglob("*.proto"))
    arguments = [f"--{kind}_out={out}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
    plugins = [
        f"--plugin=protoc-gen-{name}={Path(sys.executable).parent / f'protoc-gen-{name}'}"
        for name in ("mypy", "mypy_grpc")
    ]
    if protoc.main(["protoc", f"-I{proto_root}", f"-I{well_known}", *plugins, *arguments, *files]):
        raise RuntimeError(f"protoc refused one of {', '.join(files)}")


def _name(template_id: str) -> str:
    return f"{template_id.capitalize()}ScenarioData"


def _enum(given: Numbers) -> str:
    first = {"ACTION_TYPE_UNSPECIFIED": 0, "ACTION_TYPE_CUSTOM": 1}
    names = [*first, *(f"ACTION_TYPE_{action.upper()}" for action in sorted(BUILT_IN_ACTIONS))]
    numbers = _number(names, first | given)
    lines = [f"  {name} = {numbers[name]};" for name in sorted(names, key=numbers.__getitem__)]
    comment = "// CUSTOM: the action is named by custom_action, and declared by the scenario's tracking config.\n"
    return comment + _braces("enum ActionType", lines + _reserved(numbers, names))


def _payload(templates: Mapping[str, Template], given: Numbers) -> str:
    types = {f"{name}_data": _name(name) for name in templates} | {"custom_data": _STRUCT}
    numbers = _number(["custom_data", *types], {"custom_data": 1} | given)
    fields = sorted(types, key=numbers.__getitem__)
    lines = ["  oneof data {", *(f"    {types[field]} {field} = {numbers[field]};" for field in fields), "  }"]
    return _braces("message ScenarioSpecificData", lines + _reserved(numbers, types))


def _message(template: Template, given: Numbers) -> str:
    names = [field.field_name for field in template.fields]
    numbers = _number(names, given)
    by_number = sorted(template.fields, key=lambda field: numbers[field.field_name])
    lines = [f"  {_type(field)} {field.field_name} = {numbers[field.field_name]};" for field in by_number]
    return _braces(f"message {_name(template.id)}", lines + _reserved(numbers, names))


def _type(field: FieldSpec) -> str:
    if field.field_type == "array":
        return f"repeated {_SCALARS.get(field.item_type or 'string', _STRUCT)}"
    if field.field_type == "object":
        values = _SCALARS.get(field.item_type or "")
        return f"map<string, {values}>" if values else f"optional {_STRUCT}"
    return f"optional {_SCALARS[field.field_type]}"


def _number(names: Iterable[str], given: Numbers) -> Numbers:
    """A number for every name; those given out stay, new ones come after all of them."""
    numbers = dict(given)
    for name in names:
        numbers.setdefault(name, max(numbers.values(), default=0) + 1)
    return numbers


def _reserved(numbers: Numbers, names: Iterable[str]) -> list[str]:
    current = set(names)
    return [
        f"  reserved {number};" for name, number in sorted(numbers.items(), key=lambda n: n[1]) if name not in current
    ]


def _given_numbers(text: str) -> dict[str, Numbers]:
    """Block -> field -> number, as the file has them; a reserved number under a name that no field can have."""
    generated = text.partition(BEGIN)[2]
    return {
        name: {field: int(number) for field, number in _NUMBERED.findall(body)}
        | {f"reserved {number}": int(number) for number in _RESERVED.findall(body)}
        for name, body in _BLOCK.findall(generated)
    }


def _braces(opening: str, lines: list[str]) -> str:
    return "\n".join([opening + " {", *lines, "}", ""])


def main() -> None:
    PROTO.write_text(render(PROTO.read_text(), load_templates()))
    compile_proto(SCHEMAS / "proto", GENERATED)


if __name__ == "__main__":
    main()
