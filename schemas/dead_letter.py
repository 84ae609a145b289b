"""A dead letter: the JSON value on `rejected-behaviors-{tenant}` (CONTRACTS §5)."""

import base64

import msgspec

from schemas.verdict import Issue


class DeadLetter(msgspec.Struct, kw_only=True, frozen=True):
    """A raw record that was not taken: why, its bytes, and where it stood. `timestamp` is ms of arrival.

    `scenario_id` is None where the record names none, `config_version` 0 where no config judged it.
    """

    reason_codes: tuple[str, ...]
    message: str
    errors: tuple[Issue, ...]
    original: str
    topic: str
    partition: int
    offset: int
    timestamp: int
    scenario_id: str | None = None
    config_version: int = 0

    @property
    def original_bytes(self) -> bytes:
        return base64.b64decode(self.original)


def dead_letter(
    value: bytes | None,
    errors: tuple[Issue, ...],
    *,
    topic: str,
    partition: int,
    offset: int,
    timestamp: int,
    scenario_id: str | None = None,
    config_version: int = 0,
) -> DeadLetter:
    """The dead letter of one raw record; a tombstone's bytes are empty."""
    return DeadLetter(
        reason_codes=tuple(dict.fromkeys(issue.code.value for issue in errors)),
        message="; ".join(f"{issue.field or 'event'}: {issue.message}" for issue in errors),
        errors=errors,
        original=base64.b64encode(value or b"").decode("ascii"),
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp=timestamp,
        scenario_id=scenario_id,
        config_version=config_version,
    )


encode_dead_letter = msgspec.json.Encoder().encode
decode_dead_letter = msgspec.json.Decoder(DeadLetter).decode
