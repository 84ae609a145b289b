"""Writes the parts of docs/ that repeat what stands in code: `python -m tests.generated` (make generate)."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from infra.settings import settings_table
from ingest_api.api_codes import ApiCode
from schemas import metrics
from schemas.verdict import Code
from tracking_configs.errors import ConfigError
from tracking_configs.template import Template, load_templates

DOCS = Path(__file__).parents[1] / "docs"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def config_errors() -> list[type[ConfigError]]:
    return sorted(ConfigError.__subclasses__(), key=lambda error: (error.status, error.code))


def codes() -> str:
    rows = [(f"`{code.value}`", code.meaning) for code in Code]
    numbers = [(str(code.value), code.meaning) for code in ApiCode]
    of_configs = [
        (f"`{error.code}`", str(error.status), (error.__doc__ or "").splitlines()[0]) for error in config_errors()
    ]
    return (
        "# Codes\n\nOf errors and warnings about events, the same at every door and in dead letters:\n\n"
        + table(("code", "meaning"), rows)
        + "\nOf refused calls about tracking configs:\n\n"
        + table(("code", "status", "meaning"), of_configs)
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
        parts.append("\n" + interest(template))
    return "".join(parts)


def interest(template: Template) -> str:
    positive, dwell = template.positive, template.dwell
    bounds = {"completion": positive.min_completion, "dwell in s": positive.min_dwell_s}
    at_least = "".join(f", {name} at least {bound:g}" for name, bound in bounds.items() if bound is not None)
    mix = ", ".join(f"{source} {share.quota} (x {share.weight:g})" for source, share in template.recall_mix.items())
    return (
        f"Positive: {', '.join(positive.actions)}{at_least}. "
        f"Hot half-life {template.hot_half_life_h:g} h, session gap {template.session_gap_min} min. "
        f"Dwell: {f'{dwell.field} in {dwell.unit}' if dwell else 'none'}; "
        f"completion: {template.completion_field or 'none'}; "
        f"categories: {', '.join(template.category_fields) or 'none'}. Recall: {mix}.\n"
    )


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
