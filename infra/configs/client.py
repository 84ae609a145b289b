"""The API of tracking configs, as the command line uses it. Answers are the plain objects of docs/configs.md."""

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx
import msgspec

from infra.configs.errors import ConfigsError
from infra.configs.file_form import Signature
from infra.errors import OperatorError, ServerAwayError
from tracking_configs.model import ConfigDraft, TrackingConfig

ROOT: Final = "/api/v1/tracking-configs"
TIMEOUT_S: Final = 60.0  # a preview judges up to 10,000 events
PAGE: Final = 200

Answer = dict[str, Any]


class ConfigApiError(ConfigsError):
    """The platform refused a call: `status` is HTTP's, `code` the one of docs/codes.md, empty where it gave none."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status, self.code = status, code
        super().__init__(message)

    def as_dict(self) -> dict[str, Any]:
        return {"status": self.status, "code": self.code}

    @property
    def is_stale(self) -> bool:
        """Whether the config is no longer as the caller saw it."""
        return self.status == 412 or self.code == "config_exists"


class ConfigApi:
    """Raises ServerAwayError where no platform answers at `url`, and ConfigApiError where it refuses the call."""

    def __init__(self, url: str, transport: httpx.BaseTransport | None = None) -> None:
        self._url = url
        self._client = httpx.Client(base_url=url, timeout=TIMEOUT_S, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def configs(self, tenant: str | None, scenario_type: str | None, *, deleted: bool) -> Iterator[Answer]:
        """Current versions in the order of tenant and scenario."""
        wanted = {"tenant_id": tenant, "scenario_type": scenario_type, "include_inactive": deleted or None}
        return self._pages(f"{ROOT}/", {name: value for name, value in wanted.items() if value is not None})

    def get(self, tenant: str, scenario: str, version: int | None = None) -> Answer:
        return self._call("GET", _path(tenant, scenario), params={} if version is None else {"version": version})

    def find(self, tenant: str, scenario: str) -> TrackingConfig | None:
        """The current version, deleted or not; None where there is none."""
        try:
            return msgspec.convert(self.get(tenant, scenario), TrackingConfig)
        except ConfigApiError as error:
            if error.code == "config_not_found":
                return None
            raise

    def create(self, draft: ConfigDraft, by: Signature) -> Answer:
        return self._call("POST", f"{ROOT}/", json=msgspec.to_builtins(draft) | msgspec.to_builtins(by))

    def replace(self, draft: ConfigDraft, by: Signature, seen: int, allow_breaking: bool | None) -> Answer:
        """Every part of the config, in service; refused as stale where version `seen` is not the current one."""
        body = msgspec.to_builtins(draft) | msgspec.to_builtins(by) | {"is_active": True}
        params = {} if allow_breaking is None else {"allow_breaking": allow_breaking}
        path = _path(draft.tenant_id, draft.scenario_id)
        return self._call("PUT", path, json=body, params=params, headers={"If-Match": f'"{seen}"'})

    def delete(self, tenant: str, scenario: str, by: Signature, seen: int) -> Answer:
        headers = {"If-Match": f'"{seen}"'}
        return self._call("DELETE", _path(tenant, scenario), params=msgspec.to_builtins(by), headers=headers)

    def versions(self, tenant: str, scenario: str) -> Iterator[Answer]:
        """Newest first, each with what it changed."""
        return self._pages(_path(tenant, scenario, "versions"), {})

    def rollback(self, tenant: str, scenario: str, version: int, by: Signature) -> Answer:
        body = {"version": version} | msgspec.to_builtins(by)
        return self._call("POST", _path(tenant, scenario, "rollback"), json=body)

    def diff(self, tenant: str, scenario: str, old: int, new: int) -> Answer:
        return self._call("GET", _path(tenant, scenario, "diff"), params={"from": old, "to": new})

    def preview(self, tenant: str, scenario: str, candidate: Mapping[str, Any], last: int) -> Answer:
        return self._call("POST", _path(tenant, scenario, "preview"), json={**candidate, "last": last})

    def suggest(self, tenant: str, scenario: str, source: str, hours: int, last: int) -> Answer:
        body = {"source": source, "hours": hours, "last": last}
        return self._call("POST", _path(tenant, scenario, "suggest"), json=body)

    def _pages(self, path: str, params: Mapping[str, Any]) -> Iterator[Answer]:
        cursor: dict[str, str] = {}
        while True:
            page = self._call("GET", path, params={**params, "limit": PAGE, **cursor})
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            cursor = {"cursor": page["next_cursor"]}

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
        if answer.is_success:
            return body
        raise ConfigApiError(answer.status_code, _code(body), str(body.get("message", f"status {answer.status_code}")))


def is_published(answer: Answer) -> bool:
    """Whether a change is in force everywhere, or will be within moments; else it waits for Kafka to be back."""
    return answer.get("published") is not False


def _path(tenant: str, scenario: str, call: str = "") -> str:
    return "/".join(filter(None, (ROOT, quote(tenant, safe=""), quote(scenario, safe=""), call)))


def _code(body: Answer) -> str:
    errors = body.get("errors") or [{}]
    return str(errors[0].get("code", ""))
