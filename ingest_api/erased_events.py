"""Events of erased users at a door: refused, or taken under a pseudonym, by the setting. No I/O."""

import msgspec

from schemas.erased import PSEUDONYM_PREFIX, USER_ERASED, TenantErasures
from schemas.event import Event
from schemas.verdict import Rejected


class _Named(msgspec.Struct, gc=False):
    user_id: str


_decode_named = msgspec.json.Decoder(_Named).decode
_decode_parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def unless_erased(event: Event, erasures: TenantErasures) -> Event | Rejected:
    """The event as it may be taken."""
    admitted = erasures.admit(event)
    if admitted is not None:
        return admitted
    return Rejected((USER_ERASED,), event.event_id, event.scenario_id, event.config_version)


def body_of(event: Event, body: bytes) -> bytes:
    """The JSON of an event that is taken: the client's, but for what a pseudonym replaces."""
    if not event.user_id.startswith(PSEUDONYM_PREFIX) or _decode_named(body).user_id == event.user_id:
        return body
    parts = _decode_parts(body)
    parts.pop("extra_data", None)
    parts["user_id"] = msgspec.Raw(msgspec.json.encode(event.user_id))
    parts["context"] = msgspec.Raw(event.context_json.encode())
    return msgspec.json.encode(parts)
