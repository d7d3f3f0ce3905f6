"""A seller is found by name and shown with a history; the name is nowhere: in no store, address,
log or answer.
"""

import io
import json
import re

import pytest
from typer.testing import CliRunner

from alerts.cases.incident_list import (
    Filters,
    find_page,
    find_sellers,
    find_tokens,
    load_details,
    parse_tokens,
)
from alerts.records import Incident, Sighting
from alerts.records.document import QueryError
from alerts.store import DocumentFilter
from tests.alerts.browser import Browser
from tests.alerts.builders import finding, fold_all
from ullage.audit import read_entries
from ullage.audit.trail import FOLDER as AUDIT
from ullage.cli import app
from ullage.errors import ConfigError
from ullage.lookup import values
from ullage.security.cmac import Cmac, derive_key
from ullage.security.keys import make_tenant
from ullage.security.masking import Secret

NAME, TOKEN, OTHER = "Zhuge_1888", "@a1b2c3d4e5f6", "@0123456789ab"
SECTION = "https://forum.example/c/trade"


def seller_fields(
    context, name: str = NAME, token: str = TOKEN, section: str = SECTION, **more: object
) -> dict[str, object]:
    key = context.keys.read("bank/index-1.key")
    tag = values.tag(Cmac(derive_key(key, "index", "bank", values.KIND, values.FORM)), name)
    return {"author": token, "author_tag": tag, "url": f"{section}/…", **more}


@pytest.fixture
def sold(store, clock, context):
    """Three posts of one seller in two incidents, one of another."""
    make_tenant(context.keys, "bank")
    claims = {"volume": 300_000, "price": 500.0, "currency": "USDT", "contacts": ("telegram",)}
    more = {"claims": claims, "title": "一手料 …"}
    fold_all(
        store,
        clock,
        [
            finding("f1", range(10), people="ab", capture=seller_fields(context, **more)),
            finding(
                "f2",
                range(10),
                people="ab",
                site="chat",
                capture=seller_fields(context, section="https://chat.example"),
            ),
            finding("g", range(90, 99), people="c", capture=seller_fields(context)),
            finding(
                "h", range(200, 210), people="d", capture=seller_fields(context, "somebody", OTHER)
            ),
        ],
    )
    return store


def test_seller_is_found_by_any_spelling_of_the_name(sold, context):
    for name in (NAME, "zhuge_1888", " @ZHUGE_1888 "):
        assert find_tokens(sold, context.keys, ["bank"], Secret(name)) == (TOKEN,)
    assert find_tokens(sold, context.keys, ["bank"], Secret("nobody")) == ()


def test_invalid_name_or_missing_key_is_reported(sold, context):
    with pytest.raises(QueryError, match="1 to 320"):
        find_tokens(sold, context.keys, ["bank"], Secret("  "))
    with pytest.raises(ConfigError, match="no index key"):
        find_tokens(sold, context.keys, [], Secret(NAME))


def test_seller_history_counts_all_sightings(sold):
    f1 = sold.get(Sighting, "f1")
    (seller,) = find_sellers(sold, "bank", [f1])
    assert (seller.author, seller.sightings, seller.incidents) == (TOKEN, 3, 2)
    assert seller.sections == ("https://chat.example/", f"{SECTION}/")
    assert load_details(sold, f1.incident).sellers == (seller,)
    assert find_sellers(sold, "other", [f1]) == ()


def test_list_can_be_limited_to_one_seller(sold):
    assert len(find_page(sold, Filters(seller=TOKEN), 50).items) == 2
    assert len(find_page(sold, Filters(seller=f"{TOKEN},{OTHER}"), 50).items) == 3
    assert len(find_page(sold, Filters(seller=TOKEN, status="open"), 50).items) == 2
    assert find_page(sold, Filters(seller=TOKEN, status="confirmed"), 50).items == ()
    assert find_page(sold, Filters(seller="@000000000000"), 50).items == ()


@pytest.mark.parametrize("text", ["zhuge_1888", "@zhuge", "@a1b2c3d4e5f6;", "13800138000"])
def test_name_is_not_a_token_and_is_not_echoed(text):
    with pytest.raises(QueryError) as caught:
        parse_tokens(text)
    assert text not in str(caught.value)


