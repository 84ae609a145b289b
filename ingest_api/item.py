"""A catalogue item (CONTRACTS §3): what a caller may write, and its form in Redis."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from schemas.limits import MAX_ID

MAX_TAGS: Final = 100
MAX_ATTRIBUTES: Final = 100

# No control character, nor what stands in the place of bytes that are not UTF-8.
ID_PATTERN: Final = r"^[^\x00-\x1f\x7f-\x9f\ufffd]+$"

ItemId = Annotated[str, Field(min_length=1, max_length=MAX_ID, pattern=ID_PATTERN)]
Name = Annotated[str, Field(max_length=MAX_ID)]
Tag = Annotated[str, Field(min_length=1, max_length=100)]


def _as_ms(value: Any) -> Any:
    """ISO 8601 is taken as well as ms; UTC when no offset stands."""
    if not isinstance(value, str):
        return value
    moment = datetime.fromisoformat(value)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


_EXAMPLE: Final[dict[str, Any]] = {
    "name": "Seven",
    "category": "slots",
    "provider": "acme",
    "tags": ["fun"],
    "rtp": 96.5,
    "volatility": "high",
    "published_at": 1_700_000_000_000,
    "attributes": {"lines": 20},
}

_MOMENT_SCHEMA: Final = {
    "anyOf": [{"type": "integer", "minimum": 0, "exclusiveMaximum": 10**14}, {"type": "string", "format": "date-time"}]
}

Moment = Annotated[int, BeforeValidator(_as_ms), Field(ge=0, lt=10**14), WithJsonSchema(_MOMENT_SCHEMA)]


class ItemBody(BaseModel):
    """An item without its id, as PUT takes it. A PUT replaces the whole item."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(min_length=1, max_length=512)]
    category: Name | None = None
    sub_category: Name | None = None
    provider: Name | None = None
    author_id: Name | None = None
    tags: Annotated[list[Tag], Field(max_length=MAX_TAGS)] = []
    thumbnail_url: Annotated[str, Field(max_length=2048)] | None = None
    rtp: Annotated[float, Field(ge=0, le=100)] | None = None
    volatility: Name | None = None
    duration_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    published_at: Moment | None = Field(None, description="ms since the Unix epoch, or ISO 8601")
    is_active: bool = True
    attributes: Annotated[dict[str, Any], Field(max_length=MAX_ATTRIBUTES)] = {}


class Item(ItemBody):
    """A whole item."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE | {"item_id": "g7"}]})

    item_id: ItemId


class ItemPut(ItemBody):
    """An item whose id the path names; the body may repeat it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    item_id: ItemId | None = None


def mirror_fields(item: dict[str, Any]) -> dict[str, str]:
    """The fields of the hash `item:{item}`: every value a string, what is not known left out."""
    fields: dict[str, str] = {}
    for name, value in item.items():
        if value is None:
            continue
        if isinstance(value, bool):
            fields[name] = "1" if value else "0"
        else:
            fields[name] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return fields
