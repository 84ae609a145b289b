-- Notes that 016 is done.
INSERT INTO fences (consumer, kafka_topic, kafka_partition, next_offset)
SELECT 'migration', 'user_days', 0, 1
WHERE (SELECT count() FROM fences WHERE consumer = 'migration' AND kafka_topic = 'user_days') = 0;
