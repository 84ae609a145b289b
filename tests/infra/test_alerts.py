"""The alert rules: promtool takes them and their tests, and they speak of metrics and pages that exist."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.metrics import MetricWrapperBase

from infra.platform import ROLES
from infra.stack.native import fetch_promtool, promtool_binary
from schemas import metrics
from tests.conftest import NATIVE_MISSING, unavailable

ROOT = Path(__file__).parents[2]
RULES = ROOT / "infra" / "prometheus"
SEVERITIES = {"p0", "p1", "p2", "warning"}
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
LABELS_OF_A_SCRAPE = {"job", "instance", "role"}


def read(name: str) -> Any:
    return yaml.safe_load((RULES / name).read_text())


def rules() -> list[dict[str, Any]]:
    return [rule for group in read("alerts.yml")["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def declared() -> dict[str, set[str]]:
    """Each sample that a metric of ours makes -> its labels."""
    found: dict[str, set[str]] = {}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            for suffix in SUFFIXES[str(metric._type)]:
                found[metric._name + suffix] = {*metric._labelnames, *(["le"] if suffix == "_bucket" else [])}
    return found


def promtool(*words: str, page: str | None = None) -> "subprocess.CompletedProcess[str]":
    binary = promtool_binary()
    if binary is None:
        unavailable("native", NATIVE_MISSING)
    return subprocess.run([str(binary), *words], cwd=RULES, input=page, capture_output=True, text=True, check=False)


@pytest.mark.native
@pytest.mark.parametrize(
    "words",
    [
        ("check", "rules", "alerts.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_finds_nothing_wrong(words: tuple[str, ...]) -> None:
    done = promtool(*words)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.native
def test_what_a_process_exports_is_what_prometheus_reads() -> None:
    done = promtool("check", "metrics", page=generate_latest().decode())
    assert "error while linting" not in done.stderr, done.stderr


@pytest.mark.native
def test_promtool_is_fetched_once() -> None:
    if promtool_binary() is None:
        unavailable("native", NATIVE_MISSING)
    assert fetch_promtool().startswith("promtool: already there")


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    cases = [case for test in read("alerts_test.yml")["tests"] for case in test["alert_rule_test"]]
    firing = {case["alertname"] for case in cases if case.get("exp_alerts")}
    silent = {case["alertname"] for case in cases if not case.get("exp_alerts")}
    assert firing == silent == alerts().keys()


@pytest.mark.parametrize("name", alerts())
def test_an_alert_says_how_bad_how_long_what_and_where_to_read_on(name: str) -> None:
    rule = alerts()[name]
    assert rule["labels"]["severity"] in SEVERITIES
    assert re.fullmatch(r"\d+m", rule["for"])
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook"] == f"docs/alerts.md#{name.lower()}"


def test_the_page_has_each_alert_with_its_severity_and_no_other() -> None:
    page = (ROOT / "docs" / "alerts.md").read_text()
    told = dict(re.findall(r"^## (Millrace\w+)\n\*\*(\w+)\*\*", page, re.MULTILINE))
    assert told == {name: rule["labels"]["severity"] for name, rule in alerts().items()}


def test_the_rules_name_only_metrics_that_exist() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    known, named = declared(), set()
    for rule in rules():
        named |= set(re.findall(r"(?<![\w:])(?:rec|millrace)[_:][\w:]+", rule["expr"]))
    assert named
    assert not named - known.keys() - recorded


def test_the_rules_ask_only_for_labels_that_a_metric_has() -> None:
    known = declared()
    for rule in rules():
        for name, selector in re.findall(r"(?<![\w:])((?:rec|millrace)_\w+)\{([^}]*)\}", rule["expr"]):
            assert set(re.findall(r"(\w+)\s*[=!]", selector)) <= known[name] | LABELS_OF_A_SCRAPE, name


def test_every_role_is_scraped_under_its_name() -> None:
    (job,) = read("prometheus.yml")["scrape_configs"]
    assert job["job_name"] == "millrace"
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    targets = {config["labels"]["role"]: config["targets"] for config in job["static_configs"]}
    assert targets.keys() == ROLES.keys()
    for role, addresses in targets.items():
        service, port = addresses[0].split(":")
        own = compose[service]["environment"]["MILLRACE_METRICS_PORT"]
        assert (service, port) == (role, "8080" if own == "0" else own)


def test_where_the_native_stack_is_required_a_missing_promtool_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.infra.test_alerts.promtool_binary", lambda: None)
    monkeypatch.setitem(os.environ, "MILLRACE_TEST_REQUIRE_NATIVE", "1")
    with pytest.raises(pytest.fail.Exception, match="make native"):
        promtool("--version")
