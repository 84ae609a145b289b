"""A route whose JSON body means one thing only: no key twice, no number that JSON does not have, text in UTF-8."""

import json
import math
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response


class StrictRoute(APIRoute):
    """A route of FastAPI's own, but for how it reads JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return strict


class _StrictRequest(Request):
    async def json(self) -> Any:
        try:
            text = (await self.body()).decode()
            value = json.loads(text, object_pairs_hook=_object, parse_float=_finite, parse_constant=_finite)
            json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair is no text
        except (UnicodeError, RecursionError, ValueError) as error:
            raise HTTPException(400, f"the body is not JSON in UTF-8: {error}") from error
        return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {double[:60]!r} stands twice in an object")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:60]} is not a number of JSON")
    return number
