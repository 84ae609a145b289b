"""What each user of a tenant did last: bounded an user, and bounded in users by forgetting the longest silent."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class History:
    """`items`: the last distinct ones liked, newest last. `seen`: those not to be shown again, oldest first."""

    items: list[int] = field(default_factory=list)
    seen: dict[int, None] = field(default_factory=dict)
    listed_at: dict[str, int] = field(default_factory=dict)  # scene -> ms of the last list written

    def touch(self, item: int, window: int) -> bool:
        """Put `item` at the newest place; False when it was in the window already."""
        items = self.items
        if item in items:
            items.remove(item)
            items.append(item)
            return False
        items.append(item)
        if len(items) > window:
            del items[0]
        return True

    def see(self, item: int, limit: int) -> None:
        """Remember not to show `item` again; at most `limit` are remembered."""
        self.seen.pop(item, None)
        self.seen[item] = None
        if len(self.seen) > limit:
            del self.seen[next(iter(self.seen))]


class Histories:
    """User -> History, for the `max_users` users seen last."""

    def __init__(self, max_users: int) -> None:
        self.max_users = max_users
        self._users: dict[str, History] = {}

    def __len__(self) -> int:
        return len(self._users)

    def get(self, user_id: str) -> History | None:
        return self._users.get(user_id)

    def users(self) -> list[str]:
        """All who have one, the longest silent first."""
        return list(self._users)

    def forget(self, user_id: str) -> None:
        self._users.pop(user_id, None)

    def of(self, user_id: str) -> History:
        """The user's history, made where there is none; the user is now the one seen last."""
        history = self._users.pop(user_id, None) or History()
        self._users[user_id] = history
        if len(self._users) > self.max_users:
            del self._users[next(iter(self._users))]
        return history