def test_seller_is_looked_up_without_the_name_in_an_address(sold, browser: Browser, context):
    answer = browser.post("/sellers", {"name": NAME})
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/?tab=all&seller=%40a1b2c3d4e5f6",
    )
    shown = browser.get(answer.headers["location"]).text
    assert f"<code>{TOKEN}</code></b> 3 sightings in 2 incidents" in shown
    assert shown.count('href="/incidents/INC-') == 2
    assert OTHER not in shown
    nobody = browser.post("/sellers", {"name": "Nobody_99"})
    assert (nobody.status_code, "No posts by this seller" in nobody.text) == (200, True)
    assert browser.post("/sellers", {"name": " "}).status_code == 400
    assert browser.get("/", params={"seller": NAME}).status_code == 400
    assert len(browser.get("/v1/incidents", params={"seller": TOKEN}).json()["items"]) == 2
    written = nobody.text + shown + browser.log.getvalue()
    assert not re.search("zhuge|nobody_99", written, re.IGNORECASE)
    lookup_entries = [
        entry
        for _, entry in read_entries(context.data / AUDIT)
        if entry.action.startswith("lookup")
    ]
    assert [(entry.action, entry.object) for entry in lookup_entries] == [
        ("lookup.seller", "1 found"),
        ("lookup.seller", "0 found"),
    ]


def test_incident_page_shows_seller_history_and_claims(sold, browser: Browser):
    incident = sold.get(Sighting, "f1").incident
    shown = browser.get(f"/incidents/{incident}").text
    offered = "300,000 records, 500 USDT, by telegram"
    for text in (TOKEN, offered, "一手料 …", f"{SECTION}/", "PHONE", "3 sightings in 2 incidents"):
        assert text in shown
    assert f'href="{SECTION}/"' in shown
    row = browser.get("/").text
    assert "300,000 records, 500 USDT, by telegram" in row
    body = browser.get(f"/v1/incidents/{incident}").json()
    assert body["sellers"][0]["sightings"] == 3
    assert body["claims"]["volume"] == 300_000
    assert "author_tag" not in body["seen"][0]


def run(context, *words: str, text: str = "") -> str:
    result = CliRunner().invoke(app, ["--data", str(context.data), *words], input=text)
    assert result.exit_code == 0, result.output
    return result.output


def test_terminal_looks_up_a_seller_by_name_or_token(sold, context):
    sold.close()
    for words, text in (
        (("--author", NAME), ""),
        (("--author", "-"), f"{NAME}\n"),
        (("--author", TOKEN), ""),
    ):
        lines = run(context, "incidents", "list", "--json", *words, text=text).splitlines()
        assert [json.loads(line)["authors"] for line in lines if line.startswith("{")] == [
            [TOKEN],
            [TOKEN],
        ]
    assert "No post of that seller" in run(context, "incidents", "list", "--author", "nobody")
    assert (
        "zhuge"
        not in "".join(
            entry.model_dump_json() for _, entry in read_entries(context.data / AUDIT)
        ).lower()
    )


def test_terminal_shows_seller_claims_and_history(sold, context):
    incident = sold.get(Sighting, "f1").incident
    sold.close()
    shown = " ".join(run(context, "incidents", "show", incident).split())
    for text in (
        TOKEN,
        "300,000 records, 500 USDT, by telegram",
        "3 sightings in 2 incidents",
        SECTION,
        "columns NAME, PHONE",
    ):
        assert text in shown
    assert TOKEN in run(context, "incidents", "list")


def test_no_seller_name_is_stored(sold):
    dump = io.StringIO()
    for kind in (Sighting, Incident):
        for document in sold.scroll(kind, DocumentFilter()):
            dump.write(document.model_dump_json())
    assert "huge" not in dump.getvalue()


@pytest.mark.parametrize("form", ["csv", "ecs", "stix"])
def test_export_has_claims_and_names_nobody(sold, context, form):
    sold.close()
    text = run(context, "incidents", "export", "--format", form)
    assert re.search("300,000 records|300000", text)
    assert "huge" not in text
    assert f"{SECTION}/" in text
