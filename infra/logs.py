"""Logging: structlog to stderr, one line an event, JSON or for the eye; stdout is left to commands' answers.

What libraries log through the standard logging module comes out in the same form, and only from WARNING on.
Bind what belongs to the work at hand with `structlog.contextvars.bind_contextvars(tenant=..., trace_id=...)`.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import structlog
from opentelemetry import trace
from structlog.typing import Processor

from infra.dsn import redact
from infra.settings import Settings

_HIDDEN: Final = "***"
_SECRET_NAME: Final = re.compile(r"pass(word|wd)?$|secret|token$|api_?key|authorization|credential", re.IGNORECASE)
_QUIET: Final = ("faust", "mode", "aiokafka", "kafka", "uvicorn", "asyncio", "pymongo", "clickhouse_connect", "httpx")


def configure_logging(settings: Settings, *, role: str) -> None:
    """Set up logging of the whole process; `role` names it in every line. May be called again."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_trace_id,
        hide_secrets,
    ]
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(settings.log_format)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(max(level, logging.WARNING))
    structlog.contextvars.bind_contextvars(role=role)


def _rendering(log_format: str) -> list[Processor]:
    if log_format == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    colours = sys.stderr.isatty()
    return [structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)]


def add_trace_id(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The id of the current span's trace, where there is one and the line names none."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        line.setdefault("trace_id", format(context.trace_id, "032x"))
    return line


def hide_secrets(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Values under a secret's name are hidden, and so is the password inside a DSN."""
    for name, value in line.items():
        if _SECRET_NAME.search(name):
            line[name] = _HIDDEN
        elif isinstance(value, str) and "://" in value:
            line[name] = redact(value)
    return line
