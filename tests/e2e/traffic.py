"""Seeded traffic for end-to-end tests: what people send, by which door, with what goes wrong on the way."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CATEGORIES = ("travel", "food", "music")
ACTIONS = ("impression", "click", "play", "like", "share", "skip")
SCENARIO = "vlog_feed"
MINUTE_MS = 60_000


@dataclass(frozen=True)
class Traffic:
    """Events by door, in the order of sending. `bad` are raw values that must become dead letters."""

    http: list[dict[str, Any]]
    grpc: list[dict[str, Any]]
    kafka: list[dict[str, Any]]
    bad: list[bytes]

    @property
    def good(self) -> list[dict[str, Any]]:
        return self.http + self.grpc + self.kafka


def catalogue(items: int = 200) -> list[dict[str, Any]]:
    """Items i0, i1, ... each with a category."""
    return [
        {"item_id": f"i{n}", "name": f"Item {n}", "category": CATEGORIES[n % len(CATEGORIES)], "is_active": True}
        for n in range(items)
    ]


def make_traffic(tenant: str, *, count: int, now_ms: int, seed: int = 7) -> Traffic:
    """`count` events of 500 users over six hours, in bursts; one in fifty is sent twice, one in fifty late."""
    dice = random.Random(seed)
    sent = list(_events(tenant, count, now_ms, dice))
    third = len(sent) // 3
    bad = [b"not json", b"[]", b'{"tenant_id":"other"}', b'{"tenant_id":"' + tenant.encode() + b'","timestamp":1}'] * 25
    return Traffic(http=sent[:third], grpc=sent[third : 2 * third], kafka=sent[2 * third :], bad=bad)


def _events(tenant: str, count: int, now_ms: int, dice: random.Random) -> Iterator[dict[str, Any]]:
    start, step = now_ms - 6 * 60 * MINUTE_MS, 6 * 60 * MINUTE_MS // count
    user, left, at = "u0", 0, 0
    while at < count:
        if not left:
            user, left = f"u{int(500 * dice.random() ** 2)}", dice.randint(1, 12)
        left -= 1
        late_ms = dice.randint(0, 90) * MINUTE_MS if dice.random() < 0.02 else 0
        event = {
            "event_id": f"evt_{at:016x}",
            "tenant_id": tenant,
            "scenario_id": SCENARIO,
            "user_id": user,
            "item_id": f"i{int(200 * dice.random() ** 3)}",
            "action_type": dice.choice(ACTIONS),
            "timestamp": start + at * step - late_ms,
            "context": {"device_type": dice.choice(("mobile", "pc", "tablet"))},
        }
        at += 1
        yield event
        if dice.random() < 0.02 and at < count:
            at += 1
            yield event
