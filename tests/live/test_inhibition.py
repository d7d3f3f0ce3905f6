"""What a real Alertmanager holds back while something graver fires, and what it does not."""

import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.monitoring import alertmanager
from deploy.local.webhook import receiving
from tests.deploy.tools import run
from tests.flow.daemon import page, until
from tests.live.quick import alertmanager_file

pytestmark = pytest.mark.live

EGRESS, CRAWL_DOWN = "UllageEgressDown job=one instance=i", "UllageRoleDown job=two role=crawl"
MATCH_DOWN, BUS_DOWN = "UllageRoleDown job=three role=match", "UllageDependencyDown job=four role=alert dependency=bus"
PRESSING, EXPIRED = "UllageNotificationDutyPressing job=five tenant=a regime=r", "UllageWatchlistExpired job=six tenant=a"
PAUSED = "UllageCrawlPaused job=seven role=crawl instance=i"
SOURCES = (EGRESS, CRAWL_DOWN, MATCH_DOWN, BUS_DOWN, PRESSING, EXPIRED, PAUSED)
HELD_BACK = (
    "UllageSiteBlocked job=one instance=i site=x",
    "UllageSiteNotSeen job=one instance=i site=x",
    "UllageNothingCaptured job=one role=crawl",
    "UllageSiteUnreachable job=two instance=i site=x",
    "UllageInstanceDown job=two role=crawl instance=i",
    "UllageHeartbeatLate job=three stage=match origin=o",
    "UllageMatchLagging job=three role=match",
    "UllageLoopStalled job=four role=alert instance=i",
    "UllageAlertLagging job=four role=alert",
    "UllageHeartbeatLate job=four stage=alert origin=o",
    "UllageCanaryLate job=four",
    "UllageSiteNotSeen job=seven instance=i site=x",
    "UllageMatchLagging job=seven role=match",
    "UllageNotificationDutyDueSoon job=five tenant=a regime=r",
    "UllageWatchlistExpiring job=six tenant=a",
)
LET_THROUGH = (
    "UllageSiteFileFaulty job=one role=crawl instance=i",
    "UllageSiteBlocked job=one instance=another site=x",
    "UllageSiteNotSeen job=seven instance=another site=x",
    "UllageLoopStalled job=two role=match instance=i",
    "UllageAlertLagging job=three role=alert",
    "UllageStatutoryUnacknowledged job=one tenant=a",
    "UllageNotificationDutyDueSoon job=five tenant=b regime=r",
    "UllageWatchlistExpiring job=six tenant=b",
)


@pytest.fixture(scope="module")
def states(monitoring: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """All of these alerts fire together; each to the state that Alertmanager gives it."""
    work = tmp_path_factory.mktemp("inhibition")
    with receiving() as receiver, alertmanager(work, alertmanager_file(work / "alertmanager.yml", receiver.url)) as url:
        for alert in (*SOURCES, *HELD_BACK, *LET_THROUGH):
            name, *labels = alert.split()
            done = run("amtool", f"--alertmanager.url={url}", "alert", "add", f"alertname={name}", *labels)
            assert done.returncode == 0, done.stderr
        until(lambda: "unprocessed" not in known(url).values(), "all are judged", 30)
        yield known(url)


def known(url: str) -> dict[str, str]:
    found = json.loads(page(f"{url}/api/v2/alerts?{urllib.parse.urlencode({'active': 'true', 'inhibited': 'true'})}"))
    return {key(one["labels"]): one["status"]["state"] for one in found}


def key(labels: dict[str, str]) -> str:
    rest = sorted(f"{name}={value}" for name, value in labels.items() if name != "alertname")
    return " ".join([labels["alertname"], *rest])


def tidy(alert: str) -> str:
    name, *labels = alert.split()
    return " ".join([name, *sorted(labels)])


@pytest.mark.parametrize("alert", HELD_BACK)
def test_what_follows_from_something_graver_is_held_back(states: dict[str, str], alert: str) -> None:
    assert states[tidy(alert)] == "suppressed"


@pytest.mark.parametrize("alert", [*SOURCES, *LET_THROUGH])
def test_what_is_a_fault_of_its_own_is_told(states: dict[str, str], alert: str) -> None:
    assert states[tidy(alert)] == "active"


def test_no_alert_of_the_test_is_made_up(states: dict[str, str]) -> None:
    runbooks = Path(__file__).parents[2] / "docs" / "runbooks"
    assert all((runbooks / f"{name.split()[0]}.md").exists() for name in states)
