-- Accepted events. A client's resend carries the same event_id and is collapsed when read with final = 1,
-- which the platform's ClickHouse profile sets.
CREATE TABLE IF NOT EXISTS user_behaviors
(
    event_id String,
    tenant_id LowCardinality(String),
    scenario_id LowCardinality(String),
    scenario_type LowCardinality(String),
    user_id String,
    item_id String,
    action_type LowCardinality(String),
    timestamp DateTime64(3, 'UTC'),
    received_at DateTime64(3, 'UTC'),
    device_type LowCardinality(String),
    os Nullable(String),
    location Nullable(String),
    ip Nullable(String),
    scene Nullable(String),
    request_id Nullable(String),
    context String,
    position Nullable(Int64),
    experiment_id Nullable(String),
    experiment_group Nullable(String),
    source LowCardinality(String),
    config_version UInt32,
    validation_warnings Array(Tuple(field String, code String, message String)),
    scenario_data Nullable(String),
    extra_data Nullable(String),
    weight Float64,
    dwell_ms Int64,
    category Nullable(String),
    kafka_partition Int32,
    kafka_offset Int64
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (tenant_id, scenario_id, toDate(timestamp), event_id)
SETTINGS non_replicated_deduplication_window = 1000;
