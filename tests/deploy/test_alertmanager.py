"""Who hears of which alert: every one that the rules can raise goes to exactly the receiver that
its severity says.
"""

import re
from pathlib import Path

import pytest
import yaml

from tests.deploy.test_rules import ALERTS, cases
from tests.deploy.tools import run

FILE = Path(__file__).parents[2] / "deploy" / "alertmanager" / "alertmanager.yml"
CONFIGURATION = yaml.safe_load(FILE.read_text(encoding="utf-8"))
LEGAL = ("UllageIncidentUnacknowledged", "UllageDeadline")
MATCHER = re.compile(r'^(\w+) (=~|!=|=) "?([^"]+)"?$')


def receiver(alert: str, severity: str) -> str:
    """Return where an alert must go."""
    if alert == "UllageWatchdog":
        return "watchdog"
    if alert.startswith(LEGAL):
        return "officer"
    return {"critical": "pager", "warning": "desk", "info": "digest"}[severity]


def test_alertmanager_accepts_its_configuration() -> None:
    done = run("amtool", "check-config", FILE)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("severity", ["critical", "warning", "info"])
def test_each_severity_has_its_receiver(severity: str) -> None:
    done = run(
        "amtool",
        "config",
        "routes",
        "test",
        f"--config.file={FILE}",
        "alertname=UllageAnything",
        f"severity={severity}",
    )
    assert done.stdout.strip() == receiver("UllageAnything", severity)


@pytest.mark.parametrize(
    "alert",
    [a for a in ALERTS if a.startswith(LEGAL) or a in {"UllageWatchdog", "UllageServiceDown"}],
)
def test_alert_reaches_only_its_receiver(alert: str) -> None:
    severity = ALERTS[alert]["labels"]["severity"]
    words = (
        f"--verify.receivers={receiver(alert, severity)}",
        f"alertname={alert}",
        f"severity={severity}",
        "job=ullage",
    )
    done = run("amtool", "config", "routes", "test", f"--config.file={FILE}", *words)
    assert done.returncode == 0, done.stdout


def test_wrong_receiver_is_detected() -> None:
    words = ("--verify.receivers=desk", "alertname=UllageServiceDown", "severity=critical")
    assert (
        run("amtool", "config", "routes", "test", f"--config.file={FILE}", *words).returncode == 1
    )


def matching(matchers: list[str]) -> list[dict[str, str]]:
    """Labels of the alerts that the promtool tests expect and that `matchers` select."""
    parts = [MATCHER.fullmatch(matcher).groups() for matcher in matchers]
    fired = [{"alertname": name, **one["exp_labels"]} for name, firing in cases() for one in firing]
    return [labels for labels in fired if all(holds(*part, labels) for part in parts)]


def holds(label: str, operator: str, value: str, labels: dict[str, str]) -> bool:
    has = labels.get(label, "")
    return (
        re.fullmatch(value, has) is not None
        if operator == "=~"
        else (has == value) is (operator == "=")
    )


@pytest.mark.parametrize(
    "rule", CONFIGURATION["inhibit_rules"], ids=lambda rule: " ".join(rule["source_matchers"])
)
def test_inhibition_relates_different_alerts_that_share_its_labels(
    rule: dict[str, list[str]],
) -> None:
    source, target = matching(rule["source_matchers"]), matching(rule["target_matchers"])
    assert source
    assert target
    assert not [labels for labels in source if labels in target], "an alert would hold itself back"
    for labels in source + target:
        assert set(rule["equal"]) <= set(labels), labels


def test_addresses_are_placeholders_and_contain_no_secret() -> None:
    urls = re.findall(r"https?://\S+", FILE.read_text(encoding="utf-8"))
    assert len(urls) == len(CONFIGURATION["receivers"])
    assert all(re.fullmatch(r"https://hooks\.example\.com/ullage/[a-z]+", url) for url in urls)
