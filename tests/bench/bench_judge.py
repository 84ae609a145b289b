"""How long judging takes: `python -m tests.bench.bench_judge`.

Each template's example event, clean, by its config. Medians of three runs, in one process and interleaved, so
that the ratios hold on a noisy machine. The judge does everything (sizes, base, context, signals, the accepted
Event); jsonschema and pydantic are given the payload alone, already taken out of the event.
"""

import statistics
import time
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

import jsonschema
import msgspec
from pydantic import BaseModel, ConfigDict, Field, create_model
from rich.console import Console
from rich.table import Table

from schemas.event import Event
from tests.tracking_configs.factories import encode, make_registry, on_topic, template_config
from tracking_configs.compiler import CompiledConfig, compile_config
from tracking_configs.json_schema import event_schema
from tracking_configs.judge import Judge
from tracking_configs.template import FieldSpec, load_templates

RUNS: Final = 3
RUN_S: Final = 0.1
PYTHON_TYPES: Final[dict[str, Any]] = {
    "integer": int,
    "number": float,
    "string": str,
    "boolean": bool,
    "array": list[Any],
    "object": dict[str, Any],
}


def nanoseconds(call: Callable[[], object]) -> float:
    """Of one call, over a run of about RUN_S."""
    calls, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < RUN_S:
        for _ in range(20):
            call()
        calls += 20
    return spent / calls * 1e9


def pydantic_model(compiled: CompiledConfig, action: str) -> type[BaseModel]:
    """What a team would write by hand for one action of this scenario."""

    def declared(spec: FieldSpec) -> Any:
        kind: Any = Literal[spec.enum_values] if spec.enum_values else PYTHON_TYPES[spec.field_type]
        bounded: Any = Annotated[kind, Field(ge=spec.min_value, le=spec.max_value, pattern=spec.pattern)]
        return (bounded, ...) if spec.field_name in compiled.required[action] else (bounded | None, None)

    fields = {name: declared(spec) for name, spec in compiled.specs.items()}
    config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())
    return create_model("Payload", __config__=config, **fields)


def contenders(template_id: str) -> dict[str, Callable[[], object]]:
    example = load_templates()[template_id].example
    compiled = compile_config(template_config(template_id))
    judge, arrival, action = Judge(make_registry(compiled.config)), on_topic(), example["action_type"]
    value, data = encode(example), msgspec.Raw(encode(example["scenario_data"]))
    payload = encode(example["scenario_data"][compiled.payload_key])
    part = event_schema(compiled.config)["properties"]["scenario_data"]["properties"][compiled.payload_key]
    schema, model = jsonschema.Draft202012Validator(part), pydantic_model(compiled, action)
    verdict = judge.judge(value, arrival)
    if not isinstance(verdict, Event) or verdict.validation_warnings:
        raise SystemExit(f"the example of {template_id} is not clean: {verdict}")
    return {
        "judge, whole event": lambda: judge.judge(value, arrival),
        "payload": lambda: compiled.read(action, data),
        "pydantic, payload": lambda: model.model_validate_json(payload),
        "jsonschema, payload": lambda: schema.is_valid(msgspec.json.decode(payload)),
    }


def measure(template_id: str) -> dict[str, float]:
    """Median ns a call, by contender."""
    calls = contenders(template_id)
    runs = [{name: nanoseconds(call) for name, call in calls.items()} for _ in range(RUNS)]
    return {name: statistics.median(run[name] for run in runs) for name in calls}


def main() -> None:
    table = Table(title=f"Judging one event, microseconds, median of {RUNS}")
    for column in ("template", "bytes", "judge, whole event", "payload", "pydantic, payload", "jsonschema, payload"):
        table.add_column(column, justify="left" if column == "template" else "right")
    for template_id, template in load_templates().items():
        figures = measure(template_id)
        size = len(encode(template.example))
        ratios = [f"{ns / 1000:.2f}" for name, ns in figures.items() if name in ("judge, whole event", "payload")]
        others = [
            f"{figures[name] / 1000:.2f} ({figures[name] / figures['payload']:.0f}x)"
            for name in ("pydantic, payload", "jsonschema, payload")
        ]
        table.add_row(template_id, str(size), *ratios, *others)
    Console().print(table)


if __name__ == "__main__":
    main()
