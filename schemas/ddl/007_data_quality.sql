-- Counts of judged events by tenant, scenario, config version, hour of arrival and field; field '' is the event.
-- A field is listed where it had an issue or stood in a payload, 300 a group at most, those with most issues first.
CREATE VIEW IF NOT EXISTS data_quality AS
WITH
    judged AS
    (
        SELECT
            tenant_id, scenario_id, config_version, toStartOfHour(arrived_at) AS hour,
            count() AS events,
            ('', countIf(verdict = 'warn'), countIf(verdict = 'reject')) AS whole,
            sumMap(
                faulty,
                arrayMap(_ -> toUInt64(verdict = 'warn'), faulty),
                arrayMap(_ -> toUInt64(verdict = 'reject'), faulty)
            ) AS faults,
            groupUniqArrayArray(300)(arrayMap(name -> concat(payload_key, '.', name), payload_fields)) AS present
        FROM judged_events
        GROUP BY tenant_id, scenario_id, config_version, hour
    ),
    arrayDistinct(arrayMap(path -> substringIndex(concat('scenario_data.', path), '.', 3), present)) AS seen,
    arrayConcat(
        arrayZip(faults.1, faults.2, faults.3),
        arrayMap(field -> (field, toUInt64(0), toUInt64(0)), arrayFilter(field -> not has(faults.1, field), seen))
    ) AS fields,
    arraySlice(arraySort(each -> (-toInt64(each.2 + each.3), each.1), fields), 1, 300) AS listed
SELECT
    tenant_id, scenario_id, config_version, hour,
    row.1 AS field, events, toUInt64(events - row.2 - row.3) AS pass, row.2 AS warn, row.3 AS reject
FROM judged
ARRAY JOIN arrayConcat([whole], listed) AS row;
