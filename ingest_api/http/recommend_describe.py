"""OpenAPI of the calls that recommend: what they answer, with an example, and how they refuse."""

from typing import Any, Final

from ingest_api.http.openapi_parts import Schema, coded_answer, coded_example, errors, json_body, ref

_ITEM_EXAMPLE: Final[Schema] = {
    "item_id": "g7",
    "score": 0.83,
    "recall_source": "item_cf+hot",
    "reason": "Because you played Sieben",
    "name": "Seven",
    "category": "slots",
    "sub_category": None,
    "provider": "acme",
    "author_id": None,
    "tags": ["fun"],
    "thumbnail_url": None,
    "rtp": 96.5,
    "volatility": "high",
    "duration_s": None,
}
_GAME_NAMES: Final = {"item_id": "game_id", "name": "game_name"}
_NOT_OF_A_GAME: Final = ("author_id", "tags", "duration_s")
_TEXTS: Final = "name category sub_category provider author_id thumbnail_url volatility".split()
_ITEM: Final[Schema] = {
    "item_id": {"type": "string"},
    "score": {"type": "number"},
    "recall_source": {"type": "string", "description": "the sources that found it, the strongest first"},
    "reason": {"type": "string", "description": "in language_code"},
    **{name: {"type": ["string", "null"]} for name in _TEXTS},
    "tags": {"type": "array", "items": {"type": "string"}},
    "rtp": {"type": ["number", "null"]},
    "duration_s": {"type": ["number", "null"]},
}


def _of_game(item: Schema) -> Schema:
    return {_GAME_NAMES.get(name, name): each for name, each in item.items() if name not in _NOT_OF_A_GAME}


def _object(properties: Schema, *further: str) -> Schema:
    """`further`: names of properties that need not be there."""
    return {
        "type": "object",
        "required": [name for name in properties if name not in further],
        "properties": properties,
    }


SCHEMAS: Final[dict[str, Schema]] = {"RankedItem": _object(_ITEM), "RankedGame": _object(_of_game(_ITEM))}

_LIST: Final[Schema] = {
    "request_id": {"type": "string", "description": "goes on in the same list"},
    "strategy": {"type": "string", "description": "where the list came from"},
}
_DEBUG: Final[Schema] = {"type": "object", "description": "where it was asked for: what was done"}


def _call(summary: str, data: Schema, example: Any, *statuses: int) -> dict[str, Any]:
    """Keyword arguments of a route."""
    answer = json_body(coded_answer(data), coded_example(example), "Best first")
    refused = errors(*sorted({400, 500, 503, *statuses}), form="CodedError")
    return {"summary": summary, "responses": {200: answer, **refused}, "response_model": None}


def _items(name: str) -> Schema:
    return {"type": "array", "items": ref(name)}


RECOMMEND: Final = _call(
    "Items for a user and scene",
    _object({"items": _items("RankedItem"), **_LIST, "debug": _DEBUG}, "debug"),
    {"items": [_ITEM_EXAMPLE], "request_id": "req_0123456789abcdef", "strategy": "blend"},
    *(413, 415),
)
GAMES: Final = _call(
    "Games for a user and scene, page by page",
    _object({"games": _items("RankedGame"), "total": {"type": "integer"}, "has_more": {"type": "boolean"}, **_LIST}),
    {
        "games": [_of_game(_ITEM_EXAMPLE)],
        "total": 1,
        "has_more": False,
        "request_id": "req_0123456789abcdef",
        "strategy": "blend",
    },
)
HOT: Final = _call(
    "What is hot or rising in a scenario",
    _object({"items": _items("RankedItem"), "as_of": {"type": "integer", "description": "ms since the Unix epoch"}}),
    {"items": [_ITEM_EXAMPLE], "as_of": 1_700_000_000_000},
    404,
)
