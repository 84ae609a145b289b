-- The days on which a user did something: a set, so that an event counted twice changes nothing.
CREATE TABLE IF NOT EXISTS user_days
(
    tenant_id LowCardinality(String),
    user_id String,
    day Date
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (tenant_id, user_id, day)
SETTINGS non_replicated_deduplication_window = 1000;
