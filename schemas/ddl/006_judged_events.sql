-- One row a judged event, accepted or rejected, each once whatever the profile says of final.
-- faulty: the fields with an issue, as paths of at most three parts, so that an item's path counts for its field.
-- payload_fields: the names of at most 60 characters in the payload; a longer one stands in no issue as it is.
CREATE VIEW IF NOT EXISTS judged_events AS
SELECT
    tenant_id, scenario_id, config_version, arrived_at, timestamp, verdict, issues,
    arrayFilter(field -> field != '', arrayDistinct(arrayMap(path -> substringIndex(path, '.', 3), paths))) AS faulty,
    JSONExtractKeys(payload)[1] AS payload_key,
    arrayFilter(name -> lengthUTF8(name) <= 60, JSONExtractKeys(payload, 1)) AS payload_fields,
    event_id, kafka_topic, kafka_partition, kafka_offset
FROM
(
    SELECT
        tenant_id, scenario_id, config_version, received_at AS arrived_at, timestamp,
        if(empty(validation_warnings.field), 'pass', 'warn') AS verdict,
        validation_warnings AS issues, validation_warnings.field AS paths, ifNull(scenario_data, '') AS payload,
        event_id, concat('user-behaviors-', tenant_id) AS kafka_topic, kafka_partition, kafka_offset
    FROM user_behaviors FINAL
    UNION ALL
    SELECT
        tenant_id, scenario_id, config_version, timestamp AS arrived_at, timestamp,
        'reject' AS verdict,
        errors AS issues, fields AS paths, '' AS payload,
        '' AS event_id, kafka_topic, kafka_partition, kafka_offset
    FROM rejected_behaviors FINAL
);
