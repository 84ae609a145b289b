-- How far a consumer's rows are in, per topic and partition; written after the rows it covers.
CREATE TABLE IF NOT EXISTS fences
(
    consumer LowCardinality(String),
    kafka_topic String,
    kafka_partition Int32,
    next_offset Int64,
    written_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(next_offset)
ORDER BY (consumer, kafka_topic, kafka_partition);
