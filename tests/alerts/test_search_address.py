"""By which names the desk is asked, and whose word on where a request came from is believed."""

import pytest
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from alerts.accounts.sessions import OF_SOURCE
from alerts.web.app import create_app
from alerts.web.auth import Reach
from tests.alerts.browser import ASKER, CHEAP, HOST, PASSWORD, Browser
from ullage.settings import Context
from ullage.settings.roles import SearchSettings

PUBLIC, ORIGIN = "ullage.bank.example", "https://ullage.bank.example"
PROXIED = """\
[search]
public = ["https://ullage.bank.example"]
proxies = ["127.0.0.1"]
"""
PAGE = """\
[notify]
page = "https://ullage.bank.example"
"""


@pytest.fixture
def console_under(data, store, accounts, clock):
    """Return a function that opens the console under settings given as text."""

    def under(text: str) -> Browser:
        (data / "ullage.toml").write_text(text)
        context = Context(data, clock.as_clock())
        return Browser(
            create_app(
                context, store, accounts, CollectorRegistry(), frozenset({HOST}), hasher=CHEAP
            )
        )

    return under


def proxy_headers(source: str = "203.0.113.7") -> dict[str, str]:
    """Return the headers that a proxy adds."""
    return {"host": PUBLIC, "x-forwarded-for": source, "x-forwarded-proto": "https"}


def log_in(who: Browser, headers: dict[str, str], password: str = PASSWORD):
    return who.post(
        "/login",
        {"name": ASKER, "password": password},
        {**headers, "sec-fetch-site": "same-origin"},
    )


@pytest.mark.parametrize("text", [PROXIED, PAGE], ids=["search.public", "notify.page"])
def test_only_the_public_name_is_answered(console_under, text):
    who = console_under(text)
    assert who.get("/login", headers={"host": PUBLIC}).status_code == 200
    for host in ("evil.example", f"{PUBLIC}.evil.example", f"{PUBLIC}:8600", ""):
        answer = who.get("/login", headers={"host": host})
        assert (answer.status_code, "search.public" in answer.text) == (421, True)


def test_unencrypted_page_address_is_not_a_public_name(console_under):
    assert (
        console_under('[notify]\npage = "http://ullage.bank.example"\n')
        .get("/login", headers={"host": PUBLIC})
        .status_code
        == 421
    )


def test_login_cookie_is_secure_and_bound_to_the_public_host(
    console_under,
):
    who = console_under(PROXIED)
    answer = log_in(who, proxy_headers())
    cookie = answer.headers.get_list("set-cookie")[0]
    assert answer.status_code == 303
    assert cookie.startswith("__Host-ullage_session=")
    assert {part.strip().lower() for part in cookie.split(";")[1:]} == {
        "httponly",
        "path=/",
        "samesite=strict",
        "secure",
    }
    session = cookie.partition(";")[0]
    assert who.get("/", headers={**proxy_headers(), "cookie": session}).status_code == 200
    bare = session.removeprefix("__Host-")
    assert who.get("/", headers={**proxy_headers(), "cookie": bare}).status_code == 401, (
        "a name that anybody can set"
    )


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": ORIGIN}, 303),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": f"http://{PUBLIC}"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": ORIGIN}, 403),
        ({}, 403),
    ],
    ids=str,
)
def test_form_is_accepted_only_from_the_public_origin(console_under, headers, status):
    answer = console_under(PROXIED).post(
        "/login", {"name": ASKER, "password": PASSWORD}, {**proxy_headers(), **headers}
    )
    assert answer.status_code == status


def test_proxy_may_name_the_public_host_in_a_header(console_under):
    who = console_under(PROXIED)
    assert who.get("/login", headers={"host": HOST, "x-forwarded-host": PUBLIC}).status_code == 200
    assert (
        who.get("/login", headers={"host": HOST, "x-forwarded-host": "evil.example"}).status_code
        == 421
    )


