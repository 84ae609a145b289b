-- Dead letters, one row a raw record: its position is its identity.
CREATE TABLE IF NOT EXISTS rejected_behaviors
(
    tenant_id LowCardinality(String),
    timestamp DateTime64(3, 'UTC'),
    reason_codes Array(LowCardinality(String)),
    fields Array(String),
    message String,
    original String,
    kafka_topic LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (tenant_id, kafka_topic, kafka_partition, kafka_offset)
SETTINGS non_replicated_deduplication_window = 1000;
