"""Bounds on what one event may be. A setting never widens them; outsiders may rely on them."""

from typing import Final

MAX_EVENT_BYTES: Final = 64 * 1024
MAX_NESTING: Final = 16
MAX_SCENARIO_ID: Final = 128
MAX_ID: Final = 256  # user_id, item_id, event_id, experiment_id, experiment_group
MAX_BATCH_EVENTS: Final = 100
MAX_WARNINGS: Final = 100  # a verdict stops listing there, and says so
OLDEST_TIMESTAMP_MS: Final = 946_684_800_000  # 2000-01-01T00:00:00Z
MAX_FUTURE_MS: Final = 24 * 60 * 60 * 1000
INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
