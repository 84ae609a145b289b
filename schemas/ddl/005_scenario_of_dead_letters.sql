-- Whose events are rejected, by which version of a config, and each error whole. '' and 0: none is known.
ALTER TABLE rejected_behaviors
    ADD COLUMN IF NOT EXISTS scenario_id LowCardinality(String) AFTER tenant_id,
    ADD COLUMN IF NOT EXISTS config_version UInt32 AFTER scenario_id,
    ADD COLUMN IF NOT EXISTS errors Array(Tuple(field String, code String, message String)) AFTER fields,
    ADD INDEX IF NOT EXISTS timestamp_range timestamp TYPE minmax GRANULARITY 1;
