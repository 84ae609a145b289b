-- How many users took each of at most eight different steps (actions) in their order, the last within window_s seconds
-- of the first; of one tenant and scenario, events from `since` until before `until`.
CREATE VIEW IF NOT EXISTS funnel AS
WITH {steps:Array(String)} AS steps
SELECT
    step, steps[step] AS action, by_step[step] AS users,
    if(by_step[1] = 0, NULL, users / by_step[1]) AS share,
    if(step = 1 OR by_step[step - 1] = 0, NULL, users / by_step[step - 1]) AS share_of_previous
FROM
(
    SELECT
        arrayResize(sumForEach(arrayMap(step -> toUInt64(reached >= step), arrayEnumerate(steps))), length(steps))
            AS by_step
    FROM
    (
        SELECT
            user_id,
            windowFunnel({window_s:UInt64} * 1000)(
                toUInt64(toUnixTimestamp64Milli(timestamp)),
                action_type = steps[1], action_type = steps[2], action_type = steps[3], action_type = steps[4],
                action_type = steps[5], action_type = steps[6], action_type = steps[7], action_type = steps[8]
            ) AS reached
        FROM user_behaviors FINAL
        WHERE tenant_id = {tenant:String} AND scenario_id = {scenario:String}
            AND timestamp >= {since:DateTime64(3, 'UTC')} AND timestamp < {until:DateTime64(3, 'UTC')}
            AND has(steps, action_type)
        GROUP BY user_id
    )
    HAVING NOT throwIf(
        length(steps) NOT BETWEEN 1 AND 8 OR length(arrayDistinct(steps)) != length(steps),
        'steps: name one to eight different actions'
    )
)
ARRAY JOIN arrayEnumerate(steps) AS step
ORDER BY step
SETTINGS do_not_merge_across_partitions_select_final = 1;
