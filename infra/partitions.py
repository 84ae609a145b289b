"""The partitions of a topic, asked of Kafka without joining a group or making a topic that is not there."""

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from schemas.kafka import KafkaDsn


async def partitions_of(kafka: KafkaDsn, topic: str) -> list[TopicPartition]:
    """Empty where the topic does not exist. Raises KafkaError when Kafka does not answer."""
    admin = AIOKafkaAdminClient(**kafka.client_options())
    try:
        await admin.start()
        if topic not in await admin.list_topics():
            return []
        [described] = await admin.describe_topics([topic])
        return [TopicPartition(topic, partition["partition"]) for partition in described["partitions"]]
    finally:
        await admin.close()
