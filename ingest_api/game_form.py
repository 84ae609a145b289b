"""The game form of an event: read, checked for what a play and a bet must have, and turned into an event's JSON."""

from typing import Any, Final

import msgspec

from ingest_api.api_codes import ApiCode
from ingest_api.errors import RequestRefused
from schemas.event import DeviceType
from schemas.verdict import Code, Issue

DEFAULT_SCENARIO: Final = "game"


class GameContext(msgspec.Struct):
    device: str | None = None
    scene: str | None = None
    position: int | None = None
    request_id: str | None = None


class GameForm(msgspec.Struct):
    """As clients of the game form send it. What else is wrong with it, the judge of events finds."""

    user_id: str
    game_id: str
    behavior_type: str
    duration: int | float | None = None
    bet_amount: int | float | None = None
    win_amount: int | float | None = None
    context: GameContext | None = None
    scenario_id: str | None = None


_decode = msgspec.json.Decoder(GameForm).decode
_encode = msgspec.json.Encoder().encode


def event_of_form(body: bytes, tenant: str, user_agent: str) -> bytes:
    """The event that the form stands for, JSON. Raises RequestRefused, with a code of its own for play and bet."""
    try:
        form = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        code = Code.WRONG_TYPE if isinstance(error, msgspec.ValidationError) else Code.INVALID_JSON
        raise RequestRefused(ApiCode.INVALID_REQUEST, str(error), (Issue("", code, str(error)),)) from error
    _check(form)
    return _encode(_event(form, tenant, user_agent))


def device_of(user_agent: str) -> DeviceType:
    """The kind of device that a browser or app says it is; what does not say is a pc."""
    agent = user_agent.lower()
    if "ipad" in agent or "tablet" in agent or ("android" in agent and "mobile" not in agent):
        return DeviceType.TABLET
    return DeviceType.MOBILE if "mobi" in agent or "iphone" in agent or "android" in agent else DeviceType.PC


def _check(form: GameForm) -> None:
    if form.behavior_type == "play" and form.duration is None:
        raise _missing(ApiCode.DURATION_NEEDED, "duration")
    if form.behavior_type == "bet" and form.bet_amount is None:
        raise _missing(ApiCode.BET_AMOUNT_NEEDED, "bet_amount")


def _missing(code: ApiCode, field: str) -> RequestRefused:
    return RequestRefused(code, code.meaning, (Issue(field, Code.MISSING, code.meaning),))


def _event(form: GameForm, tenant: str, user_agent: str) -> dict[str, Any]:
    context = form.context or GameContext()
    amounts = {"duration": form.duration, "bet_amount": form.bet_amount, "win_amount": form.win_amount}
    data = {name: value for name, value in amounts.items() if value is not None}
    event: dict[str, Any] = {
        "tenant_id": tenant,
        "scenario_id": DEFAULT_SCENARIO if form.scenario_id is None else form.scenario_id,
        "user_id": form.user_id,
        "item_id": form.game_id,
        "action_type": form.behavior_type,
        "context": {"device_type": context.device or device_of(user_agent)},
    }
    for name in ("scene", "request_id"):
        if (value := getattr(context, name)) is not None:
            event["context"][name] = value
    if context.position is not None:
        event["position"] = context.position
    if data:
        event["scenario_data"] = {"game_data": data}
    return event
