"""What a shift leaves to the next, on the page as on a terminal: nothing is left out, and a gap
is never silent.
"""

import html
import json
import re

import pytest
import typer
from typer.testing import CliRunner

from alerts.cli.handover import hand_over
from alerts.coverage.hours import NEVER, CoverageWindow
from alerts.coverage.view import as_json, begins_as_json
from alerts.records import CollectorHeartbeat, GapReason
from alerts.store import DocumentFilter
from tests.alerts.builders import incident
from tests.alerts.coverage.heartbeats import HOUR, NINE, Alert
from ullage.errors import Exit
from ullage.settings import Context

SINCE = "2026-09-21T17:00"
ID = r'href="/incidents/([^"]+)"'


@pytest.fixture
def shift(alert: Alert, store) -> Alert:
    """Set up a site that is silent after an hour, and two incidents, of which one is new."""
    alert.hears(NINE, NINE + HOUR, "board pastes")
    alert.hears(NINE + HOUR, NINE + 3 * HOUR, "pastes")
    alert.at(NINE + 3.25 * HOUR)
    store.put(
        [
            heard.model_copy(update={"sites": {"ok": 2}})
            for heard in store.scroll(CollectorHeartbeat, DocumentFilter())
        ]
    )
    store.put(
        [incident("INC-NEW", NINE + HOUR, severity="high"), incident("INC-OLD", NINE - 5 * HOUR)]
    )
    return alert


def sections(page: str) -> dict[str, str]:
    """Return each section of the page by its title."""
    cards = re.findall(
        r'<section class="card"[^>]*>\s*<h2>([^<]+?)(?: <small>.*?)?</h2>(.*?)</section>',
        page,
        re.DOTALL,
    )
    return {html.unescape(title): text for title, text in cards}


def test_page_lists_each_incident_once_and_all_gaps(browser, shift):
    parts = sections(browser.get(f"/handover?since={SINCE}").text)
    assert sorted(re.findall(ID, parts["Incidents"])) == ["INC-NEW", "INC-OLD"]
    blind = parts["Coverage gaps"]
    assert "board" in blind
    assert "no heartbeat" in blind
    assert "unexplained" in blind
    assert "/coverage?since=2026-09-21T17%3A00#gaps" in blind


def test_page_begins_with_the_counts_of_its_sections(browser, shift):
    page = browser.get(f"/handover?since={SINCE}").text
    figures = {
        name: int(number) for number, name in re.findall(r"<b>(\d+)</b>([^<]+)</a></div>", page)
    }
    assert [figures[title] for title in ("New since then", "Undecided", "Assigned to nobody")] == [
        1,
        2,
        2,
    ]
    (gaps,) = {int(n) for n in re.findall(r"(\d+) unexplained coverage gaps?\.", page)}
    assert figures["unexplained coverage gaps"] == gaps


def test_counts_include_incidents_that_are_not_shown(browser, shift, store):
    store.put([incident(f"INC-{n}", NINE + HOUR) for n in range(7)])
    store.put([incident(f"INC-SHOP-{n}", NINE - HOUR, tenant="shop") for n in range(6)])
    page = browser.get(f"/handover?since={SINCE}").text
    figures = {
        name: int(number) for number, name in re.findall(r"<b>(\d+)</b>([^<]+)</a></div>", page)
    }
    assert [figures[title] for title in ("New since then", "Undecided", "Assigned to nobody")] == [
        8,
        15,
        15,
    ]
    shown = re.findall(ID, sections(page)["Incidents"])
    assert 5 <= len(shown) == len({*shown}) < 15


def test_counts_link_to_the_same_incidents_in_the_queue(browser, shift):
    page = browser.get(f"/handover?since={SINCE}").text
    numbers = re.findall(r'<div><a href="(/\?[^"]+)"><b>(\d+)</b>', page)
    assert len(numbers) == 4
    for link, count in numbers:
        assert len(re.findall(ID, browser.get(html.unescape(link)).text)) == int(count), link


def test_handover_is_fully_translated_to_chinese(browser, shift):
    page = browser.get(f"/handover?since={SINCE}", headers={"accept-language": "zh"}).text
    assert {"监测盲区"} <= sections(page).keys()
    assert "没有心跳" in page


def test_invalid_time_is_reported_at_its_field_and_kept(browser, shift):
    for typed in ("gestern", "2020-01-01", "2030-01-01"):
        answer = browser.get(f"/handover?since={typed}")
        assert answer.status_code == 400
        assert f'name="since" value="{typed}"' in answer.text
        assert 'id="since-fault" role="alert"' in answer.text


def test_handover_is_in_the_menu_of_roles_with_incidents_and_coverage(desk, log_in, shift):
    has_link = {
        role: 'href="/handover"' in log_in(role).get("/password").text
        for role in ("analyst", "resolver", "operator")
    }
    assert has_link == {"analyst": True, "resolver": False, "operator": False}


@pytest.mark.parametrize("explained", [False, True])
def test_unexplained_gap_makes_the_printed_handover_incomplete(
    shift, store, data, clock, explained
):
    if explained:
        reason = {
            "since": NINE,
            "until": NINE + 4 * HOUR,
            "at": NINE + 3 * HOUR,
            "by": "Li",
            "reason": "the board moved",
        }
        store.put([GapReason(id="GAP-1", site="board", **reason)])
    context = Context(data, clock.as_clock())
    alone = typer.Typer()
    alone.command()(hand_over)
    printed, as_objects = (
        CliRunner().invoke(alone, ["--since", SINCE, *more], obj=context)
        for more in ([], ["--json"])
    )
    code = 0 if explained else Exit.NO_VERDICT
    assert (printed.exit_code, as_objects.exit_code) == (code, code), printed.output
    assert printed.output.count("INC-NEW") == printed.output.count("INC-OLD") == 1
    assert ("the board moved" if explained else "NOT EXPLAINED") in printed.output
    (gap,) = json.loads(as_objects.stdout)["blind"]
    assert (gap["site"], gap["why"], bool(gap["explained"])) == (
        "board",
        ["no heartbeat"],
        explained,
    )
    assert [item["id"] for item in json.loads(as_objects.stdout)["new"]["incidents"]] == ["INC-NEW"]
    assert json.loads(as_objects.stdout)["log_begins"]


@pytest.mark.parametrize(
    ("begins", "told"), [(None, NINE), (NINE + HOUR, NINE + HOUR), (NEVER, None)]
)
def test_no_gap_differs_from_no_log(begins, told):
    until = NINE + 4 * HOUR
    window = CoverageWindow(NINE, until, until, (), begins)
    [total] = as_json(window, ())
    assert (total["gaps"], total["log_begins"]) == (0, told and told.isoformat())
    assert begins_as_json(window) == total["log_begins"]
