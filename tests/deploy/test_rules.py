"""Alert rules: each has what a person needs at night, a runbook, and a test in which it fires
and one in which it does not.
"""

import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.documents.metrics import declared, registries
from tests.deploy.tools import run

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RUNBOOKS = ROOT / "docs" / "runbooks.md"
RULES = sorted((PROMETHEUS / "rules").glob("*.yaml"))
TESTS = sorted((PROMETHEUS / "tests").glob("*.yaml"))
SECTIONS = ["Meaning", "Look at", "Do"]
SELECTOR = re.compile(r"\b([a-z_]\w*)\{|\b(\w+(?::\w+)+)\b")


def rules() -> Iterator[dict[str, Any]]:
    for path in RULES:
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            yield from group["rules"]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}


def metrics_of(expression: str) -> set[str]:
    """Names of metrics and recorded series in an expression; each stands before a `{` or holds a
    colon.
    """
    plain = re.sub(r'"[^"]*"', '""', expression)
    return {one or two for one, two in SELECTOR.findall(plain)}


@cache
def list_series() -> set[str]:
    """Return the series that a rule may ask for.

    They are the roles' metrics, what Prometheus adds, and what rules record.
    """
    found = {"up", "ALERTS", *(rule["record"] for rule in rules() if "record" in rule)}
    for registry in registries().values():
        for metric in declared(registry):
            ends = ("_bucket", "_sum", "_count") if metric.type == "histogram" else ("",)
            found |= {metric.name + end for end in ends}
    return found


@pytest.mark.parametrize("alert", ALERTS)
def test_alert_has_all_required_fields(alert: str) -> None:
    rule = ALERTS[alert]
    assert re.fullmatch(r"Ullage([A-Z][a-z]+)+", alert)
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["summary"].removesuffix("{{ end }}").endswith(".")
    assert rule["annotations"]["description"].removesuffix("{{ end }}").endswith(".")
    assert (
        rule["annotations"]["runbook_url"]
        == f"https://runbooks.example.com/ullage/runbooks.html#{alert.lower()}"
    )
    assert "for" in rule


@cache
def runbooks() -> dict[str, str]:
    """Return the sections of the runbook page by heading."""
    parts = re.split(r"^## (\w+)$", RUNBOOKS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("alert", ALERTS)
def test_runbook_has_its_sections_and_is_short(alert: str) -> None:
    text = runbooks()[alert]
    assert re.findall(r"^\*\*(.+?)\.\*\*", text, re.MULTILINE) == SECTIONS
    assert len(text.splitlines()) <= 40, "short enough to be read at night"
    for reason in reasons(alert):
        assert f"`{reason}`" in text, reason


def test_every_runbook_belongs_to_an_alert() -> None:
    assert list(runbooks()) == sorted(ALERTS)


def test_links_of_the_runbooks_lead_to_runbooks_and_documents() -> None:
    for path, anchor in re.findall(
        r"\]\(([^)#]*)#?([^)]*)\)", RUNBOOKS.read_text(encoding="utf-8")
    ):
        assert path or anchor in {alert.lower() for alert in ALERTS}, anchor
        assert (RUNBOOKS.parent / path).exists(), path


def test_number_of_rules_and_critical_alerts_is_limited() -> None:
    assert len(ALERTS) <= 28, (
        "make it a reason of a rule that there is: a `label_replace`, a case, and its word in the"
        " runbook"
    )
    assert sum(rule["labels"]["severity"] == "critical" for rule in ALERTS.values()) <= 10


def test_rules_use_only_exposed_metrics_of_our_job() -> None:
    known = list_series()
    for rule in rules():
        assert metrics_of(rule["expr"]) <= known, rule
        for selector in re.findall(r"\w\{([^}]*)\}", rule["expr"]):
            assert 'job="ullage"' in selector, rule


def test_recorded_series_are_named_by_level_metric_and_operation() -> None:
    for rule in rules():
        assert re.fullmatch(
            r"[a-z]+:ullage_[a-z_]+:[a-z0-9_]+", rule.get("record", "job:ullage_x:y")
        )


@cache
def read_tests() -> list[dict[str, Any]]:
    """Return every test of promtool's, of all files."""
    return [
        test for path in TESTS for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
    ]


def cases() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Alert and the firing that promtool's tests expect, case after case."""
    for test in read_tests():
        for case in test.get("alert_rule_test", ()):
            yield case["alertname"], case["exp_alerts"]


def test_every_alert_is_tested_to_fire_and_not_to_fire() -> None:
    tested: dict[str, set[bool]] = {}
    for alert, firing in cases():
        tested.setdefault(alert, set()).add(bool(firing))
    for alert in ALERTS:
        if alert == "UllageWatchdog":
            assert tested[alert] == {True}, "it always fires"
        else:
            assert tested.get(alert) == {
                True,
                False,
            }, f"{alert} needs a test in deploy/prometheus/tests"


def reasons(alert: str) -> list[str]:
    """List the faults that a rule tells apart by a label of its own."""
    return re.findall(
        r'"(?:reason|outcome|state)", "(\w+)", "", ""', " ".join(ALERTS[alert]["expr"].split())
    )


@pytest.mark.parametrize("alert", ALERTS)
def test_every_reason_of_an_alert_is_tested_to_fire(alert: str) -> None:
    fired = {
        value
        for name, firing in cases()
        if name == alert
        for one in firing
        for value in one["exp_labels"].values()
    }
    assert set(reasons(alert)) <= fired


def test_every_recorded_series_is_tested() -> None:
    asked = {case["expr"] for test in read_tests() for case in test.get("promql_expr_test", ())}
    assert {rule["record"] for rule in rules() if "record" in rule} <= asked


def test_prometheus_accepts_configuration_and_rules() -> None:
    done = run("promtool", "check", "config", PROMETHEUS / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"SUCCESS: {len(RULES)} rule files found" in done.stdout


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_rules_pass_their_tests(path: Path) -> None:
    done = run("promtool", "test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_changed_threshold_fails_its_test(tmp_path: Path) -> None:
    shutil.copytree(PROMETHEUS, tmp_path / "prometheus")
    rule_file = tmp_path / "prometheus" / "rules" / "roles.yaml"
    text = rule_file.read_text(encoding="utf-8")
    assert text.count("> 300") == 1
    rule_file.write_text(text.replace("> 300", "> 200"), encoding="utf-8")
    done = run("promtool", "test", "rules", tmp_path / "prometheus" / "tests" / "roles.yaml")
    assert done.returncode == 1
    assert "UllageServiceDown" in done.stdout + done.stderr
