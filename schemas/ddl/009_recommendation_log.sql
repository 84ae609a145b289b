-- What was recommended, one row an item shown: a request and a position are its identity.
-- propensity is the probability with which the item was put there, for off-policy estimates.
CREATE TABLE IF NOT EXISTS recommendation_log
(
    request_id String,
    tenant_id LowCardinality(String),
    user_id String,
    scene LowCardinality(String),
    item_id String,
    position UInt32,
    score Float64,
    source LowCardinality(String),
    propensity Nullable(Float64),
    strategy LowCardinality(String),
    model_version LowCardinality(String),
    experiment_id Nullable(String),
    experiment_group Nullable(String),
    timestamp DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (tenant_id, toDate(timestamp), request_id, position)
SETTINGS non_replicated_deduplication_window = 1000;
