-- Ended sessions, by their summaries. A session that is summarised again, for a late event say, counts as it was
-- closed last. ctr is NULL where nothing was shown; late counts events that came too late to be merged.
CREATE TABLE IF NOT EXISTS sessions
(
    session_id String,
    tenant_id LowCardinality(String),
    user_id String,
    scenario_id LowCardinality(String),
    started_at DateTime64(3, 'UTC'),
    ended_at DateTime64(3, 'UTC'),
    events UInt32,
    items UInt32,
    actions Map(LowCardinality(String), UInt32),
    dwell_ms Int64,
    ctr Nullable(Float64),
    device_type LowCardinality(String),
    experiment_id Nullable(String),
    experiment_group Nullable(String),
    late UInt32,
    closed_at DateTime64(3, 'UTC'),
    kafka_partition Int32,
    kafka_offset Int64
)
ENGINE = ReplacingMergeTree(closed_at)
PARTITION BY toYYYYMM(started_at)
ORDER BY (tenant_id, toDate(started_at), session_id)
SETTINGS non_replicated_deduplication_window = 1000;
