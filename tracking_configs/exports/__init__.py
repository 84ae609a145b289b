"""What a tenant's developers get of a config: client types, an Avro schema, a page to read."""

from collections.abc import Callable
from typing import Final

from tracking_configs.exports import kotlin, python, swift, typescript
from tracking_configs.model import TrackingConfig

LANGUAGES: Final[dict[str, Callable[[TrackingConfig], str]]] = {
    "python": python.stub,
    "typescript": typescript.stub,
    "kotlin": kotlin.stub,
    "swift": swift.stub,
}
