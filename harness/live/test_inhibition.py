"""What a real Alertmanager holds back while something graver fires, and what it does not."""

import json
import urllib.parse
from collections.abc import Iterator

import pytest

from deploy.local.webhook import receiving
from harness.live.quick import alertmanager_file
from harness.servers.monitoring import alertmanager
from tests.deploy.test_rules import ALERTS
from tests.deploy.tools import run
from tests.flow.daemon import page, until

pytestmark = pytest.mark.live

EGRESS = "UllageCollectionStopped job=one instance=i reason=egress"
CRAWL_DOWN = "UllageServiceDown job=two role=crawl reason=down"
MATCH_DOWN = "UllageServiceDown job=three role=match reason=down"
BUS_DOWN = "UllageDependencyDown job=four role=alert dependency=bus"
PRESSING = "UllageDeadlinePressing job=five tenant=a regime=r"
PAUSED = "UllageCollectionStopped job=seven role=crawl instance=i reason=paused"
NO_CANARY = "UllageDetectionLate job=eight reason=canary"
SOURCES = (EGRESS, CRAWL_DOWN, MATCH_DOWN, BUS_DOWN, PRESSING, PAUSED, NO_CANARY)
HELD_BACK = (
    "UllageSiteFailing job=one instance=i site=x state=blocked",
    "UllageSiteFailing job=one instance=i site=x state=not_seen",
    "UllageSiteQuiet job=one instance=i site=x state=quiet",
    "UllageCoverageGap job=one reason=nothing_new",
    "UllageSiteFailing job=two instance=i site=x state=unreachable",
    "UllageInstanceDown job=two role=crawl instance=i reason=down",
    "UllageServiceDown job=two role=crawl instance=i reason=stalled",
    "UllageDetectionLate job=three stage=match origin=o reason=heartbeat",
    "UllageDetectionSlow job=three role=match reason=match_lag",
    "UllageServiceDown job=four role=alert instance=i reason=stalled",
    "UllageDetectionLate job=four role=alert reason=alert_lag",
    "UllageDetectionLate job=four stage=alert origin=o reason=heartbeat",
    "UllageDetectionLate job=four reason=canary",
    "UllageSiteFailing job=seven instance=i site=x state=not_seen",
    "UllageDetectionSlow job=seven role=match reason=match_lag",
    "UllageDetectionSlow job=eight reason=canary_1h",
    "UllageDeadlineDueSoon job=five tenant=a regime=r",
)
LET_THROUGH = (
    "UllageFileNotLoaded job=one role=crawl instance=i reason=site_file",
    "UllageCoverageGap job=one reason=unexplained",
    "UllageSiteFailing job=one instance=another site=x state=blocked",
    "UllageSiteFailing job=seven instance=another site=x state=not_seen",
    "UllageSiteFailing job=seven instance=i site=y state=blocked",
    "UllageServiceDown job=two role=match instance=i reason=stalled",
    "UllageInstanceDown job=two role=crawl reason=no_target",
    "UllageDetectionLate job=three role=alert reason=alert_lag",
    "UllageIncidentUnacknowledged job=one tenant=a reason=statutory",
    "UllageDeadlineDueSoon job=five tenant=b regime=r",
)


@pytest.fixture(scope="module")
def states(monitoring: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Fire all of these alerts together and return the state that Alertmanager gives each."""
    work = tmp_path_factory.mktemp("inhibition")
    with (
        receiving() as receiver,
        alertmanager(work, alertmanager_file(work / "alertmanager.yml", receiver.url)) as url,
    ):
        for alert in (*SOURCES, *HELD_BACK, *LET_THROUGH):
            name, *labels = alert.split()
            result = run(
                "amtool", f"--alertmanager.url={url}", "alert", "add", f"alertname={name}", *labels
            )
            assert result.returncode == 0, result.stderr
        until(lambda: "unprocessed" not in list_states(url).values(), "all are judged", 30)
        yield list_states(url)


def list_states(url: str) -> dict[str, str]:
    alerts_ = json.loads(
        page(
            f"{url}/api/v2/alerts?{urllib.parse.urlencode({'active': 'true', 'inhibited': 'true'})}"
        )
    )
    return {key(alert["labels"]): alert["status"]["state"] for alert in alerts_}


def key(labels: dict[str, str]) -> str:
    labels_ = sorted(f"{name}={value}" for name, value in labels.items() if name != "alertname")
    return " ".join([labels["alertname"], *labels_])


def tidy(alert: str) -> str:
    name, *labels = alert.split()
    return " ".join([name, *sorted(labels)])


@pytest.mark.parametrize("alert", HELD_BACK)
def test_consequence_of_a_more_severe_alert_is_inhibited(
    states: dict[str, str], alert: str
) -> None:
    assert states[tidy(alert)] == "suppressed"


@pytest.mark.parametrize("alert", [*SOURCES, *LET_THROUGH])
def test_independent_fault_is_notified(states: dict[str, str], alert: str) -> None:
    assert states[tidy(alert)] == "active"


def test_alerts_of_the_test_exist(states: dict[str, str]) -> None:
    assert {name.split()[0] for name in states} <= set(ALERTS)
