"""Configs that a tenant may write and a generator of text may stumble over: keywords, odd values, hostile comments."""

from typing import Any

from hypothesis import strategies as st

from tests.tracking_configs.factories import make_config, make_field
from tracking_configs.checks import check_config
from tracking_configs.model import FieldSpec, TrackingConfig, draft_of

KEYWORDS = """
    as async await break case class companion const constructor continue data def default defer del dict do else enum
    except export extension false fileprivate finally float for from fun func function get global guard if import in
    init inner inout interface internal int is it lambda let list match module namespace new nil none nonlocal not null
    object open operator or package pass private protocol public raise readonly repeat rethrows return self set some
    static str string struct super switch this throw throws true try type typealias typeof undefined unknown val value
    var void when where while with yield
    raw_value hash_value string_value int_value hash_code to_string copy component1 keys items any bool optional event
    context payload action device scenario tenant json scenario_data a_b a__b ab a_b_ f0 x1 x_1
""".split()
NASTY = [
    *("", " ", "*/", "/*", "/**/", "*//*", '"""', "'''", "\\", "\\\\", '"', "'", "`", "``", "|", "\\|", "a|b", "<b>"),
    *("<script>alert(1)</script>", "&amp;", "${x}", "$x", "\\(x)", "@ts-ignore", "@deprecated", "type: ignore", "# x"),
    *("- x", "1. x", "> x", "    x", "---", "[a](javascript:1)", "![a](b)", "~~~", "```", "*a*", "_a_", "%s", "{}"),
    *(
        "a\nb",
        "a\r\nb",
        "\u2028",
        "\u202e",
        "\x00",
        "\x85",
        "\x1b[0m",
        "\u00a0",
        "\u200d",
        "😀",
        "👩‍👩‍👧",
        "標準",
        "é",
        "e\u0301",
    ),
    *(
        "360p",
        "2K",
        "2k",
        "2-k",
        "-1",
        "None",
        "none",
        "self",
        "Type",
        "init",
        "default",
        "rawValue",
        "EVENT",
        "\nEVENT\n",
    ),
]

texts = st.one_of(
    st.sampled_from(NASTY), st.lists(st.sampled_from(NASTY), max_size=4).map("".join), st.text(max_size=20)
)
names = st.one_of(st.sampled_from(KEYWORDS), st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True))
scenarios = st.one_of(
    st.sampled_from(["feed", "24h", "class", "typed", "coding", "a b", '"', "\\", "'; ls '", "標準"]), texts
).filter(lambda text: 1 <= len(text) <= 128 and "/" not in text and text.isprintable())
patterns = st.sampled_from(["^[A-Z]{3}$", "text", "a|b", "`x`", "/[*]", '"'])
integers = st.integers(-(2**63), 2**63 - 1)


@st.composite
def bounds(draw: st.DrawFn, low: str, high: str, of: st.SearchStrategy[Any]) -> dict[str, Any]:
    pair = sorted([draw(of), draw(of)])
    return {low: draw(st.sampled_from([None, pair[0]])), high: draw(st.sampled_from([None, pair[1]]))}


@st.composite
def rules(draw: st.DrawFn, kind: str, with_patterns: bool) -> dict[str, Any]:
    match kind:
        case "integer":
            return draw(bounds("min_value", "max_value", st.integers(-(2**63) + 1, 2**63 - 1)))
        case "number":
            return draw(bounds("min_value", "max_value", st.floats(-1e18, 1e18)))
        case "string":
            pattern = draw(st.none() | patterns) if with_patterns else None
            return {"pattern": pattern} | draw(bounds("min_length", "max_length", st.integers(0, 40)))
        case "array":
            return draw(bounds("min_length", "max_length", st.integers(0, 3))) | draw(item_types)
        case "object":
            return draw(item_types)
        case "enum":
            values = draw(st.lists(texts, min_size=1, max_size=6, unique=True))
            aliases = [alias for alias in draw(st.lists(texts, max_size=2)) if alias not in values]
            return {"enum_values": values, "enum_aliases": dict.fromkeys(aliases, values[0])}
        case "integer_enum":
            return {"enum_values": draw(st.lists(integers | st.integers(-2, 2), min_size=1, max_size=4, unique=True))}
        case _:
            return {}


item_types = st.fixed_dictionaries(
    {"item_type": st.sampled_from([None, "integer", "number", "string", "boolean", "object"])}
)
FIELD_TYPES = {"enum": "string", "integer_enum": "integer"}


@st.composite
def fields(draw: st.DrawFn, name: str, with_patterns: bool) -> FieldSpec:
    kinds = ["integer", "number", "string", "boolean", "array", "object", "enum", "enum", "integer_enum"]
    kind = draw(st.sampled_from(kinds))
    required_for = draw(st.sampled_from([[], [], ["click"], ["click", "spin"]]))
    parts = draw(rules(kind, with_patterns))
    parts = {key: tuple(value) if isinstance(value, list) else value for key, value in parts.items()}
    required = bool(required_for) or draw(st.booleans())
    parts |= {"required": required, "required_for": tuple(required_for), "description": draw(texts)}
    return make_field(name, FIELD_TYPES.get(kind, kind), **parts)


@st.composite
def nasty_configs(draw: st.DrawFn, with_patterns: bool = True) -> TrackingConfig:
    config = make_config(
        tenant_id=draw(st.sampled_from(["acme", "24-7", "a-b", "a_b"])),
        scenario_id=draw(scenarios.filter(lambda text: text.strip(" ."))),
        scenario_type=draw(st.sampled_from(["custom", "custom", "video"])),
        name=draw(texts.filter(lambda text: text and text.isprintable())),
        description=draw(texts),
        fields=[draw(fields(name, with_patterns)) for name in draw(st.lists(names, unique=True, max_size=8))],
        actions=["spin", *draw(st.lists(names.filter(lambda name: name != "spin"), unique=True, max_size=3))],
        enforcement=draw(st.sampled_from(["warn", "reject"])),
    )
    check_config(draft_of(config))
    return config


def keyword_config(**parts: Any) -> TrackingConfig:
    """A config whose fields, actions and enum values are every word that some language keeps for itself."""
    plain = [make_field(name, "string") for name in KEYWORDS]
    words = make_field(
        "words",
        "string",
        required=True,
        enum_values=tuple(dict.fromkeys([*KEYWORDS, *NASTY])),
        description="".join(NASTY),
    )
    levels = make_field("levels", "integer", enum_values=(-(2**63), -1, 0, 1, 2**63 - 1))
    return make_config(**{"fields": [words, levels, *plain], "actions": KEYWORDS} | parts)
