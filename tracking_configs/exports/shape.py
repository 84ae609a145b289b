"""The types of a scenario's event, in no language yet: what each stub, and the Avro schema, is written from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tracking_configs.base import BASE_FIELDS, CONTEXT_FIELDS
from tracking_configs.exports.naming import Names, pascal
from tracking_configs.exports.words import CONTEXT_MEANINGS, MEANINGS, comment_on, needed_always, sentence
from tracking_configs.model import TrackingConfig, known_actions, payload_key
from tracking_configs.template import CUSTOM, FieldSpec

# What follows the prefix in the names that every scenario has; a field's own type gives way to them, and to those
# that the generated text uses of its language.
_ENDINGS: Final = "Action Context Device Event Json Payload Scenario ScenarioData Tenant".split()
_USED: Final = """
    Any Literal NotRequired TypedDict
    EncodeDefault ExperimentalSerializationApi JsonElement JsonObject OptIn SerialName Serializable
    Boolean Double List Long Map String
    Bool Codable CodingKey CodingKeys Decoder DecodingError Encoder Int64
    Array Record
""".split()


@dataclass(frozen=True, slots=True)
class ListOf:
    item: "Type"


@dataclass(frozen=True, slots=True)
class MapOf:
    """An object with keys of the sender's choice."""

    values: "Type"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values. `fixed`: there is one, the same in every event. `aliased`: other spellings are taken too."""

    name: str
    values: tuple[str | int, ...]
    comment: str = ""
    fixed: bool = False
    aliased: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """`name` is the one on the wire. What is `optional` may also be null."""

    name: str
    type: "Type"
    optional: bool
    comment: str = ""

    @property
    def fixed(self) -> Choice | None:
        """Its type where that has one value, the same in every event."""
        return self.type if isinstance(self.type, Choice) and self.type.fixed else None


@dataclass(frozen=True, slots=True)
class Record:
    name: str
    comment: str
    members: tuple[Member, ...]


Type = str | ListOf | MapOf | Choice | Record  # a string: integer, number, string, boolean, or any


@dataclass(frozen=True, slots=True)
class Shape:
    """`event` holds all other types; `any_name` is left for a type of any JSON value."""

    title: str
    event: Record
    any_name: str

    @property
    def choices(self) -> list[Choice]:
        return [each for each in _types_in(self.event) if isinstance(each, Choice)]

    @property
    def records(self) -> list[Record]:
        """What a record needs stands before it."""
        return [each for each in _types_in(self.event) if isinstance(each, Record)]


def _types_in(record: Record) -> Iterator[Choice | Record]:
    for member in record.members:
        if isinstance(member.type, Record):
            yield from _types_in(member.type)
        elif isinstance(member.type, Choice):
            yield member.type
    yield record


def shape_of(config: TrackingConfig) -> Shape:
    """The shape of this scenario's events, as a client sends them."""
    prefix = pascal(config.scenario_id, "Scenario")
    always = needed_always(config)
    own: dict[str, Type] = {
        "tenant_id": Choice(f"{prefix}Tenant", (config.tenant_id,), fixed=True),
        "scenario_id": Choice(f"{prefix}Scenario", (config.scenario_id,), fixed=True),
        "action_type": Choice(
            f"{prefix}Action", tuple(sorted(known_actions(config))), "What a user may do in this scenario."
        ),
        "context": _context(prefix),
        "scenario_data": _scenario_data(config, prefix, always),
    }
    needed = {name for name, spec in BASE_FIELDS.items() if spec.required} | ({"scenario_data"} if always else set())
    members = tuple(
        Member(name, own.get(name) or _type_of(spec), name not in needed, sentence(MEANINGS[name]))
        for name, spec in BASE_FIELDS.items()
    )
    whose = f"tenant {config.tenant_id}, scenario {config.scenario_id}, tracking config version {config.version}"
    event = Record(f"{prefix}Event", "One event, as a client sends it.", members)
    return Shape(f"Behaviour events of {whose}.", event, f"{prefix}Json")


def _context(prefix: str) -> Record:
    device = CONTEXT_FIELDS["device_type"]
    choice = Choice(f"{prefix}Device", device.enum_values or (), aliased=True)
    members = tuple(
        Member(name, choice if spec is device else "string", not spec.required, sentence(CONTEXT_MEANINGS[name]))
        for name, spec in CONTEXT_FIELDS.items()
    )
    return Record(f"{prefix}Context", "Where a user was; further keys are taken, too.", members)


def _scenario_data(config: TrackingConfig, prefix: str, always: frozenset[str]) -> Record:
    kind: Type = Record(
        f"{prefix}Payload", "What this scenario's events carry.", _payload_members(config, prefix, always)
    )
    if config.scenario_type == CUSTOM and not config.fields:
        kind = MapOf("any")
    member = Member(payload_key(config.scenario_type), kind, optional=False)
    return Record(f"{prefix}ScenarioData", "The payload, under the key of its scenario type.", (member,))


def _payload_members(config: TrackingConfig, prefix: str, always: frozenset[str]) -> tuple[Member, ...]:
    names = Names([*_USED, *(prefix + ending for ending in _ENDINGS)])
    members = []
    for spec in config.fields:
        kind = _type_of(spec)
        if spec.enum_values is not None:
            name = names.take(prefix + pascal(spec.field_name, "Field"))
            kind = Choice(name, spec.enum_values, f"Values of {spec.field_name}.", aliased=bool(spec.enum_aliases))
        needed = spec.field_name in always
        members.append(Member(spec.field_name, kind, not needed, comment_on(spec, always=needed)))
    return tuple(members)


def _type_of(spec: FieldSpec) -> Type:
    if spec.field_type == "array":
        return ListOf(_item_type(spec.item_type))
    return MapOf(_item_type(spec.item_type)) if spec.field_type == "object" else spec.field_type


def _item_type(name: str | None) -> Type:
    return MapOf("any") if name == "object" else name or "any"
