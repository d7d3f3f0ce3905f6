"""What was resolved and checked is what is connected to: names whose owner changes his mind,
certificates, kept connections.
"""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.certificates import Certificates, make_certificates
from tests.crawlers.conftest import Station
from tests.crawlers.resolving import PUBLIC
from tests.crawlers.support import Answers, serving
from tests.crawlers.test_crawl import find_visit

HOST = "rebind.example"


@pytest.fixture
def outside() -> Iterator[Answers]:
    """Yield the site, on the one address that is public."""
    with serving(PUBLIC) as answers:
        yield answers


@pytest.fixture
def inside(outside: Answers) -> Iterator[Answers]:
    """Yield an internal service on the same port."""
    with serving(port=outside.port) as answers:
        yield answers


def fill(answers: Answers, count: int) -> None:
    answers.says(
        "/archive", "".join(f'<a href="/paste{number:03}">title</a>' for number in range(count))
    )
    for number in range(count):
        answers.says(f"/raw/paste{number:03}", f"text {number}", **{"Content-Type": "text/plain"})


def crawl(
    station: Station, url: str, *names: str, more: str = "", exits: int = 0
) -> dict[str, object]:
    station.site("paste", url, more=f"allow_private = false\n{more}")
    station.names = list(names)
    return find_visit(station.run("crawl", "--once", exits=exits))


def test_host_is_read_at_its_resolved_address_under_its_name(
    station: Station, outside: Answers, inside: Answers
) -> None:
    fill(outside, 3)
    assert (
        crawl(station, f"http://{HOST}:{outside.port}/archive", f"{HOST}={PUBLIC}")["captures"] == 3
    )
    assert outside.hosts == {f"{HOST}:{outside.port}"}
    assert inside.requested_paths == []
    assert {capture.url.rpartition("/")[0] for capture in station.captures()} == {
        f"http://{HOST}:{outside.port}"
    }


@pytest.mark.parametrize(("before", "asked"), [(1, 0), (4, 4)])
def test_name_that_changes_to_a_private_address_is_not_requested(
    station: Station, outside: Answers, inside: Answers, before: int, asked: int
) -> None:
    """A look-up each for the list, robots.txt and the pastes; connections to the public address
    are kept meanwhile.
    """
    fill(outside, 3)
    fill(inside, 3)
    turns = ",".join([*[PUBLIC] * before, "127.0.0.1"])
    crawl(
        station,
        f"http://{HOST}:{outside.port}/archive",
        f"{HOST}={turns}",
        more="concurrency = 4",
        exits=int(asked == 0),
    )
    assert inside.requested_paths == []
    assert len(outside.requested_paths) == asked


def test_name_that_changes_after_lookup_gets_no_connection(
    station: Station, inside: Answers
) -> None:
    """Nothing listens on the public address: a look-up of the connection's own would have found
    the service inside.
    """
    fill(inside, 1)
    crawl(
        station,
        f"http://{HOST}:{inside.port}/archive",
        f"{HOST}={PUBLIC},127.0.0.1",
        more="robots = false",
        exits=1,
    )
    assert inside.requested_paths == []


def test_redirect_to_a_host_with_a_private_address_is_not_followed(
    station: Station, outside: Answers, inside: Answers
) -> None:
    fill(inside, 1)
    led = f"mixed.example:{outside.port}"
    outside.says("/archive", "", status=302, Location=f"http://{led}/archive")
    names = f"{HOST}={PUBLIC}", "mixed.example=127.0.0.1"
    crawl(
        station, f"http://{HOST}:{outside.port}/archive", *names, more=f'hosts = ["{led}"]', exits=1
    )
    assert "/archive" in outside.requested_paths
    assert inside.requested_paths == []


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Certificates, Path]:
    certificates_, folder = make_certificates(), tmp_path_factory.mktemp("tls")
    (folder / "authority.pem").write_bytes(certificates_.authority)
    (folder / "server.pem").write_bytes(certificates_.certificate + certificates_.key)
    return certificates_, folder


@pytest.fixture
def secure(
    certificates: tuple[Certificates, Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Answers]:
    """Yield a TLS site on the public address with a certificate for `localhost`.

    It records the server name that clients request.
    """
    _, folder = certificates
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    with serving(PUBLIC, tls=context) as answers:
        context.sni_callback = lambda _, name, __: answers.hosts.add(f"sni {name}")
        yield answers


def test_https_verifies_the_certificate_of_the_name(station: Station, secure: Answers) -> None:
    fill(secure, 2)
    assert (
        crawl(station, f"https://localhost:{secure.port}/archive", f"localhost={PUBLIC}")[
            "captures"
        ]
        == 2
    )
    assert secure.hosts == {"sni localhost", f"localhost:{secure.port}"}


def test_certificate_for_another_name_is_rejected(station: Station, secure: Answers) -> None:
    fill(secure, 2)
    assert (
        crawl(station, f"https://{HOST}:{secure.port}/archive", f"{HOST}={PUBLIC}", exits=1)[
            "captures"
        ]
        == 0
    )
    assert secure.requested_paths == []
    more = "verify_certificates = false"
    assert (
        crawl(station, f"https://{HOST}:{secure.port}/archive", f"{HOST}={PUBLIC}", more=more)[
            "captures"
        ]
        == 2
    )


def test_redirect_to_another_port_of_the_host_is_not_followed(
    station: Station, server: Answers
) -> None:
    with serving() as elsewhere:
        fill(elsewhere, 1)
        server.says("/archive", "", status=302, Location=f"{elsewhere.url}/archive")
        station.site("paste", f"{server.url}/archive")
        assert find_visit(station.run("crawl", "--once", exits=1))["captures"] == 0
        assert elsewhere.requested_paths == []
        station.site(
            "paste", f"{server.url}/archive", more=f'hosts = ["127.0.0.1:{elsewhere.port}"]'
        )
        assert find_visit(station.run("crawl", "--once"))["captures"] == 1
