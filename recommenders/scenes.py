"""A tenant's pipeline file: its scenes, and the parts that make their lists. Read into frozen models.

A tenant without a file of its own has `default.yaml`, of the directory if there is one, else the built-in.
"""

from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

BUILT_IN_DIR: Final = Path(__file__).parent / "pipelines"
EVERY_SCENARIO: Final = "*"


class PipelineFileError(ValueError):
    """A pipeline file that cannot be used; the message names the file and what is wrong in it."""

    def __init__(self, file: str, why: str) -> None:
        super().__init__(f"{file}: {why}")
        self.file = file
        self.why = why


class Scene(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A place where recommendations are shown."""

    name: str
    scenarios: tuple[str, ...]
    categories: frozenset[str] = frozenset()

    def is_fed_by(self, scenario: str) -> bool:
        return EVERY_SCENARIO in self.scenarios or scenario in self.scenarios


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One part of the pipeline, by its name in the registry. `scenes`: where it is on; none: everywhere."""

    part: str
    budget_ms: float = 5.0
    enabled: bool = True
    scenes: frozenset[str] = frozenset()


class SourcePart(Part, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A source. `quota`: its most candidates, 0: off; `weight`: of its recall scores in the weighted score."""

    quota: int
    weight: float = 1.0


class SelectorPart(Part, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The selector. `size`: candidates kept; `slots`: source -> places (from 0) sure to show its best."""

    size: int = 100
    slots: dict[str, tuple[int, ...]] = {}


class Pipeline(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A tenant's whole pipeline file."""

    default_scene: str
    scenes: tuple[Scene, ...]
    sources: tuple[SourcePart, ...]
    selector: SelectorPart
    query_hydrators: tuple[Part, ...] = ()
    hydrators: tuple[Part, ...] = ()
    filters: tuple[Part, ...] = ()
    scorers: tuple[Part, ...] = ()
    configured_items: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [scene.name for scene in self.scenes]
        _refuse_doubles("scene", names)
        for kind in (self.query_hydrators, self.sources, self.hydrators, self.filters, self.scorers):
            _refuse_doubles("part", [part.part for part in kind])
            for part in kind:
                _refuse_unknown(f"scene of part {part.part!r}", part.scenes, names)
        _refuse_unknown("default_scene", [self.default_scene], names)
        _refuse_unknown("source in the selector's slots", self.selector.slots, [part.part for part in self.sources])

    def scene(self, name: str) -> Scene | None:
        return next((scene for scene in self.scenes if scene.name == name), None)

    def scenes_fed_by(self, scenario: str) -> tuple[Scene, ...]:
        """The scenes whose lists an event of `scenario` renews."""
        return tuple(scene for scene in self.scenes if scene.is_fed_by(scenario))


def load_pipeline(tenant: str, pipelines_dir: Path | None = None) -> Pipeline:
    """The tenant's pipeline. Raises PipelineFileError, which names the file and the key that is wrong."""
    file = _file_of(tenant, pipelines_dir)
    return parse_pipeline(file.read_text(encoding="utf-8"), name=str(file.name))


def parse_pipeline(text: str, *, name: str) -> Pipeline:
    """The pipeline written in `text`; `name` stands in the error."""
    try:
        plain: Any = yaml.safe_load(text)
        return msgspec.convert(plain, Pipeline)
    except yaml.YAMLError as error:
        raise PipelineFileError(name, f"not YAML: {error}") from error
    except msgspec.ValidationError as error:
        raise PipelineFileError(name, str(error)) from error


def _file_of(tenant: str, pipelines_dir: Path | None) -> Path:
    wanted = [pipelines_dir / f"{tenant}.yaml", pipelines_dir / "default.yaml"] if pipelines_dir else []
    return next((file for file in wanted if file.is_file()), BUILT_IN_DIR / "default.yaml")


def _refuse_doubles(what: str, names: list[str]) -> None:
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise ValueError(f"{what} {doubles[0]!r} stands twice")


def _refuse_unknown(what: str, names: Any, known: list[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{what}: there is no {name!r}, only {', '.join(known) or 'none'}")
