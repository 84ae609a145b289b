"""The broker as the worker takes it."""

import pytest

from schemas.kafka import KafkaDsn


@pytest.fixture
def kafka(kafka_server: str) -> KafkaDsn:
    return KafkaDsn.parse(kafka_server)
