-- What the users of each arm of an experiment did. actions: events by action; converted: users by action.
-- ctr_standard_error is that of a ratio of means over users (delta method), because a user's impressions are not
-- independent of each other; NULL below two users or without an impression. A user in two arms counts in both.
CREATE VIEW IF NOT EXISTS experiment_outcomes AS
SELECT
    tenant_id, experiment_id, experiment_group,
    count() AS users,
    sum(length(taken)) AS events,
    CAST(sumMap(taken, arrayResize([], length(taken), toUInt64(1))), 'Map(String, UInt64)') AS actions,
    CAST(sumMap(kinds, arrayResize([], length(kinds), toUInt64(1))), 'Map(String, UInt64)') AS converted,
    sum(shown) AS impressions,
    sum(clicked) AS clicks,
    if(impressions = 0, NULL, clicks / impressions) AS ctr,
    if(
        impressions = 0 OR users < 2,
        NULL,
        sqrt(
            greatest(0, sum(clicked * clicked) - 2 * ctr * sum(clicked * shown) + ctr * ctr * sum(shown * shown))
            * users / (users - 1)
        ) / impressions
    ) AS ctr_standard_error
FROM
(
    SELECT
        tenant_id, assumeNotNull(experiment_id) AS experiment_id, ifNull(experiment_group, '') AS experiment_group,
        user_id,
        groupArray(toString(action_type)) AS taken,
        arrayDistinct(taken) AS kinds,
        countIf(action_type = 'impression') AS shown,
        countIf(action_type = 'click') AS clicked
    FROM user_behaviors FINAL
    WHERE user_behaviors.experiment_id IS NOT NULL
    GROUP BY tenant_id, experiment_id, experiment_group, user_id
)
GROUP BY tenant_id, experiment_id, experiment_group
SETTINGS do_not_merge_across_partitions_select_final = 1;
