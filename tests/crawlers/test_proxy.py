"""Sites that are read by way of a proxy: names are the proxy's to look up, and nothing goes past
it.
"""

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from scrapy import Request

from crawlers.fetching import RequestRefusal
from crawlers.fetching.address_guard import AddressGuard
from crawlers.fetching.address_pin import is_internal_name
from crawlers.fetching.proxy import Proxy, load_proxies
from deploy.local.certificates import make_certificates
from tests.crawlers.conftest import Station
from tests.crawlers.proxies import Http, LocalProxy, Socks, proxying
from tests.crawlers.support import Answers, make_site, serving
from tests.crawlers.test_crawl import find_visit
from ullage.errors import ConfigError
from ullage.settings import Context

ONION = "ullagetestullagetest.onion"


@pytest.fixture
def socks() -> Iterator[LocalProxy]:
    with proxying(Socks) as way:
        yield way


@pytest.fixture
def http() -> Iterator[LocalProxy]:
    with proxying(Http) as way:
        yield way


def fill(answers: Answers) -> None:
    answers.says("/archive", '<a href="/paste000">title</a>')
    answers.says("/raw/paste000", "text", **{"Content-Type": "text/plain"})


def configure(station: Station, address: str, secret: str = "") -> None:
    more = f'[crawl.proxies.out]\naddress = "{address}"\n'
    if secret:
        file = station.data / "keys" / "proxy" / "out"
        file.parent.mkdir(mode=0o700)
        file.write_text(secret)
        file.chmod(0o600)
        more += 'credentials = "out"\n'
    config = station.data / "ullage.toml"
    config.write_text(f"{config.read_text()}\n{more}")


def crawl(
    station: Station, url: str, more: str = "", exits: int = 0, **settings: str
) -> dict[str, object]:
    station.site("paste", f"{url}/archive", more=f'allow_private = false\nproxy = "out"\n{more}')
    return find_visit(station.run("crawl", "--once", exits=exits, **settings))


def reason(station: Station) -> str:
    return json.loads(station.run("sites", "--json"))["reason"]


def test_onion_site_is_read_through_socks_without_a_local_lookup(
    station: Station, socks: LocalProxy, server: Answers
) -> None:
    """The machine's resolver answers that name with an address of this house: whoever asked it
    would be refused.
    """
    fill(server)
    socks.names, socks.secret = {ONION: ("127.0.0.1", server.port)}, (b"user", b"pass:word")
    configure(station, f"socks5h://127.0.0.1:{socks.port}", "user:pass:word")
    station.names = [f"{ONION}=127.0.0.1"]
    assert crawl(station, f"http://{ONION}")["captures"] == 1
    assert set(socks.connections) == {(ONION, 80)}
    assert server.hosts == {ONION}
    (capture,) = station.captures()
    assert capture.url == f"http://{ONION}/paste000"


def test_onion_name_is_never_looked_up_without_a_proxy(station: Station, server: Answers) -> None:
    fill(server)
    station.site("paste", f"http://{ONION}:{server.port}/archive", more="allow_private = true")
    station.names = [f"{ONION}=127.0.0.1"]
    station.run("crawl", "--once", exits=1)
    assert (server.requested_paths, reason(station)) == ([], "onion")


def test_site_with_a_missing_proxy_is_not_requested_directly(
    station: Station, server: Answers
) -> None:
    fill(server)
    station.site("paste", f"{server.url}/archive", more='proxy = "other"')
    station.run("crawl", "--once", exits=1)
    assert (server.requested_paths, reason(station)) == ([], "proxy")


@pytest.mark.parametrize("fault", ["secret", "name"])
def test_rejecting_proxy_is_reported(
    station: Station, socks: LocalProxy, server: Answers, fault: str
) -> None:
    socks.names = {} if fault == "name" else {"site.example": ("127.0.0.1", server.port)}
    socks.secret = (b"user", b"other") if fault == "secret" else None
    configure(station, f"socks5h://127.0.0.1:{socks.port}", "user:word")
    crawl(station, "http://site.example", exits=1)
    assert (server.requested_paths, reason(station)) == ([], "proxy")


