"""Users of one tenant whose lists are to be computed anew: each stands once, whatever happened to them since."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from recommenders.scenes import Scene


@dataclass(slots=True)
class Touched:
    """`order` grows with each user queued. `received_at`: ms, of the oldest event that the lists do not show yet.

    `scenes`: by name, each with the scenario of the last event that asked for its list.
    """

    user_id: str
    order: int
    received_at: int
    scenes: dict[str, tuple[Scene, str]] = field(default_factory=dict)


class Pending:
    """The queue, in the order of each user's first event; what was put back stands in front."""

    def __init__(self) -> None:
        self._users: dict[str, Touched] = {}

    def __len__(self) -> int:
        return len(self._users)

    def __iter__(self) -> Iterator[Touched]:
        return iter(self._users.values())

    def add(self, user_id: str, scenes: tuple[Scene, ...], scenario: str, *, order: int, received_at: int) -> None:
        touched = self._users.get(user_id)
        if touched is None:
            touched = self._users[user_id] = Touched(user_id, order, received_at)
        touched.scenes.update((scene.name, (scene, scenario)) for scene in scenes)

    def due(self, limit: int, may_write: Callable[[Touched], bool]) -> list[Touched]:
        """The first users that may be written now; they stay queued."""
        found: list[Touched] = []
        for touched in self._users.values():
            if may_write(touched):
                found.append(touched)
                if len(found) == limit:
                    break
        return found

    def take(self, batch: list[Touched]) -> None:
        """Out of the queue, to be computed: an event from now on queues the user anew."""
        for touched in batch:
            self._users.pop(touched.user_id, None)

    def forget(self, user_id: str) -> None:
        """The user needs no lists any more."""
        self._users.pop(user_id, None)

    def put_back(self, batch: list[Touched]) -> None:
        """The batch could not be written: to the front again, with what was queued of its users meanwhile."""
        later = self._users
        self._users = {touched.user_id: touched for touched in batch}
        for touched in later.values():
            held = self._users.setdefault(touched.user_id, touched)
            if held is not touched:
                held.scenes.update(touched.scenes)
