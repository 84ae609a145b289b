-- Fills user_days from here on; what was there before follows in the next migration.
CREATE MATERIALIZED VIEW IF NOT EXISTS user_days_feed TO user_days AS
SELECT DISTINCT tenant_id, user_id, toDate(timestamp) AS day
FROM user_behaviors;
