-- The days of events that were there before the feed. Run again it reads nothing: the fence of 017 stands.
INSERT INTO user_days
SELECT DISTINCT tenant_id, user_id, toDate(timestamp) AS day
FROM user_behaviors
WHERE (SELECT count() FROM fences WHERE consumer = 'migration' AND kafka_topic = 'user_days') = 0
SETTINGS final = 0;
