-- Of the users who were first seen on a day, how many came back so many days later. Day 0 is the first; a day on which
-- nobody came back has no row.
CREATE VIEW IF NOT EXISTS retention AS
SELECT
    tenant_id, first_day, days_later,
    max(returned) OVER (PARTITION BY tenant_id, first_day) AS users,
    returned,
    returned / users AS share
FROM
(
    SELECT tenant_id, first_day, toUInt16(arrayJoin(days) - first_day) AS days_later, count() AS returned
    FROM
    (
        SELECT tenant_id, user_id, groupUniqArray(day) AS days, min(day) AS first_day
        FROM user_days
        GROUP BY tenant_id, user_id
        SETTINGS final = 0
    )
    GROUP BY tenant_id, first_day, days_later
);
