-- What the scenario's config draws from an event beside its weight. The index finds what arrived lately.
ALTER TABLE user_behaviors
    ADD COLUMN IF NOT EXISTS positive Bool DEFAULT false AFTER weight,
    ADD COLUMN IF NOT EXISTS completion Nullable(Float64) AFTER dwell_ms,
    ADD INDEX IF NOT EXISTS received_at_range received_at TYPE minmax GRANULARITY 1;
