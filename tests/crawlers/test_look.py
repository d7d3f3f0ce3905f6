"""`ullage check` looks at each site that is crawled, once and politely, and says what speaks
against it.
"""

import asyncio

import pytest

from crawlers.sites.site import Site
from crawlers.trial.fetch import check_sites, list_requests
from tests.crawlers.conftest import Station
from tests.crawlers.resolving import PUBLIC
from tests.crawlers.support import Answers, make_site, serving
from ullage.settings import CrawlSettings


def run_check(station: Station) -> dict[str, str]:
    """Return what `check` says of each site.

    The command fails in any case, as there is no customer list.
    """
    lines = [line for line in station.run("check", exits=1).splitlines() if " site " in line]
    return {line.split(" site ")[1].split(":")[0]: line for line in lines}


def test_check_asks_each_site_once_and_reports_problems(station: Station, server: Answers) -> None:
    with serving() as gone:
        closed = gone.url
    with serving() as strict, serving() as broken:
        strict.says("/robots.txt", "User-agent: *\nDisallow: /")
        broken.says("/robots.txt", status=503)
        station.site("open", f"{server.url}/archive")
        station.site("closed", f"{closed}/archive")
        station.site("private", f"{server.url}/archive", more="allow_private = false")
        station.site("strict", f"{strict.url}/archive")
        station.site("broken", f"{broken.url}/archive")
        station.site("plain", server.url.replace("http:", "https:"))
        station.site("unknown", "http://no-such-host.invalid/")
        station.site("off", f"{server.url}/off", more="enabled = false")
        station.feed("chat", f'start = ["{server.url}/chat"]')
        station.names = ["no-such-host.invalid=none"]
        lines = run_check(station)
        assert {name: line[:5].strip() for name, line in lines.items()} == {
            "open": "ok", **dict.fromkeys(("closed", "private", "strict", "broken", "plain",
            "unknown"), "FAULT"),
        }  # fmt: skip
        words = {name: line.split(": ")[1] for name, line in lines.items() if "FAULT" in line}
        assert words == {
            "closed": "refused", "private": "address", "strict": "robots", "broken": "robots_error",
            "plain": "tls",
            "unknown": "dns",
        }  # fmt: skip
        assert "allow_private = true" in lines["private"]
        assert (server.requested_paths, strict.requested_paths, broken.requested_paths) == (
            ["/robots.txt"],
            ["/robots.txt"],
            ["/robots.txt"],
        )
        assert server.agents == {"ullage (leak monitor; contact: security@example.com)"}


def test_check_warns_where_no_site_is_watched(station: Station, server: Answers) -> None:
    def find_line() -> str:
        return next(
            line for line in station.run("check", exits=1).splitlines() if " sites: " in line
        )

    assert find_line().startswith(
        "WARN   sites: 0 read, 0 crawled, 0 by ingest, so no site is monitored from here: `ullage"
        " sites try URL` examines"
    )
    station.site("paste", f"{server.url}/archive", more="enabled = false")
    assert find_line().startswith("WARN   sites: 1 read, 0 crawled")
    station.feed("chat", f'start = ["{server.url}/chat"]')
    assert find_line() == "ok     sites: 2 read, 0 crawled, 1 by ingest"


def test_check_warns_of_the_default_contact(station: Station, server: Answers) -> None:
    def is_warned(**settings: str) -> list[str]:
        lines = station.run("check", exits=1, **settings).splitlines()
        return [line for line in lines if "name that sites see" in line]

    assert is_warned()[0].startswith(
        "WARN   name that sites see: crawl.user_agent names security@example.com"
    )
    assert is_warned(crawl__user_agent="me")[0].startswith(
        "WARN   name that sites see: crawl.user_agent names no contact"
    )
    assert is_warned(crawl__user_agent="me (soc@bank.example)") == [
        "ok     name that sites see: me (soc@bank.example)"
    ]


def test_faulty_configuration_does_not_hide_site_errors(station: Station) -> None:
    (station.data / "ullage.toml").write_text('[crawl]\nuser_agnet = "x"\n[matc]\n')
    station.site("board", "http://127.0.0.1:1/", platform="spirt", more="revisit_second = 1")
    lines = [
        line for line in station.run("check", exits=2).splitlines() if line.startswith("ullage: ")
    ]
    assert [line.removeprefix(f"ullage: {station.data}/") for line in lines] == [
        "ullage.toml: crawl.user_agnet: did you mean user_agent?",
        "ullage.toml: matc: did you mean match?",
        "sites.d/board.toml: revisit_second: did you mean revisit_seconds?",
        next(line for line in lines if "'spirt'" in line).removeprefix(f"ullage: {station.data}/"),
    ]
    assert lines[-1].endswith("did you mean spirit?")


def test_site_ignoring_robots_is_checked_at_its_start_page(
    station: Station, server: Answers
) -> None:
    server.says("/list", "", status=500)
    station.site("wrong", f"{server.url}/list", more="robots = false")
    station.site("absent", f"{server.url}/gone", more="robots = false")
    lines = run_check(station)
    assert {name: line.split(": ")[1] for name, line in lines.items()} == {
        "wrong": "http_5xx",
        "absent": "gone",
    }
    assert sorted(server.requested_paths) == ["/gone", "/list"]


def test_check_connects_to_the_resolved_address(station: Station, server: Answers) -> None:
    station.site(
        "paste", f"http://rebind.example:{server.port}/archive", more="allow_private = false"
    )
    station.names = [f"rebind.example={PUBLIC},127.0.0.1"]
    assert "FAULT" in run_check(station)["paste"]
    assert server.requested_paths == []


def test_each_origin_is_requested_once() -> None:
    starts = [
        "http://a.example/x",
        "http://A.example/y",
        "http://a.example:8080/",
        "https://b.example/z?page=1",
    ]
    every = (
        "http://a.example/robots.txt",
        "http://a.example:8080/robots.txt",
        "https://b.example/robots.txt",
    )
    assert list_requests(make_site(start=starts)) == every
    assert list_requests(make_site(start=starts, robots=False)) == (starts[0], *starts[2:])


def test_sites_not_reached_in_time_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look(_: object, site: Site, *__: object) -> str:
        if site.name == "slow":
            await asyncio.Event().wait()
        return ""

    monkeypatch.setattr("crawlers.trial.fetch._check_site", look)
    sites = [make_site(name="slow"), make_site(name="quick")]
    assert asyncio.run(check_sites(CrawlSettings(), sites, 0.2)) == {"quick": ""}
