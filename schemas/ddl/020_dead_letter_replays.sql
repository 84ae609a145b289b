-- Dead letters that were replayed, one row a letter: sent (its event was produced to the raw topic again) or found
-- (an accepted event had its id already). Written after the event, so a letter without a row may have been sent.
CREATE TABLE IF NOT EXISTS dead_letter_replays
(
    tenant_id LowCardinality(String),
    kafka_topic LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64,
    event_id String,
    outcome LowCardinality(String),
    replayed_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (tenant_id, kafka_topic, kafka_partition, kafka_offset);
