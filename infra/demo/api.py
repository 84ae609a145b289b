"""The demo's calls to the HTTP API, as any client would make them."""

from collections.abc import Sequence
from typing import Any, Final

import httpx
import msgspec

from infra.demo.data import SCENARIO, TENANT
from infra.errors import OperatorError

ITEMS_A_CALL: Final = 1000


class Api:
    """Raises OperatorError with the API's own message when a call is refused."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def make_config(self) -> dict[str, Any]:
        body = {"tenant_id": TENANT, "scenario_id": SCENARIO, "template_id": "video", "name": "Films"}
        return await self._post("/api/v1/tracking-configs/from-template", body)

    async def put_items(self, items: Sequence[dict[str, Any]]) -> int:
        """How many the catalogue took."""
        taken = 0
        for start in range(0, len(items), ITEMS_A_CALL):
            answer = await self._post("/api/v1/items", {"items": items[start : start + ITEMS_A_CALL]})
            taken += answer["succeeded"]
        return taken

    async def track(self, event: dict[str, Any]) -> None:
        await self._post("/api/v1/behaviors/track", event)

    async def explain_refusal(self, event: bytes) -> str:
        """What /validate says of an event."""
        answer = await self._client.post("/api/v1/behaviors/validate", content=event, headers=_JSON)
        return f"{answer.status_code} {answer.json().get('message', '')}"

    async def recommend(self, user_id: str, size: int) -> list[dict[str, Any]]:
        """Items as the API answers them: item_id, name, recall_source, reason and more."""
        body = {"tenant_id": TENANT, "user_id": user_id, "scene": "home", "size": size}
        items: list[dict[str, Any]] = (await self._post("/api/v1/recommend", body))["data"]["items"]
        return items

    async def _post(self, path: str, body: Any) -> dict[str, Any]:
        try:
            answer = await self._client.post(path, content=msgspec.json.encode(body), headers=_JSON)
        except httpx.HTTPError as error:
            raise OperatorError(f"the HTTP door broke off at {path} ({error!r}): see its log") from error
        if answer.is_error:
            raise OperatorError(f"{path} answered {answer.status_code}: {answer.text[:300]}")
        plain: dict[str, Any] = answer.json()
        return plain


_JSON: Final = {"Content-Type": "application/json"}
