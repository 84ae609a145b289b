"""How long judging takes: `python -m tests.bench.bench_judge`.

Each template's example event, by the config made from that template. Every figure is the best of RUNS short runs,
interleaved, in one process: what else the machine does only ever adds, so the least is nearest to the work itself.

Payload, from its bytes to an answer: ours decodes it, checks it and draws the signals; pydantic (a model such as one
would write by hand, strict) decodes and checks; jsonschema and jsonschema-rs take the exported schema's part for the
payload, and msgspec, which is the quickest, decodes for them; which fields the action needs stands elsewhere in that
schema, so they are spared looking.
Whole event, from its bytes: ours does everything (sizes, depth, base, context, payload, signals, the accepted Event);
pydantic has a model of the whole event with the payload's in it; jsonschema-rs the whole exported schema.
The slow path is given the clean event, and one with three things wrong: a field that is not declared, one of the wrong
type, and a required one missing. Compiling is of a config that shares nothing with one in use.
"""

import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

import jsonschema
import jsonschema_rs
import msgspec
from pydantic import BaseModel, ConfigDict, Field, create_model
from rich.console import Console
from rich.table import Table

from schemas.event import DeviceType, Event
from schemas.verdict import Rejected
from tests.tracking_configs.factories import encode, make_registry, on_topic, template_config
from tracking_configs.compiler import CompiledConfig, compile_config
from tracking_configs.json_schema import event_schema
from tracking_configs.judge import Judge
from tracking_configs.slow_path import judge_slowly
from tracking_configs.template import FieldSpec, load_templates

RUNS: Final = 60
RUN_S: Final = 0.002
PYTHON_TYPES: Final[dict[str, Any]] = {
    "integer": int,
    "number": float,
    "string": str,
    "boolean": bool,
    "array": list[Any],
    "object": dict[str, Any],
}
Calls = Mapping[str, Callable[[], object]]


def microseconds(calls: Calls) -> dict[str, float]:
    """Of one call of each."""
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(RUNS):
        for name, call in calls.items():
            least[name] = min(least[name], _run(call))
    return least


def _run(call: Callable[[], object]) -> float:
    calls, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < RUN_S:
        for _ in range(10):
            call()
        calls += 10
    return spent / calls * 1e6


def payload_model(compiled: CompiledConfig, action: str) -> type[BaseModel]:
    """What a team would write by hand for one action of this scenario."""

    def declared(spec: FieldSpec) -> Any:
        kind: Any = Literal[spec.enum_values] if spec.enum_values else PYTHON_TYPES[spec.field_type]
        bounded: Any = Annotated[kind, Field(ge=spec.min_value, le=spec.max_value, pattern=spec.pattern)]
        return (bounded, ...) if spec.field_name in compiled.required[action] else (bounded | None, None)

    return _model("Payload", {name: declared(spec) for name, spec in compiled.specs.items()})


def event_model(compiled: CompiledConfig, action: str) -> type[BaseModel]:
    """The same of the whole event."""
    text, number = Annotated[str, Field(min_length=1, max_length=256)], Annotated[int, Field(ge=0)]
    device: Any = Literal[tuple(device.value for device in DeviceType)]
    context = _model("Context", {"device_type": (device, ...)}, extra="allow")
    data = _model("ScenarioData", {compiled.payload_key: (payload_model(compiled, action), ...)})
    needed: dict[str, Any] = {
        **dict.fromkeys(("event_id", "tenant_id", "scenario_id", "user_id", "item_id"), text),
        **{"action_type": Literal[tuple(compiled.required)], "timestamp": number},
        **{"context": context, "scenario_data": data},
    }
    optional: dict[str, Any] = {
        **{"experiment_id": text, "experiment_group": text},
        **{"position": number, "extra_data": dict[str, Any]},
    }
    fields = {name: (kind, ...) for name, kind in needed.items()}
    return _model("Event", fields | {name: (kind | None, None) for name, kind in optional.items()})


def _model(title: str, fields: dict[str, Any], extra: Literal["forbid", "allow"] = "forbid") -> type[BaseModel]:
    config = ConfigDict(extra=extra, strict=True, protected_namespaces=())
    return create_model(title, __config__=config, **fields)


