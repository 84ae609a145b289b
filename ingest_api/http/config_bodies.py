"""The bodies of the calls about tracking configs: names and types. What a config must be, `checks.py` there says.

Strict: a number as a string, or a key that is not there, is an error with its path.
"""

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from schemas.actions import SKIP

MAX_LISTED: Final = 1000  # items of any list; the real bounds, which are lower, are said with the config's path
MAX_SAMPLE: Final = 10_000


def _number(value: Any) -> Any:
    """An integer stays one; a union of two types would say everything twice."""
    if type(value) not in (int, float):
        raise PydanticCustomError("number_type", "expected a number")
    return value


Number = Annotated[float, PlainValidator(_number), WithJsonSchema({"type": "number"})]
FieldName = Annotated[str, Field(max_length=200, examples=["watch_duration"])]
Actions = Annotated[list[str], Field(max_length=MAX_LISTED, examples=[["park", SKIP]])]

FIELD_EXAMPLE: Final[dict[str, Any]] = {
    "field_name": "minutes",
    "field_type": "integer",
    "required": True,
    "required_for": ["park"],
    "description": "Time parked",
    "min_value": 1,
    "max_value": 1440,
}
DRAFT_EXAMPLE: Final[dict[str, Any]] = {
    "tenant_id": "acme",
    "scenario_id": "parking",
    "scenario_type": "custom",
    "name": "Parking",
    "required_fields": [FIELD_EXAMPLE],
    "optional_fields": [{"field_name": "level", "field_type": "string", "enum_values": ["P1", "P2"]}],
    "actions": ["park"],
    "weights": {"park": 3},
    "enforcement": "warn",
    "author": "ana@acme.example",
    "reason": "first version",
}


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Signed(Body):
    """Who makes a change, and why; kept with the version."""

    author: str = Field("", max_length=200, examples=["ana@acme.example"])
    reason: str = Field("", max_length=1000, examples=["the player reports completion since 4.2"])


class FieldBody(Body):
    """One field of a scenario."""

    model_config = ConfigDict(json_schema_extra={"examples": [FIELD_EXAMPLE]})

    field_name: FieldName
    field_type: str = Field(description="integer, number, string, boolean, array or object", examples=["integer"])
    required: bool = False
    required_for: Actions = Field([], description="The actions that need it; none of them: every action")
    description: str = ""
    min_value: Number | None = None
    max_value: Number | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = Field(None, description="RE2; found anywhere in the string unless anchored")
    enum_values: list[Any] | None = Field(None, max_length=MAX_LISTED)
    enum_aliases: dict[str, str] = Field({}, description="Other spellings, and the enum's own value of each")
    item_type: str | None = Field(None, description="Type of an array's items, or of an object's values")
    default: Any = Field(None, description="Documentation: stored events are not altered")


class DwellBody(Body):
    """The field that says how long a user stayed."""

    field: str
    unit: Literal["s", "ms"]


class PositiveBody(Body):
    """Which events say that a user liked an item."""

    actions: Actions = []
    min_completion: Number | None = None
    min_dwell_s: Number | None = None


class SourceShareBody(Body):
    """A recall source's part in the scenario's lists."""

    quota: int
    weight: Number = 1.0


class ConfigParts(Body):
    """Parts of a config. Those given replace theirs; the others stay."""

    name: str | None = None
    description: str | None = None
    required_fields: list[FieldBody] | None = Field(None, max_length=MAX_LISTED)
    optional_fields: list[FieldBody] | None = Field(None, max_length=MAX_LISTED)
    actions: Actions | None = Field(None, description="Further actions, beside those of the scenario_type")
    enforcement: str | None = Field(None, description="warn, or reject", examples=["warn"])
    weights: dict[str, Number] | None = Field(None, description="Weight of an action in hot lists")
    positive: PositiveBody | None = None
    hot_half_life_h: Number | None = None
    session_gap_min: int | None = None
    dwell: DwellBody | None = Field(None, description="null: no field says it")
    completion_field: str | None = Field(None, description="null: no field says it")
    category_fields: list[str] | None = Field(None, max_length=MAX_LISTED)
    recall_mix: dict[str, SourceShareBody] | None = Field(None, description="By source: item_cf, hot, new_items")

    MAY_BE_NULL: ClassVar[frozenset[str]] = frozenset({"dwell", "completion_field"})

    def given(self) -> dict[str, Any]:
        """The parts that the caller sent, as plain values; null says "left out" of all but two."""
        sent = self.model_dump(exclude_unset=True)
        return {name: value for name, value in sent.items() if value is not None or name in self.MAY_BE_NULL}


class CreateBody(ConfigParts, Signed):
    """A whole config. What is left out from `weights` on is as the template of the scenario_type has it."""

    model_config = ConfigDict(json_schema_extra={"examples": [DRAFT_EXAMPLE]})

    tenant_id: str
    scenario_id: str
    scenario_type: str = Field(description="a template's id, or custom", examples=["custom"])
    name: str


class UpdateBody(ConfigParts, Signed):
    """Parts to replace. Identity and what the platform sets may stand as GET gave them, and change nothing."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"enforcement": "reject", "author": "ana@acme.example", "reason": "clients are clean"}]
        }
    )

    tenant_id: str | None = None
    scenario_id: str | None = None
    scenario_type: str | None = None
    is_active: bool | None = Field(None, description="true brings a deleted config back")
    version: int | None = Field(None, description="as GET gave it: a guard, as If-Match")
    created_at: int | None = None
    updated_at: int | None = None
    change: Any = None
    published: Any = None


class FromTemplateBody(Signed):
    """A template for one tenant and scenario. `overrides` has the form of the template's own file."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "tenant_id": "acme",
                    "scenario_id": "vlog_feed",
                    "template_id": "video",
                    "name": "Vlog feed",
                    "overrides": {
                        "fields": {"duration": {"max_value": 600}, "mood": {"field_type": "string"}},
                        "weights": {"like": 4},
                        "hot_half_life_h": 12,
                    },
                }
            ]
        }
    )

    tenant_id: str
    scenario_id: str
    template_id: str
    name: str
    overrides: dict[str, Any] | None = None


class RollbackBody(Signed):
    """The version to go back to."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": 1, "reason": "2 warned too much"}]})

    version: int = Field(ge=1, lt=2**31)


class Candidate(ConfigParts):
    """Parts over the config in force; where there is none, a whole config, custom unless its type is named."""

    scenario_type: str | None = None


class PreviewBody(Body):
    """A candidate: parts over the current config, or a template with overrides, or the saved draft."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"config": {"enforcement": "reject"}, "last": 10000}]})

    config: Candidate | None = None
    template_id: str | None = None
    overrides: dict[str, Any] | None = None
    draft: bool = Field(False, description="the draft that suggest saved")
    last: int = Field(1000, ge=1, le=MAX_SAMPLE, description="so many of the newest events")


class SuggestBody(Body):
    """Where to look: the newest `last` events of the raw topic, or of the last `hours` in ClickHouse."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"source": "clickhouse", "hours": 1, "last": 5000}]})

    source: Literal["clickhouse", "topic"] = "clickhouse"
    hours: int = Field(1, ge=1, le=24 * 31)
    last: int = Field(5000, ge=1, le=MAX_SAMPLE)


class PublishBody(Signed):
    """Puts the saved draft in force."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"author": "ana@acme.example", "reason": "as proposed"}]})
