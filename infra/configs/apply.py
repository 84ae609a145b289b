"""Doing what a plan says, one config after the other."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import msgspec

from infra.configs.client import ConfigApiError, is_published
from infra.configs.errors import ConfigsError
from infra.configs.file_form import Signature
from infra.configs.plan import Action, Step
from infra.errors import OperatorError
from tracking_configs.model import ConfigDraft, draft_of


class Api(Protocol):
    """What makes versions."""

    def create(self, draft: ConfigDraft, by: Signature) -> dict[str, Any]: ...

    def replace(self, draft: ConfigDraft, by: Signature, seen: int, allow_breaking: bool | None) -> dict[str, Any]: ...


class Done(msgspec.Struct, frozen=True):
    """A step that was done. While it is not published, Kafka being away, only the door that took it has it in force."""

    step: Step
    is_published: bool = True


class ApplyError(ConfigsError):
    """A step failed; those before it are done, those from it on are not."""

    def __init__(self, why: str, steps: Sequence[Step], done: Sequence[Done], left: Sequence[Step]) -> None:
        self.steps, self.done, self.left = tuple(steps), tuple(done), tuple(left)
        was_done = ", ".join(name_of(each.step) for each in done) or "none"
        super().__init__(
            f"{name_of(left[0])}: {why}; done: {was_done}; not done: {', '.join(map(name_of, left))}; "
            "run apply again: it goes on where this one stopped"
        )

    def as_dict(self) -> dict[str, Any]:
        return report(self.steps, self.done)


class NeedsLeaveError(ConfigsError):
    """Nothing was done, for some steps would break clients."""

    def __init__(self, steps: Sequence[Step], refused: Sequence[Step]) -> None:
        self.steps, self.refused = tuple(steps), tuple(refused)
        super().__init__(
            f"nothing was applied: {', '.join(map(name_of, refused))} would break clients (see the plan); "
            "change the files, or apply them all the same with --allow-breaking"
        )

    def as_dict(self) -> dict[str, Any]:
        return report(self.steps, ())


def name_of(step: Step) -> str:
    return step.config.key


def report(steps: Sequence[Step], done: Sequence[Done]) -> dict[str, Any]:
    """The plan for --json, with what became of each step; one that has nothing to do is never done."""
    outcomes: dict[str, dict[str, Any]] = {
        name_of(each.step): {"done": True} if each.is_published else {"done": True, "published": False} for each in done
    }
    return {"plan": [step.as_dict() | outcomes.get(name_of(step), {"done": False}) for step in steps]}


def check_leave(steps: Sequence[Step], allow_breaking: bool | None) -> None:
    """Raises NeedsLeaveError, before anything is done, where the platform would refuse a step for breaking clients."""
    if refused := [step for step in steps if step.needs_leave(allow_breaking)]:
        raise NeedsLeaveError(steps, refused)


def apply_steps(
    api: Api, steps: Sequence[Step], by: Signature, user: str, allow_breaking: bool | None
) -> Iterator[Done]:
    """Each step that changes something, when it is done. Raises ApplyError at the first that fails.

    Who and why of a version: what `by` says, else what the file says, else `user` and nothing.
    """
    todo = [step for step in steps if step.action is not Action.UNCHANGED]
    done: list[Done] = []
    for index, step in enumerate(todo):
        try:
            answer = _apply(api, step, _signature(step, by, user), allow_breaking)
        except OperatorError as error:
            raise ApplyError(_why(error), steps, done, todo[index:]) from error
        done.append(Done(step, is_published(answer)))
        yield done[-1]


def _apply(api: Api, step: Step, by: Signature, allow_breaking: bool | None) -> dict[str, Any]:
    draft = draft_of(step.config)
    if step.current is None:
        return api.create(draft, by)
    return api.replace(draft, by, step.current.version, allow_breaking)


def _signature(step: Step, by: Signature, user: str) -> Signature:
    file = step.file.signature
    return Signature(by.author or file.author or user, by.reason or file.reason)


def _why(error: OperatorError) -> str:
    if isinstance(error, ConfigApiError) and error.is_stale:
        return "somebody changed it meanwhile"
    return str(error)
