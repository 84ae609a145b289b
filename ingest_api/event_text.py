"""A JSON object of which only what is asked for is taken apart. No I/O."""

from typing import Any, Final

import msgspec

from tracking_configs.json_text import decode_raws, plain

_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)


class NotMendableError(ValueError):
    """A letter whose value is no JSON object."""


class EventText:
    """The text of an event. What is not asked for stays the text it was; `encode` is the whole again."""

    def __init__(self, value: bytes) -> None:
        """Raises NotMendableError."""
        try:
            value.decode()
            self._top: dict[str, Any] = dict(decode_raws(value))
        except _UNREADABLE:
            raise NotMendableError("the value is no JSON object, so no field of it can be mended") from None

    def get(self, path: str) -> Any:
        """The plain value at a path; None where there is none. An object is not looked into."""
        *way, name = path.split(".")
        found = (self._node(way) or {}).get(name)
        return plain(found) if isinstance(found, msgspec.Raw) else found

    def set(self, path: str, value: Any) -> None:
        """Objects on the way are made; where something else stands in the way, nothing is done."""
        *way, name = path.split(".")
        node = self._node(way, make=True)
        if node is not None:
            node[name] = value

    def move(self, path: str, target: str) -> None:
        """Nothing is done where nothing stands at the path, or something at the target or in the way to it."""
        *way, name = path.split(".")
        *target_way, target_name = target.split(".")
        node = self._node(way)
        if node is None or name not in node or self.get(target) is not None:
            return
        target_node = self._node(target_way, make=True)
        if target_node is not None:
            target_node[target_name] = node.pop(name)

    def drop(self, path: str) -> None:
        *way, name = path.split(".")
        node = self._node(way)
        if node is not None:
            node.pop(name, None)

    def encode(self) -> bytes:
        return msgspec.json.encode(self._top)

    def _node(self, way: list[str], *, make: bool = False) -> dict[str, Any] | None:
        """The object at the end of the way, taken apart; None where another value, or nothing, stands there.

        To make it is to make all that is missing: nothing is made where it cannot be reached.
        """
        node = self._top
        for name in way:
            child = node.get(name)
            if isinstance(child, msgspec.Raw):
                child = _opened(child)
            if child is None and make:
                child = {}
            if not isinstance(child, dict):
                return None
            node[name] = child
            node = child
        return node


def _opened(raw: msgspec.Raw) -> dict[str, Any] | msgspec.Raw | None:
    """The object of a member's text; None for null, the text itself for any other value."""
    text = bytes(raw)
    if text[:1] == b"{":
        return dict(decode_raws(raw))
    return None if text == b"null" else raw
