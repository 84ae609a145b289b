"""The numbers that `{code, message, data, trace_id}` answers carry: 0, 1xxxx system, 2xxxx business, 3xxxx model."""

from enum import IntEnum
from typing import Self


class ApiCode(IntEnum):
    """The one published list; docs are generated from it."""

    meaning: str

    def __new__(cls, value: int, meaning: str = "") -> Self:
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    SUCCESS = 0, "success"
    # System: the caller did nothing wrong, or nothing that this call is about.
    INTERNAL = 10001, "an error of the platform; the trace_id names it in the logs"
    BROKER_UNAVAILABLE = 10002, "Kafka did not take the event; try again after Retry-After"
    STORE_UNAVAILABLE = 10003, "a store is away; try again after Retry-After"
    TOO_LARGE = 10004, "the body is larger than the call allows"
    UNSUPPORTED_MEDIA_TYPE = 10005, "the body is not JSON, or is compressed"
    NOT_FOUND = 10006, "there is no such call"
    METHOD_NOT_ALLOWED = 10007, "the call has another method"
    # Business: the call must change before it can be answered.
    INVALID_REQUEST = 20001, "a parameter is missing or malformed; `errors` names it"
    UNKNOWN_SCENE = 20002, "the tenant's pipeline has no such scene"
    ITEM_NEEDED = 20003, "the scene `similar` needs the item that others are to be similar to"
    TENANT_UNKNOWN = 20004, "no tenant is named, or it is not a tenant"
    EVENT_REFUSED = 20005, "the behaviour is not an event that can be taken; `errors` says why"
    DURATION_NEEDED = 20006, "a play needs its duration"
    BET_AMOUNT_NEEDED = 20007, "a bet needs its bet_amount"
    ITEM_NOT_FOUND = 20008, "the catalogue has no such item"
