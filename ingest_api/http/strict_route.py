"""A route whose JSON body means one thing only: no key twice, no number that JSON does not have, not too deep."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from tracking_configs.plain_text import parse_json


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
            return parse_json((await self.body()).decode())
        except ValueError as error:
            raise HTTPException(400, f"the body is not JSON in UTF-8: {error}") from error