def test_tls_browser_gets_hsts(console_under):
    who = console_under(PROXIED)
    assert (
        who.get("/login", headers=proxy_headers()).headers["strict-transport-security"]
        == "max-age=31536000"
    )
    assert who.get("/nowhere", headers=proxy_headers()).headers["strict-transport-security"]
    assert "strict-transport-security" not in who.get("/login").headers
    assert (
        "strict-transport-security"
        not in console_under(PAGE).get("/login", headers={"x-forwarded-proto": "https"}).headers
    )


def test_rate_limit_behind_a_proxy_is_per_reader(console_under):
    who = console_under(PROXIED)
    for n in range(OF_SOURCE):
        who.post(
            "/login",
            {"name": f"name{n}x", "password": "x"},
            {**proxy_headers("203.0.113.7"), "sec-fetch-site": "same-origin"},
        )
    assert log_in(who, proxy_headers("203.0.113.7")).status_code == 429
    assert log_in(who, proxy_headers("203.0.113.8")).status_code == 303


def test_only_our_proxies_may_name_the_source(console_under):
    who = console_under(PAGE)  # which names no proxy
    for name in (
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "Forwarded",
        "X-Real-IP",
    ):
        answer = log_in(who, {"host": PUBLIC, name: "203.0.113.7"})
        assert (answer.status_code, "search.proxies" in answer.text) == (400, True), name
    assert log_in(who, {"host": PUBLIC}).status_code == 303


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
def test_machine_routes_are_local_only(console_under, path):
    who = console_under(PROXIED)
    assert who.get(path).status_code == 200
    assert who.get(path, headers=proxy_headers()).status_code == 404
    assert who.get(path, headers={"x-forwarded-for": "203.0.113.7"}).status_code == 404


@pytest.mark.parametrize(
    ("proxies", "forwarded", "source"),
    [
        (["10.0.0.1"], "203.0.113.7", "203.0.113.7"),
        (["10.0.0.1"], "1.2.3.4, 203.0.113.7", "203.0.113.7"),
        (["10.0.0.0/24"], "203.0.113.7, 10.0.0.9", "203.0.113.7"),
        (["10.0.0.1"], "", "10.0.0.1"),
        (["10.0.0.2"], "203.0.113.7", "10.0.0.1"),
        ([], "203.0.113.7", "10.0.0.1"),
    ],
)
def test_source_is_the_last_address_that_is_not_a_proxy(proxies, forwarded, source, context):
    settings = context.settings.model_copy(
        update={"search": SearchSettings(proxies=tuple(proxies))}
    )
    headers = {"host": "h:1", "x-forwarded-for": forwarded}
    request = Reach.from_settings(settings, {"h:1"}).read_source(
        {"client": ("10.0.0.1", 5)}, headers
    )
    assert (request.host, request.source) == ("h:1", source)


@pytest.mark.parametrize(
    "given",
    [
        {"host": "0.0.0.0"},
        {"host": "192.0.2.1", "certificate": "a.pem"},
        {"public": ["http://ullage.bank.example"]},
        {"public": ["https://ullage.bank.example/desk?x=1"]},
        {"public": ["https://ullage.bank.example/../desk"]},
        {"public": ["https://ullage.bank.example//desk"]},
        {"public": ["ullage.bank.example"]},
        {"public": ["https://user@ullage.bank.example"]},
        {"proxies": ["proxy.example"]},
        {"proxies": ["10.0.0.1/8"]},
    ],
    ids=str,
)
def test_bare_listener_and_invalid_addresses_are_rejected(given):
    with pytest.raises(ValidationError):
        SearchSettings(**given)


def test_listening_outside_loopback_needs_a_certificate_or_socket():
    assert SearchSettings(host="192.0.2.1", certificate="a.pem", key="a.key").host == "192.0.2.1"
    assert SearchSettings(host="192.0.2.1", socket="desk.sock").socket == "desk.sock"
