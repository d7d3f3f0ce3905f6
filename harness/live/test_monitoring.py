"""A real Prometheus and Alertmanager watch the running demo: boards are answered, a leak is
told, a dead role is missed.
"""

import json
import math
import re
from functools import partial
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.demo.people import people
from deploy.demo.plant import SEED
from deploy.grafana.__main__ import DASHBOARDS
from harness.live.received_alerts import alerts
from harness.live.station import ROLES, Station
from tests.deploy.test_metrics import SPECIFICATION
from tests.deploy.tools import run
from tests.flow.daemon import until

KIND = re.compile(
    r"^- `([a-z_]+)(?:\{[a-z_,]+\})?` \((counter|gauge|histogram), ([a-z, ]+)\): ", re.MULTILINE
)
"""A metric in the document: name, kind, and the roles that serve it."""

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

EXPECTED = {
    "UllageWatchdog",
    "UllageHighUnacknowledged",
    "UllageDeadlineDueSoon",
    "UllageDeadlinePressing",
}
"""What the planted leaks bring: people who must act, and clocks that run."""
STARTING = "UllageServiceDown|UllageInstanceDown|UllageDetectionLate|UllageDeadlinesStale"
"""What is true while the roles are started one after the other, and no minutes are given for it."""
LEAKED = 60
"""From fifty customers with a password on, an incident is of severity high."""


def queries(path: Path) -> dict[str, str]:
    """Return every query of a board by panel, as Grafana sends it with everything chosen."""
    expressions = {}
    for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
        for target in panel.get("targets", ()):
            text = re.sub(r"\$(tenant|site)\b", ".*", target["expr"]).replace(
                "$__rate_interval", "5m"
            )
            assert "$" not in text
            expressions[f"{panel['title']} {target['refId']}"] = text
    return expressions


def test_planted_leak_becomes_a_delivered_webhook(station: Station) -> None:
    assert alerts(station.receiver, "UllageHighUnacknowledged") == []
    victims = list(people(len(station.plan.customers), SEED))[-LEAKED:]
    rows = "\n".join(f"{p.email}:Winter{n}pass!" for n, p in enumerate(victims))
    station.pastes.paste(rows, "combolist.txt")
    until(
        lambda: bool(alerts(station.receiver, "UllageHighUnacknowledged", "desk")),
        "the leak is told",
        180,
    )
    [alert, *_] = alerts(station.receiver, "UllageHighUnacknowledged", "desk")
    assert alert["tenant"] == "spruce-bank"
    assert alert["severity"] == "warning"
    assert "spruce-bank" in alert["summary"]
    everything = b"".join(
        message.body for message in [*station.receiver.received, *station.team.received]
    ).decode()
    assert not [p.email for p in victims if p.email in everything or p.phone in everything]


@pytest.mark.parametrize("path", sorted(DASHBOARDS.glob("*.json")), ids=lambda path: path.stem)
def test_every_query_of_a_board_is_answered_with_series(station: Station, path: Path) -> None:
    waiting = queries(path)

    def has_series() -> bool:
        for name, expression in list(waiting.items()):
            if any(
                not math.isnan(float(series["value"][1])) for series in station.query(expression)
            ):
                del waiting[name]
        return not waiting

    try:
        until(has_series, "series for every panel", 120)
    except AssertionError:
        pytest.fail(f"no series for: {waiting}", pytrace=False)


@pytest.mark.parametrize("role", ROLES)
def test_metrics_of_a_service_are_as_specified(station: Station, role: str) -> None:
    text = station.metrics(role)
    result = run("promtool", "check", "metrics", text=text)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")
    rows = KIND.findall(SPECIFICATION.read_text(encoding="utf-8"))
    written = {
        name: kind for name, kind, roles in rows if roles == "all" or role in roles.split(", ")
    }
    served = {
        family.name + ("_total" if family.type == "counter" else ""): family.type
        for family in text_string_to_metric_families(text)
    }
    assert served == written


def test_all_four_services_are_scraped_within_the_series_budget(station: Station) -> None:
    until(
        lambda: len(station.query('up{job="ullage"} == 1')) == len(ROLES), "all roles are scraped"
    )
    samples = {
        s["metric"]["role"]: float(s["value"][1]) for s in station.query("scrape_samples_scraped")
    }
    assert samples["crawl"] < 500
    assert samples["alert"] < 500
    assert max(samples["match"], samples["search"]) < 200


def test_healthy_station_fires_no_alert(station: Station) -> None:
    def list_alerts(alerts: str) -> set[str]:
        return {
            series["metric"]["alertname"]
            for series in station.query(f"count by (alertname) ({alerts})")
        }

    until(
        lambda: bool(station.query("ullage_canary_last_success_timestamp_seconds > 0")),
        "a canary has come through",
    )
    until(lambda: not list_alerts(f'ALERTS{{alertname=~"{STARTING}"}}'), "the start is over", 60)
    assert list_alerts('ALERTS{alertstate="firing"}') <= EXPECTED
    assert list_alerts('count_over_time(ALERTS{alertstate="firing"}[1h])') <= {
        *EXPECTED,
        *STARTING.split("|"),
    }


def test_watchdog_keeps_arriving(station: Station) -> None:
    until(
        lambda: len(alerts(station.receiver, "UllageWatchdog", "watchdog")) >= 2,
        "two messages of the watchdog",
        60,
    )


def test_killed_service_is_alerted_and_its_return_resolves_it(station: Station) -> None:
    until(
        lambda: not station.query('ALERTS{alertname="UllageServiceDown"}'), "every role is up", 60
    )
    before, received_before = (
        len(station.receiver.received),
        partial(alerts, station.receiver, "UllageServiceDown"),
    )
    station.kill("match")
    until(lambda: bool(received_before("pager", after=before)), "the pager rings", 60)
    assert {alert["role"] for alert in received_before(after=before)} == {"match"}
    station.start("match")
    until(
        lambda: bool(received_before("pager", "resolved", before)),
        "the pager is told of the end",
        60,
    )
