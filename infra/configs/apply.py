"""Doing what a plan says, one config after the other."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from infra.configs.client import ConfigApiError
from infra.configs.file_form import Signature
from infra.configs.plan import Action, Step
from infra.errors import OperatorError
from tracking_configs.model import ConfigDraft, draft_of


class Api(Protocol):
    """What makes versions."""

    def create(self, draft: ConfigDraft, by: Signature) -> dict[str, Any]: ...

    def replace(self, draft: ConfigDraft, by: Signature, seen: int, allow_breaking: bool | None) -> dict[str, Any]: ...


class ApplyError(OperatorError):
    """A step failed; those before it are done, those from it on are not."""

    def __init__(self, why: str, done: Sequence[Step], left: Sequence[Step]) -> None:
        self.done, self.left = tuple(done), tuple(left)
        was_done = ", ".join(map(name_of, done)) or "none"
        super().__init__(
            f"{name_of(left[0])}: {why}; done: {was_done}; not done: {', '.join(map(name_of, left))}; "
            "run apply again: it goes on where this one stopped"
        )


def name_of(step: Step) -> str:
    return step.config.key


def check_leave(steps: Sequence[Step], allow_breaking: bool | None) -> None:
    """Raises OperatorError, before anything is done, where the platform would refuse a step for breaking clients."""
    if refused := [name_of(step) for step in steps if step.needs_leave(allow_breaking)]:
        raise OperatorError(
            f"nothing was applied: {', '.join(refused)} would break clients (see the plan); "
            "change the files, or apply them all the same with --allow-breaking"
        )


def apply_steps(
    api: Api, steps: Sequence[Step], by: Signature, user: str, allow_breaking: bool | None
) -> Iterator[Step]:
    """Each step that changes something, when it is done. Raises ApplyError at the first that fails.

    Who and why of a version: what `by` says, else what the file says, else `user` and nothing.
    """
    todo = [step for step in steps if step.action is not Action.UNCHANGED]
    for index, step in enumerate(todo):
        try:
            _apply(api, step, _signature(step, by, user), allow_breaking)
        except OperatorError as error:
            raise ApplyError(_why(error), todo[:index], todo[index:]) from error
        yield step


def _apply(api: Api, step: Step, by: Signature, allow_breaking: bool | None) -> None:
    draft = draft_of(step.config)
    if step.current is None:
        api.create(draft, by)
    else:
        api.replace(draft, by, step.current.version, allow_breaking)


def _signature(step: Step, by: Signature, user: str) -> Signature:
    file = step.file.signature
    return Signature(by.author or file.author or user, by.reason or file.reason)


def _why(error: OperatorError) -> str:
    if isinstance(error, ConfigApiError) and error.is_stale:
        return "somebody changed it meanwhile"
    return str(error)
