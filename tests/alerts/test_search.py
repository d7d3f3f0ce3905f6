"""The page and its API, asked as browsers and programs ask."""

import hashlib
import re

import pytest

from alerts import translation
from alerts.records import Audit, Decision, incident_id
from alerts.store import DocumentFilter
from alerts.web.static_files import MEDIA_TYPES, find_static_path
from tests.alerts.browser import ASKED, ASKER, HOST, OURS, PHONE
from tests.alerts.builders import finding, fold_all, handle
from ullage import audit
from ullage.errors import UnavailableError
from ullage.identifiers import kinds
from ullage.lookup.values import NUMBER

A = incident_id("f")
HOSTILE = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{7*7}}", "\u202egnp.exe",
    "\x1b[31m",
    "=cmd|' /C calc'!A0",
)  # fmt: skip


PAGES = [
    "/",
    f"/incidents/{A}",
    "/exposed",
    "/noise",
    find_static_path("ullage.css"),
    "/metrics",
    "/healthz",
    "/readyz",
]
PAGES += [
    "/v1/incidents",
    f"/v1/incidents/{A}",
    "/v1/openapi.json",
    "/nowhere",
    "/incidents/INC-NOBODY",
    "/?severity=awful",
]
EXPECTED = {"/nowhere": 404, "/incidents/INC-NOBODY": 404, "/?severity=awful": 400}


def test_every_identifier_kind_can_be_looked_up(browser):
    assert translation.KIND.keys() == {*kinds(), "name", NUMBER}
    for name, kind in kinds().items():
        value = kind.examples[0][1]
        answer = browser.post("/exposed", {**ASKED, "value": value})
        assert answer.status_code == 200, name
        assert (
            translation.KIND[name]
            in browser.post(
                "/exposed", {**ASKED, "value": value}, {**OURS, "accept-language": "zh"}
            ).text
        )
        assert value not in answer.text


@pytest.mark.parametrize("path", PAGES)
def test_every_route_sends_every_security_header(browser, phone_incident, path):
    answer = browser.get(path)
    assert answer.status_code == EXPECTED.get(path, 200)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith(
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action"
        " 'self'"
    )
    assert "frame-ancestors 'none'; base-uri 'none'" in policy
    assert "unsafe" not in policy
    names = ("x-content-type-options", "referrer-policy", "cross-origin-opener-policy")
    assert [answer.headers[name] for name in names] == ["nosniff", "no-referrer", "same-origin"]
    cache_policy = (
        "public, max-age=31536000, immutable" if path.startswith("/static/") else "no-store"
    )
    assert answer.headers["cache-control"] == cache_policy


@pytest.mark.parametrize("name", MEDIA_TYPES)
def test_static_files_are_cached_for_a_year_and_compressed(browser, name):
    plain = browser.get(find_static_path(name), headers={"accept-encoding": "identity"})
    packed = browser.get(find_static_path(name), headers={"accept-encoding": "br, gzip"})
    assert hashlib.sha256(plain.content).hexdigest()[:16] in find_static_path(name)
    assert packed.content == plain.content
    assert (plain.headers.get("content-encoding"), packed.headers["content-encoding"]) == (
        None,
        "gzip",
    )
    assert int(packed.headers["content-length"]) < len(plain.content) / 2
    assert plain.headers["vary"] == packed.headers["vary"] == "accept-encoding"


@pytest.mark.parametrize("path", [path for path in PAGES if not path.startswith("/static/")])
def test_pages_are_never_compressed(browser, phone_incident, path):
    assert "content-encoding" not in browser.get(path, headers={"accept-encoding": "gzip"}).headers


def test_no_other_route_exists(browser):
    spec = browser.get("/v1/openapi.json").json()
    assert set(spec["paths"]) == {
        "/v1/incidents", "/v1/incidents/{id_}", "/v1/incidents/{id_}/decisions",
        "/v1/incidents/{id_}/customers",
        "/v1/incidents/{id_}/sightings", "/v1/assess",
        "/v1/export/{form}", "/v1/exposed", "/v1/exposure", "/v1/fraud-cases",
        "/v1/events", "/v1/events/key",
    }  # fmt: skip
    assert browser.get("/docs").status_code == browser.get("/redoc").status_code == 404


