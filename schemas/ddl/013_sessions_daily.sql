-- Sessions by tenant, scenario and UTC day on which they began; bounced: of a single event.
CREATE VIEW IF NOT EXISTS sessions_daily AS
SELECT
    tenant_id, scenario_id, toDate(started_at) AS day,
    count() AS sessions,
    uniqExact(user_id) AS users,
    sum(sessions.events) AS events,
    countIf(sessions.events = 1) AS bounced,
    avg(date_diff('millisecond', started_at, ended_at)) / 1000 AS mean_length_s,
    avg(sessions.dwell_ms) / 1000 AS mean_dwell_s,
    sum(sessions.actions['impression']) AS impressions,
    sum(sessions.actions['click']) AS clicks,
    if(impressions = 0, NULL, clicks / impressions) AS ctr,
    sum(sessions.late) AS late
FROM sessions FINAL
GROUP BY tenant_id, scenario_id, day
SETTINGS do_not_merge_across_partitions_select_final = 1;