def test_silent_proxy_is_cut_at_the_page_deadline(station: Station, socks: LocalProxy) -> None:
    socks.silent = threading.Event()
    configure(station, f"socks5h://127.0.0.1:{socks.port}")
    with station.start("crawl", "--once", crawl__download_seconds="2") as process:
        station.site(
            "paste",
            "http://site.example/archive",
            more='allow_private = false\nproxy = "out"\nrobots = false',
        )
        assert socks.begun.wait(60)
        began = time.monotonic()
        process.wait(60)
        assert time.monotonic() - began < 50, "the proxy itself would end it after 60"
    socks.silent.set()
    assert reason(station) == "timeout"


def test_http_proxy_receives_the_request_and_credentials(
    station: Station, http: LocalProxy, server: Answers
) -> None:
    fill(server)
    http.names = {"site.example": ("127.0.0.1", server.port)}
    configure(station, f"http://127.0.0.1:{http.port}", "user:word")
    assert crawl(station, "http://site.example")["captures"] == 1
    assert {request.split(b" ")[0] for request in http.requests} == {b"GET"}
    assert all(b"Proxy-Authorization: Basic dXNlcjp3b3Jk" in request for request in http.requests)


def test_https_site_is_read_through_an_http_proxy_with_its_own_ca(
    station: Station, http: LocalProxy, tmp_path: Path
) -> None:
    certificates, tls = make_certificates(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for name in ("certificate", "key", "authority"):
        (tmp_path / name).write_bytes(getattr(certificates, name))
    tls.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    with serving(tls=tls) as server:
        fill(server)
        http.names = {"localhost": ("127.0.0.1", server.port)}
        configure(station, f"http://127.0.0.1:{http.port}")
        station.site("paste", "https://localhost/archive", more='proxy = "out"')
        station.run("crawl", "--once", exits=1)
        assert reason(station) == "tls"
        config = station.data / "ullage.toml"
        config.write_text(f'{config.read_text()}ca = "{tmp_path / "authority"}"\n')
        assert find_visit(station.run("crawl", "--once"))["captures"] == 1
    assert all(request.startswith(b"CONNECT localhost:443 ") for request in http.requests)


HOUSE = [
    "127.0.0.1",
    "10.0.0.1",
    "[::1]",
    "localhost",
    "db",
    "a.internal",
    "2130706433",
    "0x7f.1",
    "127.1",
    "printer.lan.",
]


@pytest.mark.parametrize("host", HOUSE)
def test_proxied_request_to_a_private_host_is_blocked(host: str) -> None:
    site, request = make_site(start=[f"http://{host}/"], proxy="out"), Request(f"http://{host}/")
    guard = AddressGuard(site, {}, Proxy("socks5h", "127.0.0.1", 1))
    with pytest.raises(RequestRefusal) as refused:
        asyncio.run(guard.process_request(request))
    assert refused.value.reason == "address"
    allowed = AddressGuard(
        site.model_copy(update={"allow_private": True}), {}, Proxy("socks5h", "127.0.0.1", 1)
    )
    asyncio.run(allowed.process_request(request))


@pytest.mark.parametrize("host", ["site.example", ONION, "8.8.8.8", "2606:4700::1111", "1.example"])
def test_internet_names_are_allowed(host: str) -> None:
    assert not is_internal_name(host)


@pytest.mark.parametrize(
    ("address", "secret", "told"),
    [
        (
            "socks5://127.0.0.1:9050",
            "",
            "address: must be socks5h://HOST:PORT or http://HOST:PORT, without user and password",
        ),
        ("socks5h://user:word@127.0.0.1:9050", "", "without user and password"),
        ("http://127.0.0.1:8080", "no colon", "must contain a line `user:password`"),
    ],
)
def test_unusable_proxy_is_reported_at_start(
    station: Station, address: str, secret: str, told: str
) -> None:
    configure(station, address, secret)
    with pytest.raises(ConfigError) as fault:
        load_proxies(Context(station.data))
    assert told in str(fault.value)
    assert "word" not in str(fault.value).replace("password", "")
