"""What the feature sink raises.

FeatureSinkError
├── SinkUnavailable      Redis is away or refuses writes for now; the same call may be made again
├── FenceUnreadable      the fence is not what this platform writes; someone must look
└── OffsetsOutOfOrder    misuse: the events of a batch do not fit its offsets
"""


class FeatureSinkError(Exception):
    """Any failure of the feature sink."""

    retriable = False


class SinkUnavailable(FeatureSinkError):
    """Redis could not take the batch now, or the answer was lost. Making the same call again is harmless."""

    retriable = True

    def __init__(self, tenant: str, reason: str) -> None:
        super().__init__(f"Redis cannot take features of tenant {tenant!r} now: {reason}")
        self.tenant = tenant
        self.reason = reason


class FenceUnreadable(FeatureSinkError):
    """The fence holds something that is not `epoch:offset`. Deleting its field replays the partition."""

    def __init__(self, key: str, partition: int, found: str) -> None:
        super().__init__(f"fence {key!r} of partition {partition} is not epoch:offset but {found!r}")
        self.key = key
        self.partition = partition
        self.found = found


class OffsetsOutOfOrder(FeatureSinkError):
    """The events' offsets do not rise, or do not lie behind the expected offset and up to the last."""
