"""The receipt of an erasure: what was erased and what is left to time, signed; it never says who the user was."""

import hashlib
import hmac
from typing import Final

import msgspec

LEFT_TO_TIME: Final[dict[str, str]] = {
    "kafka": "events, dead letters and session summaries stay in their topics until the retention deletes them (7 days"
    " by default), and are not taken up again; no compacted topic names users, so there is no tombstone to write",
    "later_events": "events of the user that come after the call are refused, pseudonymised or taken, by the setting",
    "item_cf": "what the user added to sums over pairs of items, in which no user is named: gone at the recommender"
    " worker's next rebuild, a day at most",
    "hot_lists": "what the user added to the sums of items, in which no user is named, decays",
    "paged_lists": "a list that the user was paging through: half an hour",
    "others_follows": "the user's id in the follow and block sets of other users is not removed",
}
Counts = dict[str, int]
_encode = msgspec.json.Encoder(order="sorted").encode


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What was erased, signed. `user` is an HMAC of the id, `erased` counts keys, documents and rows; times in ms."""

    tenant_id: str
    user: str
    requested_at: int
    finished_at: int
    erased: Counts
    left_to_time: dict[str, str]
    key_id: str
    signature: str = ""


def user_hash(key: bytes, tenant: str, user_id: str) -> str:
    """The user in receipts and notes: another in every tenant, and unknown without the key."""
    return _hmac(key, b"user", msgspec.json.encode([tenant, user_id]))


def sign(receipt: Receipt, key: bytes) -> Receipt:
    """The receipt with its signature: HMAC-SHA256 of all the rest as JSON with sorted keys."""
    unsigned = msgspec.structs.replace(receipt, signature="")
    return msgspec.structs.replace(receipt, signature=_hmac(key, b"receipt", _encode(unsigned)))


def verify_receipt(receipt: Receipt, key: bytes) -> bool:
    """Whether the key signed the receipt, and nothing of it was changed."""
    return hmac.compare_digest(sign(receipt, key).signature, receipt.signature)


def _hmac(key: bytes, purpose: bytes, message: bytes) -> str:
    return hmac.new(key, purpose + b"\0" + message, hashlib.sha256).hexdigest()
