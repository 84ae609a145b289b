"""The API of dead letters, as the command line uses it. Answers are the plain objects of docs/dead-letters.md."""

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

import httpx
import msgspec

from infra.errors import OperatorError, ServerAwayError

ROOT: Final = "/api/v1/dead-letters"
TIMEOUT_S: Final = 120.0  # a replay judges and sends up to 1,000 events
PAGE: Final = 200

Answer = dict[str, Any]


class DeadLetterApi:
    """Raises ServerAwayError where no platform answers at `url`, and OperatorError where it refuses the call."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx.Client(base_url=url, timeout=TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def letters(self, wanted: Mapping[str, Any], last: int) -> Iterator[Answer]:
        """The newest `last` of the wanted letters, the newest first."""
        cursor: Answer = {}
        while last > 0:
            page = self._call("GET", ROOT, params={**_given(wanted), "limit": min(last, PAGE), **cursor})
            yield from page["items"]
            last -= len(page["items"])
            if page["next_cursor"] is None:
                return
            cursor = {"cursor": page["next_cursor"]}

    def letter(self, tenant: str, partition: int, offset: int, topic: str | None) -> Answer:
        return self._call("GET", f"{ROOT}/{partition}/{offset}", params=_given({"tenant": tenant, "topic": topic}))

    def replay(self, order: Mapping[str, Any]) -> Iterator[Answer]:
        """Replays all that the order selects; answers the report of each call."""
        cursor: Answer = {}
        while True:
            report = self._call("POST", f"{ROOT}/replay", json={**_given(order), **cursor})
            yield report
            if report["next_cursor"] is None:
                return
            cursor = {"cursor": report["next_cursor"]}

    def parked(self, tenant: str) -> Answer:
        return self._call("GET", f"{ROOT}/parked", params={"tenant": tenant})

    def resume(self, tenant: str) -> Answer:
        """How it was before."""
        return self._call("POST", f"{ROOT}/resume", json={"tenant": tenant})

    def _call(self, method: str, path: str, **parts: Any) -> Answer:
        try:
            answer = self._client.request(method, path, **parts)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            why = str(error) or type(error).__name__
            raise ServerAwayError(
                f"the HTTP door does not answer at {self._url} ({why}): start `millrace up`, or name another --url"
            ) from error
        try:
            body = msgspec.json.decode(answer.content, type=Answer)
        except msgspec.MsgspecError as error:
            raise OperatorError(
                f"what answers at {self._url} is not the HTTP door (status {answer.status_code}): name another --url"
            ) from error
        if not answer.is_success:
            raise OperatorError(str(body.get("message", f"status {answer.status_code}")))
        return body


def _given(values: Mapping[str, Any]) -> Answer:
    return {name: value for name, value in values.items() if value is not None}
