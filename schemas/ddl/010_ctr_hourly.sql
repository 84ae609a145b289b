-- Impressions, clicks and their ratio by tenant, scenario and hour of the event; ctr is NULL where nothing was shown.
-- A table's key holds the date, not the hour: a filter on day reads that day only.
-- No event has rows in two table partitions, so each is merged by itself.
CREATE VIEW IF NOT EXISTS ctr_hourly AS
SELECT
    tenant_id, scenario_id, toDate(timestamp) AS day, toStartOfHour(timestamp) AS hour,
    countIf(action_type = 'impression') AS impressions,
    countIf(action_type = 'click') AS clicks,
    if(impressions = 0, NULL, clicks / impressions) AS ctr
FROM user_behaviors FINAL
WHERE action_type IN ('impression', 'click')
GROUP BY tenant_id, scenario_id, day, hour
SETTINGS do_not_merge_across_partitions_select_final = 1;
