"""The HTTP door: `POST /api/v1/behaviors/track/batch`."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from infra.doors.door import UNAVAILABLE, DoorName, Outcome, Refusal
from infra.errors import OperatorError, ServerAwayError
from schemas.limits import MAX_BATCH_EVENTS

TIMEOUT_S = 30.0


class HttpDoor:
    name: DoorName = "http"
    batch_size = MAX_BATCH_EVENTS
    calls = 4

    def __init__(self, url: str, tenant: str) -> None:
        self._url = url
        self._client = httpx.AsyncClient(base_url=url, headers={"X-Tenant-ID": tenant}, timeout=TIMEOUT_S)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def send(self, events: Sequence[bytes]) -> Outcome:
        """The lines go as they are. A line that is no JSON would spoil its batch, so a spoilt batch goes singly."""
        answer = await self._post("track/batch", b'{"events":[' + b",".join(events) + b"]}")
        if answer.status_code == httpx.codes.BAD_REQUEST and len(events) > 1:
            outcomes = [await self.send([event]) for event in events]
            refusals = tuple(refusal for outcome in outcomes for refusal in outcome.refusals)
            return Outcome(sum(outcome.taken for outcome in outcomes), refusals)
        return read_outcome(answer, len(events))

    async def _post(self, call: str, body: bytes) -> httpx.Response:
        try:
            return await self._client.post(
                f"/api/v1/behaviors/{call}", content=body, headers={"Content-Type": "application/json"}
            )
        except httpx.HTTPError as error:
            raise ServerAwayError(
                f"the HTTP door does not answer at {self._url} ({error!r}): start it with `millrace serve http` or "
                "`millrace up`, or name its --endpoints"
            ) from error


def read_outcome(answer: httpx.Response, sent: int) -> Outcome:
    """Raises OperatorError for an answer that says nothing about the events."""
    if answer.status_code in {httpx.codes.OK, httpx.codes.BAD_REQUEST, httpx.codes.SERVICE_UNAVAILABLE}:
        body: dict[str, Any] = answer.json()
        lines = body.get("errors", [])
        if "total" in body:
            return Outcome(body["succeeded"], tuple(map(_refusal, lines)))
        if sent == 1 or answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            codes = tuple(error["code"] for error in lines) or (UNAVAILABLE,)
            return Outcome(0, (Refusal(body.get("message", ""), codes),) * sent)
    if answer.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE and sent == 1:
        return Outcome(0, (Refusal("the event is too large", ("too_large",)),))
    raise OperatorError(f"the HTTP door answered {answer.status_code}: {answer.text[:200]}")


def _refusal(line: dict[str, Any]) -> Refusal:
    return Refusal(line.get("message", ""), tuple(error["code"] for error in line.get("errors", [])))
