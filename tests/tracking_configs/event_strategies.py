"""Configs and events as hypothesis draws them: most of them good or nearly so."""

from typing import Any

from hypothesis import strategies as st

from tests.tracking_configs.factories import make_config, make_field
from tracking_configs.checks import check_config
from tracking_configs.model import FieldSpec, TrackingConfig, draft_of

ACTIONS = ("click", "play", "spin")
WORDS = ("", "a", "ab", "abc", "B", "ß", "标准", "x" * 9)
PATTERNS = ("^a", "b", "^[A-Z]{1,2}", "^a?b*c+$")  # RE2 and Python's re mean the same by these

numbers = st.one_of(
    st.integers(-3, 6),
    st.sampled_from([0.5, 1.0, 3.0, -0.0, 2.5, 2**53, -(2**63), 2**63 - 1, 2**63, -(2**63) - 1, 1e19, 1e300]),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, st.sampled_from(WORDS))
values = st.one_of(scalars, st.lists(scalars, max_size=4), st.dictionaries(st.sampled_from(WORDS), scalars, max_size=3))


@st.composite
def bounds(draw: st.DrawFn, low: str, high: str, of: st.SearchStrategy[Any]) -> dict[str, Any]:
    pair = sorted([draw(of), draw(of)])
    return {low: draw(st.sampled_from([None, pair[0]])), high: draw(st.sampled_from([None, pair[1]]))}


@st.composite
def fields(draw: st.DrawFn, name: str) -> FieldSpec:
    kind = draw(st.sampled_from(["integer", "number", "string", "boolean", "array", "object", "enum", "int_enum"]))
    required_for = draw(st.sampled_from([(), (), ACTIONS[:1], ACTIONS[1:]]))
    parts: dict[str, Any] = {"required": bool(required_for) or draw(st.booleans()), "required_for": required_for}
    if kind == "integer":
        parts |= draw(bounds("min_value", "max_value", st.integers(-2, 5)))
    elif kind == "number":
        parts |= draw(bounds("min_value", "max_value", st.sampled_from([-1, 0, 0.5, 2.5, 3])))
    elif kind == "string":
        parts |= draw(bounds("min_length", "max_length", st.integers(0, 4)))
        parts["pattern"] = draw(st.sampled_from([None, *PATTERNS]))
    elif kind in ("array", "object"):
        parts["item_type"] = draw(st.sampled_from([None, "integer", "number", "string", "boolean", "object"]))
        parts |= draw(bounds("min_length", "max_length", st.integers(0, 3))) if kind == "array" else {}
    elif kind == "enum":
        parts |= {
            "enum_values": ("a", "standard", ""),
            "enum_aliases": draw(st.sampled_from([{}, {"标准": "standard"}])),
        }
        kind = "string"
    elif kind == "int_enum":
        parts["enum_values"] = (0, 1, 3)
        kind = "integer"
    return make_field(name, kind, **parts)


@st.composite
def configs(draw: st.DrawFn) -> TrackingConfig:
    names = draw(st.lists(st.sampled_from(["alpha", "beta", "class", "payload", "f0"]), unique=True, max_size=4))
    config = make_config(
        scenario_type=draw(st.sampled_from(["custom", "video"])),
        fields=[draw(fields(name)) for name in names],
        actions=["spin"],
    )
    check_config(draft_of(config))
    return config


@st.composite
def events(draw: st.DrawFn, config: TrackingConfig) -> dict[str, Any]:
    body: dict[str, Any] = {
        "event_id": "evt_1",
        "tenant_id": "acme",
        "scenario_id": config.scenario_id,
        "user_id": "u1",
        "item_id": "i1",
        "action_type": draw(st.sampled_from([*ACTIONS, "purchase"])),
        "timestamp": 1_700_000_000_000,
        "context": {"device_type": "mobile"},
    }
    names = [field.field_name for field in config.fields] + ["undeclared"]
    payload = draw(st.dictionaries(st.sampled_from(names), values, max_size=5))
    key = "custom_data" if config.scenario_type == "custom" else f"{config.scenario_type}_data"
    data = draw(st.sampled_from([{key: payload}, {key: payload}, {key: payload}, None, {"news_data": payload}]))
    return body | ({"scenario_data": data} if data is not None else {})


BASE_VALUES: dict[str, list[Any]] = {
    "event_id": ["", "e", "e" * 257, 5, None],
    "tenant_id": ["acme", "Acme", "health", 7, None],
    "scenario_id": ["feed", "none", "", "s" * 129, 3, None],
    "user_id": ["u", "", "u" * 256, "u" * 257, [], None],
    "action_type": ["click", "levitate", "", 1, None],
    "timestamp": [1_700_000_000_000, 1_700_000_000_000.0, 1_700_000_000_000.5, "now", 12, 2**70, None],
    "context": [{"device_type": "pc"}, {"device_type": "desktop"}, {"device_type": "tv"}, {"os": 1}, {}, [], None],
    "position": [0, 3, 3.0, -1, 2**63, "1", True, None],
    "experiment_id": ["", "x", "x" * 257, 1, None],
    "scenario_data": [{}, {"custom_data": {}}, {"custom_data": 1}, {"video_data": {}, "x": 1}, {"x": {}}, [], None],
    "extra_data": [{}, {"a": [1]}, [], "x", None],
    "surplus": [1, None],
}