@pytest.mark.parametrize("path", ["/", f"/incidents/{A}", "/exposed", "/noise"])
def test_page_has_only_the_keyboard_script_and_no_foreign_source(browser, phone_incident, path):
    answer = browser.get(path)
    assert answer.status_code == 200
    text = answer.text
    ours = {find_static_path("ullage.css"), find_static_path("desk.js"), "data:,"}
    assert not re.search(r"<iframe|<object|style=|\son\w+=|@import", text)
    assert re.findall(r"<script[^>]*>", text) == [
        f'<script src="{find_static_path("desk.js")}" defer>'
    ]
    assert set(re.findall(r'(?:src|<link[^>]*href)="([^"]*)"', text)) == ours
    assert set(re.findall(r'action="([^"]*)"', text)) <= {
        "/", "/exposed", f"/incidents/{A}/decisions", f"/incidents/{A}/silence", "/logout",
        "/sellers",
        "/language", "/incidents/bulk", f"/incidents/{A}#customers", f"/incidents/{A}/addresses",
        f"/incidents/{A}/customers.csv",
        f"/incidents/{A}/letter", f"/incidents/{A}/report",
    }  # fmt: skip


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:9999", "evil.example:8600", ""]
)
def test_unknown_host_is_rejected_everywhere(browser, host):
    for path in ("/", "/metrics", "/v1/incidents"):
        assert browser.get(path, headers={"host": host}).status_code == 421


FORGED = [
    {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"sec-fetch-site": "none"},
    {"origin": "https://evil.example"},
    {"origin": "null"}, {"origin": "http://127.0.0.1:9999"}, {"origin": "https://127.0.0.1:8600"},
    {},
    {"sec-fetch-site": "cross-site", "origin": f"http://{HOST}"},
]  # fmt: skip


@pytest.mark.parametrize("headers", FORGED, ids=str)
def test_cross_site_form_changes_nothing(browser, phone_incident, store, headers):
    form = {"status": "resolved", "token": "0" * 16}
    assert browser.post(f"/incidents/{A}/decisions", form, headers).status_code == 403
    assert browser.post("/exposed", ASKED, headers).status_code == 403
    assert store.count(Decision, DocumentFilter()) == store.count(Audit, DocumentFilter()) == 0


@pytest.mark.parametrize("headers", [OURS, {"origin": f"http://{HOST}"}], ids=str)
def test_same_site_form_is_accepted(browser, phone_incident, headers):
    assert browser.post("/exposed", ASKED, headers).status_code == 200


def test_program_may_send_json_to_the_api_only(browser, phone_incident):
    assert browser.ask("POST", "/v1/exposed", json=ASKED).status_code == 200
    assert browser.ask("POST", "/exposed", json=ASKED).status_code == 403
    assert browser.ask("POST", "/v1/exposed", data=ASKED).status_code == 403
    assert (
        browser.ask(
            "POST", "/v1/exposed", json=ASKED, headers={"origin": "https://evil.example"}
        ).status_code
        == 403
    )


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_rejected(browser, method):
    assert browser.ask(method, "/", headers=OURS).status_code == 405


def test_too_large_request_is_rejected(browser):
    assert browser.get("/?q=" + "a" * 3_000).status_code == 414
    assert browser.post("/exposed", {"value": "1" * 20_000}).status_code == 413

    async def stream_body():
        yield b"value=1"

    assert browser.ask("POST", "/exposed", content=stream_body(), headers=OURS).status_code == 411


def test_reading_changes_nothing(browser, phone_incident, store):
    for path in PAGES:
        browser.get(path)
    assert store.count(Decision, DocumentFilter()) == store.count(Audit, DocumentFilter()) == 0


def test_lookup_finds_the_person_and_leaves_no_value(browser, phone_incident, data, registry):
    answer = browser.post("/exposed", ASKED)
    assert "<h2>Exposed" in answer.text
    assert A not in answer.text
    assert handle("a") not in answer.text
    written = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file()).decode(
        "latin-1"
    )
    for place in (
        answer.text,
        str(answer.headers),
        str(answer.url),
        browser.log.getvalue(),
        written,
        browser.get("/metrics").text,
    ):
        assert PHONE not in place
    assert registry.get_sample_value("ullage_search_lookups_total", {"outcome": "exposed"}) == 1


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("13900139000", "No record of this value"),
        ("110105194912310021", "check digit of this resident ID"),
        ("", "This is not a phone"),
    ],
)
def test_person_in_no_incident_is_not_found(browser, phone_incident, value, words):
    answer = browser.post("/exposed", {**ASKED, "value": value})
    assert words in answer.text
    assert not value or value not in answer.text