def with_three_problems(example: Mapping[str, Any], compiled: CompiledConfig) -> dict[str, Any]:
    payload: dict[str, Any] = dict(example["scenario_data"][compiled.payload_key])
    missing, *others = compiled.required[example["action_type"]]
    del payload[missing]
    wrong = next(iter(others or payload))
    return {**example, "scenario_data": {compiled.payload_key: payload | {wrong: {}, "surplus": 1}}}


def contenders(template_id: str) -> Calls:
    example = load_templates()[template_id].example
    compiled = compile_config(template_config(template_id))
    registry, arrival, action = make_registry(compiled.config), on_topic(), example["action_type"]
    judge, refusing = Judge(registry), frozenset[str]()
    value, bad = encode(example), encode(with_three_problems(example, compiled))
    data, payload = encode(example["scenario_data"]), encode(example["scenario_data"][compiled.payload_key])
    _expect_warnings(judge.judge(value, arrival), 0)
    _expect_warnings(judge.judge(bad, arrival), 3)
    whole = event_schema(compiled.config)
    part = whole["properties"]["scenario_data"]["properties"][compiled.payload_key]
    slow_part = jsonschema.Draft202012Validator(part)
    fast_part, fast_whole = jsonschema_rs.Draft202012Validator(part), jsonschema_rs.Draft202012Validator(whole)
    model, whole_model = payload_model(compiled, action), event_model(compiled, action)
    decode, raw = msgspec.json.decode, msgspec.Raw(data)
    return {
        "payload": lambda: compiled.read(action, raw),
        "payload, pydantic": lambda: model.model_validate_json(payload),
        "payload, jsonschema-rs": lambda: fast_part.is_valid(decode(payload)),
        "payload, jsonschema": lambda: slow_part.is_valid(decode(payload)),
        "event": lambda: judge.judge(value, arrival),
        "event, pydantic": lambda: whole_model.model_validate_json(value),
        "event, jsonschema-rs": lambda: fast_whole.is_valid(decode(value)),
        "slow path, clean": lambda: judge_slowly(value, arrival, registry, refusing),
        "slow path, 3 problems": lambda: judge_slowly(bad, arrival, registry, refusing),
    }


def _expect_warnings(verdict: Event | Rejected, count: int) -> None:
    if not isinstance(verdict, Event) or len(verdict.validation_warnings) != count:
        raise SystemExit(f"expected an event with {count} warnings: {verdict}")


def measure(template_id: str) -> dict[str, float]:
    """Microseconds by contender."""
    calls = contenders(template_id)
    if refusing := [name for name, call in calls.items() if not call()]:
        raise SystemExit(f"{template_id}: not taken by {', '.join(refusing)}")
    return microseconds(calls) | {"compile": _compile_us(template_id)}


def _compile_us(template_id: str) -> float:
    """With another half-life each time, so that nothing is shared."""
    configs = [template_config(template_id, hot_half_life_h=0.5 + hours) for hours in range(RUNS)]
    return min(_once(lambda config=config: compile_config(config)) for config in configs)  # type: ignore[misc]


def _once(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e6


def table_of(title: str, columns: list[str], figures: Mapping[str, Mapping[str, float]], *, compare: bool) -> Table:
    """Templates down, contenders across; compared, each has beside it how many times the first one's figure it is."""
    table = Table("template", title=f"{title}, microseconds, best of {RUNS} runs")
    for column in columns:
        table.add_column(column, justify="right")
    for template_id, row in figures.items():
        first, *others = (row[name] for name in columns)
        table.add_row(
            template_id,
            f"{first:.2f}",
            *(f"{other:.2f} ({other / first:.1f}x)" if compare else f"{other:.2f}" for other in others),
        )
    return table


def main() -> None:
    figures = {template_id: measure(template_id) for template_id in load_templates()}
    payload = ["payload", *(f"payload, {rival}" for rival in ("pydantic", "jsonschema-rs", "jsonschema"))]
    event = ["event", *(f"event, {rival}" for rival in ("pydantic", "jsonschema-rs"))]
    slow = ["slow path, clean", "slow path, 3 problems", "compile"]
    console = Console()
    console.print(table_of("The payload", payload, figures, compare=True))
    console.print(table_of("The whole event", event, figures, compare=True))
    console.print(table_of("Where something is wrong", slow, figures, compare=False))


if __name__ == "__main__":
    main()
