"""What applying files would do, worked out against what is in force; nothing is done here."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from infra.configs.files import ConfigFile, ConfigFilesError
from tracking_configs.change import Change, Verdict
from tracking_configs.diff import compare
from tracking_configs.model import TrackingConfig, config_of, draft_of

Current = Callable[[str, str], TrackingConfig | None]  # a scenario's config, deleted or not


class Action(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    BRING_BACK = "bring back"  # it was deleted
    UNCHANGED = "unchanged"


class Step(msgspec.Struct, frozen=True):
    """What becomes of one file: `config` is what would be in force, `current` what is now, as the plan saw it.

    `change` is None where there is nothing to compare, or nothing changes.
    """

    file: ConfigFile
    action: Action
    config: TrackingConfig
    current: TrackingConfig | None = None
    change: Change | None = None

    @property
    def is_breaking(self) -> bool:
        return self.change is not None and self.change.verdict is Verdict.BREAKING

    def needs_leave(self, allow_breaking: bool | None) -> bool:
        """Whether the platform would refuse it for breaking clients; None leaves that to the config's enforcement."""
        if not self.is_breaking or self.current is None:
            return False
        rejects = self.current.is_active and self.current.enforcement == self.config.enforcement == "reject"
        return allow_breaking is False or (allow_breaking is None and rejects)

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "file": str(self.file.path),
            "tenant_id": self.config.tenant_id,
            "scenario_id": self.config.scenario_id,
            "action": self.action.value,
            "current_version": self.current.version if self.current else None,
            "change": msgspec.to_builtins(self.change),
        }


def plan(files: Iterable[ConfigFile], current: Current) -> list[Step]:
    """A step for each file. Raises ConfigFilesError where one makes its config another one, or too large."""
    steps: list[Step] = []
    problems: list[str] = []
    for file in files:
        found = current(*file.key)
        if found is not None and found.scenario_type != file.draft.scenario_type:
            why = f"is {found.scenario_type}, and a config keeps its type: take another scenario_id"
            problems.append(f"{file.path}: scenario_type: {'/'.join(file.key)} {why}")
        else:
            steps.append(step_of(file, found))
    if problems:
        raise ConfigFilesError(problems)
    return steps


def step_of(file: ConfigFile, current: TrackingConfig | None) -> Step:
    """What becomes of a file whose scenario has this config."""
    if current is None:
        return Step(file, Action.CREATE, config_of(file.draft, version=1, created_at=0, updated_at=0))
    config = config_of(
        file.draft, version=current.version + 1, created_at=current.created_at, updated_at=current.updated_at
    )
    if not current.is_active:
        return Step(file, Action.BRING_BACK, config, current, compare(current, config))
    if draft_of(config) == draft_of(current):
        return Step(file, Action.UNCHANGED, current, current)
    return Step(file, Action.UPDATE, config, current, compare(current, config))


def summary(steps: Sequence[Step]) -> str:
    """`1 to create, 2 to update (1 breaking), 3 unchanged`."""
    counts = Counter(step.action for step in steps)
    breaking = sum(step.is_breaking for step in steps)
    said = {Action.UNCHANGED: "unchanged"}
    parts = [f"{counts[action]} {said.get(action, f'to {action.value}')}" for action in Action if counts[action]]
    return ", ".join(parts) + (f"; {breaking} breaking" if breaking else "")


def candidate_of(step: Step) -> dict[str, Any]:
    """The step's config as the body of a preview."""
    plain: dict[str, Any] = msgspec.to_builtins(draft_of(step.config))
    return {"config": {name: part for name, part in plain.items() if name not in ("tenant_id", "scenario_id")}}