BAD = [{"purpose": "curiosity"}, {"case": ""}, {"case": PHONE}, {"case": "a b"}]


@pytest.mark.parametrize("wrong", BAD, ids=str)
def test_lookup_needs_person_purpose_and_case(browser, phone_incident, store, wrong):
    page = browser.post("/exposed", {**ASKED, **wrong})
    api = browser.ask("POST", "/v1/exposed", json={**ASKED, **wrong})
    assert page.status_code == api.status_code == 400
    assert PHONE not in page.text + api.text + browser.log.getvalue()
    assert store.count(Audit, DocumentFilter()) == 0


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"13800138000"',
        b'{"value": "13800138000"}',
        b'{"13800138000": 1}',
        b'{"value": {}}',
    ],
)
def test_malformed_body_is_not_echoed(browser, body):
    answer = browser.ask(
        "POST", "/v1/exposed", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    assert "13800138000" not in answer.text + browser.log.getvalue()


@pytest.mark.parametrize("path", ["/", "/v1/incidents"])
@pytest.mark.parametrize(
    "q",
    [
        PHONE,
        "１３８００１３８０００",
        "客户 110105 19491231 002X",
        "6200000000000005",
        "a@example.com",
        "a13800138000b",
    ],
)
def test_search_words_with_an_identifier_are_rejected_and_not_echoed(
    browser, phone_incident, path, q
):
    for name in ("q", "site", "tenant"):
        answer = browser.get(path, params={name: q})
        assert answer.status_code == 400
        assert "look people up" in answer.text
        assert q not in answer.text
    assert q not in browser.log.getvalue()


@pytest.mark.parametrize("text", HOSTILE)
def test_site_text_is_escaped(browser, store, clock, text):
    hostile = {"title": text, "author": text, "url": f"javascript:alert('{text}')"}
    fold_all(
        store,
        clock,
        [
            finding(
                "f",
                range(10),
                people="a",
                capture=hostile,
                statistics={"skeleton": text, "brands": (text,)},
            )
        ],
    )
    for path in ("/", f"/incidents/{A}"):
        page = browser.get(path).text
        assert not re.search(r"<script(?! src=)|<img|onerror=alert\(1\)>", page)
        assert 'href="javascript' not in page
        assert (
            "49" not in re.sub(r"\d{2}:\d{2}|[0-9a-f]{16,32}", "", page) if "7*7" in text else True
        )
        assert "\u202e" not in page
        assert "\x1b" not in page
    assert browser.get(f"/v1/incidents/{A}").json()["titles"] == [text]
    if text.isascii() and text.isprintable():
        assert text in page.replace("&lt;", "<").replace("&gt;", ">").replace("&#34;", '"').replace(
            "&#39;", "'"
        )


def test_outgoing_link_sends_no_referrer(browser, phone_incident):
    page = browser.get(f"/incidents/{A}").text
    assert (
        '<a href="https://paste.example/1" rel="noopener noreferrer nofollow" target="_blank">'
        in page
    )


def test_decisions_are_appended_and_set_the_status(browser, phone_incident, store):
    page = browser.get(f"/incidents/{A}").text
    token = re.search(r'name="token" value="([0-9a-f]{16})"', page)[1]
    form = {"status": "confirmed", "note": "与客户核实", "token": token}
    for _ in range(2):
        answer = browser.post(f"/incidents/{A}/decisions", form)
        assert answer.status_code == 303
        assert re.fullmatch(rf"/incidents/{A}\?did=[0-9a-f]+#history", answer.headers["location"])
    (decision,) = store.scroll(Decision, DocumentFilter())
    assert (decision.by, decision.status, decision.note) == (ASKER, "confirmed", "与客户核实")
    assert "与客户核实" in browser.get(f"/incidents/{A}").text
    assert (
        browser.get("/v1/incidents", params={"status": "confirmed"}).json()["items"][0]["id"] == A
    )
    assert browser.get("/v1/incidents", params={"status": "open"}).json()["items"] == []


UNFIT = [
    {"note": f"call {PHONE}"},
    {"note": "x" * 501},
    {"status": "reported"},
    {"token": "x"},
    {"status": "note", "note": " "},
]


@pytest.mark.parametrize("wrong", UNFIT, ids=str)
def test_unstorable_decision_is_rejected(browser, phone_incident, store, wrong):
    form = {"status": "confirmed", "note": "", "token": "0" * 16, **wrong}
    answer = browser.post(f"/incidents/{A}/decisions", form)
    assert answer.status_code == 400
    assert PHONE not in answer.text
    assert store.count(Decision, DocumentFilter()) == 0
    assert browser.post("/incidents/INC-NOBODY/decisions", form).status_code == 404


def test_list_is_filtered_and_paged(browser, store, clock):
    for n in range(120):
        title = {"title": "四件套" if n % 2 else "快递"}
        site = f"s{n % 3}"
        fold_all(
            store,
            clock,
            [finding(f"f{n}", range(n * 10, n * 10 + 10), people=(n,), site=site, capture=title)],
        )
        clock.advance(1)
    listed_ids, path = [], "/?q=四件套&flat=1"
    while path:
        page = browser.get(path).text
        listed_ids += re.findall(r'class="what"><a href="/incidents/([^"]+)"', page)
        following = re.search(r'href="([^"]+)">More</a>', page)
        path = following[1].replace("&amp;", "&") if following else ""
    assert listed_ids == [incident_id(f"f{n}") for n in range(1, 120, 2)]
    got = browser.get("/v1/incidents", params={"site": "s1", "kind": "phone", "limit": 500}).json()
    assert (len(got["items"]), got["after"]) == (40, "")
    assert browser.get("/v1/incidents", params={"limit": 501}).status_code == 400
    assert browser.get("/", params={"after": "nonsense"}).status_code == 400


def test_empty_page_says_what_to_do_next(browser, phone_incident):
    assert "No matches" in browser.get("/?q=龙").text
    assert "No incidents yet" not in browser.get("/").text


def test_new_installation_says_what_to_do_next(browser):
    page = browser.get("/").text
    assert "No incidents yet" in page
    assert "ullage watchlist load" in page


def test_unavailable_store_is_reported_as_not_ready(browser, phone_incident, store, monkeypatch):
    def down(*_, **__):
        raise UnavailableError("/some/path is busy")

    for name in ("count", "search", "scroll", "mget"):
        monkeypatch.setattr(store, name, down)
    for path in ("/", "/readyz", "/v1/incidents"):
        answer = browser.get(path)
        assert answer.status_code == 503
        assert "/some/path" not in answer.text
    assert browser.get("/healthz").status_code == 200


def test_bug_is_logged_by_name_only(browser, phone_incident, store, monkeypatch, registry):
    def broken(*_, **__):
        raise KeyError(PHONE)

    monkeypatch.setattr(store, "search", broken)
    answer = browser.get("/")
    assert answer.status_code == 500
    assert "content-security-policy" in answer.headers
    assert '"error": "KeyError"' in browser.log.getvalue()
    assert PHONE not in answer.text + browser.log.getvalue()
    assert registry.get_sample_value("ullage_search_requests_total", {"answer": "5xx"}) == 1


def test_times_are_shown_with_their_zone(browser, phone_incident):
    page = browser.get(f"/incidents/{A}").text
    assert re.search(r"2026-09-21 \d\d:\d\d", page)
    assert "Time zone: Asia/Shanghai." in page


def test_resent_decision_is_audited_once(browser, phone_incident, context):
    for _ in range(2):
        browser.post(
            f"/incidents/{A}/decisions",
            {"status": "confirmed", "note": "", "token": "0123456789abcdef"},
        )
    browser.post(
        f"/incidents/{A}/decisions", {"status": "note", "note": f"call {PHONE}", "token": "0" * 16}
    )
    entries = [
        (entry.action, entry.object, entry.actor, entry.tenant)
        for _, entry in audit.read_entries(context.data / "audit")
    ]
    entries = [
        logged_entry for logged_entry in entries if not logged_entry[0].startswith("account.")
    ]
    assert entries == [("incident.decide", f"incident {A}: confirmed", ASKER, "bank")]
