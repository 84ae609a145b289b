"""Identifiers that the platform makes."""

import hashlib
import secrets


def new_event_id() -> str:
    """`evt_` + 16 random hex digits, for an event that came to a door without one."""
    return "evt_" + secrets.token_hex(8)


def replayable_event_id(topic: str, partition: int, offset: int, value: bytes) -> str:
    """`evt_` + 16 hex digits of a hash of where a raw record stands: a replay makes the same one."""
    position = f"{topic}\0{partition}\0{offset}\0".encode()
    return "evt_" + hashlib.sha256(position + value).hexdigest()[:16]


def new_request_id() -> str:
    """`req_` + 16 random hex digits."""
    return "req_" + secrets.token_hex(8)
