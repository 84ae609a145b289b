"""Item ids of one tenant as numbers from 0, in the order of their first appearance."""


class Vocabulary:
    """Bounded: beyond `max_items` an unknown id gets no number, and its item is not recommended."""

    def __init__(self, max_items: int) -> None:
        self.max_items = max_items
        self.ids: list[str] = []
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def number(self, item_id: str) -> int | None:
        """The item's number, given now to an id not met before; None when the vocabulary is full."""
        number = self._numbers.get(item_id)
        if number is None and len(self.ids) < self.max_items:
            number = self._numbers[item_id] = len(self.ids)
            self.ids.append(item_id)
        return number
