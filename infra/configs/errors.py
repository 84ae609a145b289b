"""Failures about configs that say more to a script than their sentence."""

from typing import Any

from infra.errors import OperatorError


class ConfigsError(OperatorError):
    """The root of those of this room."""

    def as_dict(self) -> dict[str, Any]:
        """What --json prints beside the sentence."""
        raise NotImplementedError
