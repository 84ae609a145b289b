"""Writes the parts of docs/ that repeat what stands in code: `python -m tests.generated` (make generate)."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from infra.settings import settings_table
from ingest_api.api_codes import ApiCode
from schemas import metrics
from schemas.verdict import Code
from tracking_configs.template import load_templates

DOCS = Path(__file__).parents[1] / "docs"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def codes() -> str:
    rows = [(f"`{code.value}`", code.meaning) for code in Code]
    numbers = [(str(code.value), code.meaning) for code in ApiCode]
    return (
        "# Codes\n\nOf errors and warnings about events, the same at every door and in dead letters:\n\n"
        + table(("code", "meaning"), rows)
        + "\nOf answers `{code, message, data, trace_id}`: 0 is success, 1xxxx the system, 2xxxx the call, "
        + "3xxxx models (none yet).\n\n"
        + table(("code", "meaning"), numbers)
    )


def metric_names() -> str:
    declared = [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]
    rows: list[tuple[str, str, str, str]] = [
        (
            f"`{m._name}{'_total' if m._type == 'counter' else ''}`",
            str(m._type),
            ", ".join(m._labelnames) or "-",
            m._documentation,
        )
        for m in declared
    ]
    return "# Metrics\n\nAt `/metrics` of every process.\n\n" + table(("name", "kind", "labels", "meaning"), rows)


def templates() -> str:
    parts = ["# Scenario templates\n\n`r:` names the actions for which a field is required.\n"]
    for template in load_templates().values():
        rows = [
            (f"`{f.field_name}`", str(f.field_type), ", ".join(f.required_for) or "-", str(f.description))
            for f in template.fields
        ]
        actions = ", ".join(f"{action} ({weight:g})" for action, weight in template.actions.items())
        parts.append(f"\n## {template.id}\n\nActions (weight): {actions}\n\n")
        parts.append(table(("field", "type", "r:", "meaning"), rows))
    return "".join(parts)


def settings() -> str:
    return (
        "# Settings\n\nEnvironment variables, or lines of the file named by `MILLRACE_SETTINGS_FILE`.\n\n"
        + settings_table()
    )


GENERATED: dict[str, Callable[[], str]] = {
    "codes.md": codes,
    "metrics.md": metric_names,
    "templates.md": templates,
    "settings.md": settings,
}

if __name__ == "__main__":
    for name, make in GENERATED.items():
        (DOCS / name).write_text(make())
