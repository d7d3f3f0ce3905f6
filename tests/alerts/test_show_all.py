"""Everybody who is in an incident is named, however many they are: on the terminal, on the page,
in the API.
"""

import json
import re

import pytest
from typer.testing import CliRunner

from alerts.cases.incident_list import CUSTOMERS_SHOWN, load_details, read_further_customers
from alerts.records import Exposure, incident_id
from alerts.store import DocumentFilter
from tests.alerts.builders import finding, fold_all, handle
from ullage.cli import app

ALL = 934
A = incident_id("f")
HANDLE = re.compile(r"^ +([0-9a-f]{32}) ", re.MULTILINE)


@pytest.fixture
def large(store, clock, data):
    (data / "ullage.toml").write_text("metrics = false\n[tenants.bank]\n")
    fold_all(
        store, clock, [finding("f", range(99), people=range(ALL), kinds=("phone", "resident_id"))]
    )
    return store


def show(data, *words: str) -> str:
    result = CliRunner().invoke(app, ["--data", str(data), "incidents", "show", A, *words])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_all_customers_are_shown_once_and_aligned(large, data) -> None:
    shown = show(data)
    assert f"Customers: {ALL:,}" in shown
    assert sorted(HANDLE.findall(shown)) == sorted(handle(n) for n in range(ALL))
    lines = [line for line in shown.splitlines() if HANDLE.match(line + " ")]
    assert len({line.index("phone") for line in lines}) == 1
    assert len({line.index("NAME") for line in lines}) == 1
    assert len(json.loads(show(data, "--json"))["exposures"]) == ALL


def test_first_view_is_short_and_the_rest_follows(large) -> None:
    view = load_details(large, A, CUSTOMERS_SHOWN)
    other_ids = [exposure.id for page in read_further_customers(large, view) for exposure in page]
    assert (len(view.exposures), len(other_ids)) == (CUSTOMERS_SHOWN, ALL - CUSTOMERS_SHOWN)
    assert not {exposure.id for exposure in view.exposures} & set(other_ids)


def test_customers_with_expired_pseudonyms_are_counted(large, data) -> None:
    gone = [exposure.id for exposure in large.scroll(Exposure, DocumentFilter({"incident": (A,)}))][
        :30
    ]
    large.delete(Exposure, gone)
    shown = show(data)
    assert len(HANDLE.findall(shown)) == ALL - 30
    assert "30 more, whose data has expired or was erased" in shown


def test_short_list_is_shown_without_paging(store, clock, data) -> None:
    (data / "ullage.toml").write_text("metrics = false\n[tenants.bank]\n")
    fold_all(store, clock, [finding("f", range(99), people="ab")])
    assert sorted(HANDLE.findall(show(data))) == sorted(map(handle, "ab"))
    assert "more, whose" not in show(data)


def test_page_lists_all_customers(large, browser) -> None:
    pseudonyms, path, pages = list[str](), f"/incidents/{A}", 0
    while path:
        text, pages = browser.get(path).text, pages + 1
        pseudonyms += re.findall(r"<code>([0-9a-f]{32})</code>", text)
        assert ("First page" in text) == (pages > 1)
        further = re.search(r'href="([^"]+)#customers">More customers', text)
        path = further[1].replace("&amp;", "&") if further else ""
    assert (pages, len(pseudonyms)) == (5, ALL)
    assert set(pseudonyms) == {handle(n) for n in range(ALL)}


@pytest.mark.parametrize("limit", [None, 500, 467])
def test_api_lists_all_customers(large, browser, limit) -> None:
    whole_one = browser.get(f"/v1/incidents/{A}").json()
    first = {item["pseudonym"] for item in whole_one["exposures"]}
    assert len(first) == CUSTOMERS_SHOWN
    pseudonyms, after, sizes = list[str](), "", []
    while after or not pseudonyms:
        query = {"after": after, **({"limit": limit} if limit else {})}
        got = browser.get(f"/v1/incidents/{A}/customers", params=query).json()
        pseudonyms += [item["pseudonym"] for item in got["items"]]
        assert all("index_tags" not in item for item in got["items"])
        after, sizes = got["after"], [*sizes, len(got["items"])]
    assert set(pseudonyms) == {handle(n) for n in range(ALL)}
    assert len(pseudonyms) == ALL
    assert set(sizes[:-1]) == {limit or CUSTOMERS_SHOWN}
    remaining = browser.get(
        f"/v1/incidents/{A}/customers", params={"after": whole_one["exposures_after"], "limit": 500}
    ).json()
    assert not first & {item["pseudonym"] for item in remaining["items"]}


def test_api_lists_all_sightings(store, clock, browser) -> None:
    fold_all(
        store,
        clock,
        [finding(f"f{n}", range(10), people=range(2), site=f"site-{n}") for n in range(205)],
    )
    path = f"/v1/incidents/{incident_id('f0')}"
    first = browser.get(path).json()
    remaining = browser.get(f"{path}/sightings", params={"after": first["seen_after"]}).json()
    assert (len(first["seen"]), len(remaining["items"]), remaining["after"]) == (
        CUSTOMERS_SHOWN,
        5,
        "",
    )
    assert len({item["id"] for item in (*first["seen"], *remaining["items"])}) == 205
    assert remaining["items"][0].keys() == first["seen"][0].keys()
    ids, after = list[str](), ""
    while after or not ids:
        got = browser.get(f"{path}/sightings", params={"after": after, "limit": 100}).json()
        ids, after = [*ids, *(item["id"] for item in got["items"])], got["after"]
    assert len(ids) == len(set(ids)) == 205


def test_invalid_cursor_and_missing_incident_are_reported(large, browser) -> None:
    for path, code in (
        (f"/incidents/{A}?after=nonsense", 400),
        (f"/v1/incidents/{A}/customers?after=nonsense", 400),
        (f"/v1/incidents/{A}/customers?limit=501", 400),
        (f"/v1/incidents/{A}/customers?offset=3", 400),
        (f"/v1/incidents/{A}/sightings?after=nonsense", 400),
        ("/v1/incidents/INC-NOBODY/customers", 404),
        ("/v1/incidents/INC-NOBODY/sightings", 404),
    ):
        answer = browser.get(path)
        assert (answer.status_code, "nonsense" in answer.text) == (code, False), path
