"""Which platform a command talks to: the settings' servers, else a `millrace up` that runs under the data directory."""

import json
import os
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from infra.errors import OperatorError
from infra.settings import DSNS, Settings, load_settings

ENDPOINTS_FILE: Final = "endpoints.json"

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Where `millrace up` keeps its data.", show_default=".millrace")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


class Running(msgspec.Struct, frozen=True):
    """A platform's addresses, as `millrace up` writes them: URLs, or host:port for gRPC and Kafka."""

    http: str
    grpc: str
    kafka: str
    redis: str
    clickhouse: str
    mongo: str
    pid: int = 0

    def dsns(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in DSNS}


def read_endpoints(path: Path) -> Running:
    """Raises OperatorError when the file is absent or is not what `millrace up` writes."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Running)
    except FileNotFoundError as error:
        raise OperatorError(f"{path} does not exist: start the platform with `millrace up`") from error
    except (OSError, msgspec.MsgspecError) as error:
        raise OperatorError(f"{path} is not what `millrace up` writes ({error}): name another file") from error


def find_running(data_dir: Path) -> Running | None:
    """The platform that runs with its data in that directory; None where there is none, or it has ended."""
    path = data_dir / ENDPOINTS_FILE
    if not path.is_file():
        return None
    running = read_endpoints(path)
    return running if _is_alive(running.pid) else None


def cli_settings(data_dir: Path | None) -> tuple[Settings, Running | None]:
    """The settings of a command, its DSNs taken from a running platform where the settings name none.

    Raises OperatorError where a data directory is given, by option or variable, and no platform runs there: whoever
    names one means that one, and not the servers that the settings name.
    """
    settings = load_settings()
    named = data_dir is not None or "data_dir" in settings.model_fields_set
    where = data_dir or settings.data_dir
    running = find_running(where)
    if named and running is None:
        raise OperatorError(
            f"no platform runs with its data in {where}: name another by --data-dir or MILLRACE_DATA_DIR,"
            " or start one there"
        )
    return load_settings(running.dsns() if running else None), running


def http_url(settings: Settings, running: Running | None) -> str:
    """Where the HTTP door is: as a running platform says, or as the settings say."""
    return running.http if running is not None else f"http://{settings.http_host}:{settings.http_port}"


def print_json(value: Any) -> None:
    """One line of JSON on stdout."""
    typer.echo(json.dumps(value, ensure_ascii=False, default=str))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0
