"""The configs of a file or folder, all read and checked before anything is asked of the platform."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from infra.configs.errors import ConfigsError
from infra.configs.file_form import Signature, parse_file
from infra.errors import OperatorError
from tracking_configs.errors import ConfigError, Problem
from tracking_configs.model import ConfigDraft
from tracking_configs.plain_text import parse_json, parse_yaml

SUFFIXES: Final = (".yaml", ".yml", ".json")
MAX_FILE_BYTES: Final = 1024 * 1024


class ConfigFilesError(ConfigsError):
    """Files that cannot be applied; each problem names its file, and the path in it."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n  ".join(("nothing was applied; correct these files:", *problems)))

    def as_dict(self) -> dict[str, Any]:
        return {"problems": list(self.problems)}


class ConfigFile(msgspec.Struct, frozen=True):
    """One file's config."""

    path: Path
    draft: ConfigDraft
    signature: Signature

    @property
    def key(self) -> tuple[str, str]:
        """Tenant and scenario."""
        return self.draft.tenant_id, self.draft.scenario_id


def read_configs(*named: Path) -> list[ConfigFile]:
    """The config of each file, and of every *.yaml, *.yml and *.json below each folder, in the order of their paths.

    What begins with a dot is passed over. Raises ConfigFilesError with everything that is wrong in any file, two for
    one scenario among it; OperatorError where one that is named holds nothing to read.
    """
    paths = [path for each in named for path in _files_of(each)]
    configs: list[ConfigFile] = []
    problems: list[str] = []
    for each in paths:
        try:
            configs.append(_read(each))
        except ConfigFilesError as error:
            problems += error.problems
    if problems := [*problems, *_doubles(configs)]:
        raise ConfigFilesError(problems)
    return configs


def _files_of(path: Path) -> Sequence[Path]:
    paths = [path] if path.is_file() else sorted(_below(path))
    if not paths:
        raise OperatorError(f"{path} is no file, and no folder with *.yaml, *.yml or *.json in it: name one")
    return paths


def _below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in SUFFIXES and not hidden and (path.is_file() or _is_dangling(path)):
            yield path


def _is_dangling(path: Path) -> bool:
    """Whether it is a link to nothing, which would else be passed over as if it were no file."""
    return path.is_symlink() and not path.exists()


def _read(path: Path) -> ConfigFile:
    try:
        draft, signature = parse_file(_value(path))
    except ConfigError as error:
        found: Sequence[Problem] = getattr(error, "problems", [Problem("", str(error))])
        raise ConfigFilesError([f"{path}: {field}{': ' if field else ''}{said}" for field, said in found]) from None
    except OSError as error:
        raise ConfigFilesError([f"{path}: {error.strerror}"]) from None
    except ValueError as error:
        why = "nested too deep" if isinstance(error.__context__, RecursionError) else str(error)
        raise ConfigFilesError([f"{path}: {why}"]) from None
    return ConfigFile(path, draft, signature)


def _value(path: Path) -> Any:
    """Raises OSError, or ValueError, saying what is wrong."""
    if _is_dangling(path):
        raise ValueError("a link to a file that is not there")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"larger than {MAX_FILE_BYTES} bytes")
    text = path.read_text("utf-8-sig")
    return parse_json(text) if path.suffix.lower() == ".json" else parse_yaml(text)


def _doubles(configs: Sequence[ConfigFile]) -> Iterator[str]:
    files = defaultdict(list)
    for config in configs:
        files[config.key].append(str(config.path))
    for (tenant, scenario), paths in files.items():
        if len(paths) > 1:
            yield f"{' and '.join(paths)}: two files for the config of {tenant}/{scenario}"
