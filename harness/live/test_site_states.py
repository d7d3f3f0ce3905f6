"""A real site breaks in each way there is: crawl says so within two revisits, the shipped rules
raise the alert, and both end.

The sites are a real bepasty and a real Spirit. Spirit itself becomes a members' forum and is given
another layout; a guard, a robots.txt and a dead machine are what a front before the program can do.
Everything else of it is real too: the crawl process, Prometheus, the rules as they ship with
seconds for minutes.
"""

import contextlib
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from deploy.demo import drive
from deploy.local import server
from deploy.local.posting import Bepasty
from deploy.local.posting import Spirit as Poster
from deploy.local.programs import bepasty, ensure_environment, spirit
from harness.live.front import Front, fronts
from harness.live.quick import prometheus_files
from harness.servers.monitoring import prometheus
from tests.flow.daemon import page, until

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

Act = Callable[[], object]
REVISITS = 2
SECONDS = 150.0
HOUR = 3600
PRIVATE = "from .local import *\nST_PRIVATE_FORUM = True\n"
REDESIGNED = "from .local import *\nTEMPLATES[0]['DIRS'] = [{folder!r}]\n"
BOARDS = ("members", "redesigned")
LIST = Path("spirit/topic/_render_list.html")
ROWS, STATE = (
    re.compile(r"^ullage_crawl_site_state\{(.*)\} 1\.0$", re.MULTILINE),
    re.compile(r'(\w+)="([^"]*)"'),
)


@dataclass
class World:
    """The fronts by site, the programs behind them, and the crawl process with its Prometheus."""

    doors: dict[str, Front]
    forums: dict[str, str]
    silent: Bepasty
    log: Path
    metrics: str
    prometheus: str

    def state(self, site: str) -> str | None:
        """Return the one state of a site whose series is 1."""
        rows = (dict(STATE.findall(labels)) for labels in ROWS.findall(page(self.metrics)))
        return next((row["state"] for row in rows if row["site"] == site), None)

    def is_in(self, site: str, state: str) -> bool:
        return self.state(site) == state

    def value(self, name: str) -> float:
        match = re.search(rf"^{name} (\S+)$", page(self.metrics), re.MULTILINE)
        assert match, name
        return float(match[1])

    def visits(self, site: str) -> int:
        """Visits to a site that have ended."""
        lines = map(json.loads, self.log.read_text().splitlines())
        return sum(line["event"] == "visited" and line["site"] == site for line in lines)

    def fires(self, alert: str, site: str = "") -> bool:
        of_site = f',site="{site}"' if site else ""
        words = urllib.parse.quote(f'ALERTS{{alertname="{alert}",alertstate="firing"{of_site}}}')
        reply = json.loads(page(f"{self.prometheus}/api/v1/query?query={words}"))
        return bool(reply["data"]["result"])

    def after_a_visit(self, site: str, act: Act) -> int:
        """Do `act` between two visits; the number of visits until then."""
        before = self.visits(site)
        until(lambda: self.visits(site) > before, f"{site} is visited", SECONDS)
        act()
        return self.visits(site)


@contextlib.contextmanager
def variant(programs: Path, work: Path, name: str, settings: str) -> Iterator[str]:
    """Run the forum in `work` under other settings.

    It runs beside the first one and on the same database.
    """
    project = work / "board"
    (project / "board" / "settings" / f"{name}.py").write_text(settings)
    (port,) = server.free_ports(1)
    words = [
        str(programs / "python"),
        "manage.py",
        "runserver",
        "--noreload",
        "--insecure",
        f"127.0.0.1:{port}",
    ]
    environment = {"DJANGO_SETTINGS_MODULE": f"board.settings.{name}"}
    with server.running("a forum", words, project / f"{name}.log", environment, port):
        yield f"http://127.0.0.1:{port}"


def redesign(programs: Path, folder: Path) -> str:
    """Spirit's own template of a list with another class on its links; the settings that use it."""
    (shipped,) = (programs.parent / "lib").glob(
        f"python*/site-packages/spirit/topic/templates/{LIST}"
    )
    text = shipped.read_text()
    assert "topic__link" in text
    (folder / LIST).parent.mkdir(parents=True)
    (folder / LIST).write_text(text.replace("topic__link", "topic__anchor"))
    return REDESIGNED.format(folder=str(folder))


def backdate(store: Path, hours: range) -> None:
    """Copy the one paste in bepasty's store, each copy as if uploaded so many hours ago.

    The paste itself is the oldest.
    """
    (meta,) = store.glob("*.meta")
    content = pickle.loads(meta.read_bytes())
    now = int(time.time())
    for ago in hours:
        # it takes no digits that look like letters
        name = f"{ago:08}".translate(str.maketrans("0123456789", "abcdefghjk"))
        shutil.copyfile(meta.with_suffix(".data"), store / f"{name}.data")
        (store / f"{name}.meta").write_bytes(
            pickle.dumps({**content, "timestamp-upload": now - ago * HOUR}, protocol=2)
        )
    meta.write_bytes(
        pickle.dumps({**content, "timestamp-upload": now - hours.stop * HOUR}, protocol=2)
    )


QUICK_ROBOTS = """
from crawlers.visiting import visitor
from ullage.cli import main

visitor.ROBOTS_SECONDS = 1.0
main()
"""
"""An hour is too long to wait for."""


@contextlib.contextmanager
def crawling(data: Path, log: Path, port: int) -> Iterator[str]:
    """Run a crawl process that requests robots.txt again each second.

    Yield the address of its metrics.
    """
    settings = {"HEARTBEAT_SECONDS": "1", "DOWNLOAD_SECONDS": "10"}
    environment = {
        **os.environ,
        "ULLAGE_LOG_LEVEL": "info",
        **{f"ULLAGE_CRAWL__{k}": v for k, v in settings.items()},
    }
    environment["ULLAGE_METRICS_PORTS__CRAWL"] = str(port)
    with log.open("ab") as output:
        words = [sys.executable, "-c", QUICK_ROBOTS, "--data", str(data), "crawl"]
        process = subprocess.Popen(words, stderr=output, stdout=output, env=environment)
    try:
        until(lambda: server.takes_connections(port), "crawl listens", SECONDS)
        yield f"http://127.0.0.1:{port}/metrics"
    finally:
        process.terminate()
        assert process.wait(60) == 0


@contextlib.contextmanager
def sites(programs: Path, work: Path) -> Iterator[tuple[dict[str, str], dict[str, Front], Bepasty]]:
    """Addresses of the forum's variants, the fronts by site, and how to paste into the silent
    site.
    """
    with contextlib.ExitStack() as stack:
        pastes = stack.enter_context(bepasty(programs, work / "pastes"))
        silent = stack.enter_context(bepasty(programs, work / "silent"))
        forum = stack.enter_context(spirit(programs, work / "forum", ("General",)))
        forums = {"public": forum.url}
        for name, settings in (
            ("private", PRIVATE),
            ("redesigned", redesign(programs, work / "templates")),
        ):
            forums[name] = stack.enter_context(variant(programs, work / "forum", name, settings))
        poster = Poster(forum.url, forum.user, forum.password)
        for number in range(3):
            poster.topic(forum.categories["General"], f"topic {number}", f"text {number}")
        for url in (pastes, silent):
            Bepasty(url).paste("some text", "some.txt")
        backdate(work / "silent" / "store", range(60, 60 + 24 * 10, 6))
        behind = {
            "guarded": pastes,
            "denied": pastes,
            "gone": pastes,
            "silent": silent,
            **dict.fromkeys(BOARDS, forum.url),
        }
        yield forums, stack.enter_context(fronts(behind)), Bepasty(silent)


@pytest.fixture(scope="module")
def world(monitoring: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    programs = ensure_environment(Path(__file__).parents[2] / ".demo" / "sites-venv")
    work, (port,) = tmp_path_factory.mktemp("states"), server.free_ports(1)
    with contextlib.ExitStack() as stack:
        forums, doors, silent = stack.enter_context(sites(programs, work))
        ullage = drive.Ullage(work / "data")
        ullage("init")
        for name, door in doors.items():
            platform, category = ("spirit", "forum") if name in BOARDS else ("bepasty", "paste")
            (ullage.data / "sites.d" / f"{name}.toml").write_text(
                drive.site(platform, f"{door.url}/", category, revisit=1)
            )
        metrics = stack.enter_context(crawling(ullage.data, work / "crawl.log", port))
        ports = {"crawl": port} | dict.fromkeys(("match", "alert", "search"), 1)
        files = prometheus_files(work / "prometheus", ports, "http://127.0.0.1:1")
        address = stack.enter_context(prometheus(work / "prometheus", files))
        running = World(doors, forums, silent, work / "crawl.log", metrics, address)
        for site in doors:
            until(
                partial(running.is_in, site, "quiet" if site == "silent" else "ok"),
                f"{site} is read",
                SECONDS,
            )
        yield running


def breaks_and_ends(
    world: World, site: str, state: str, alert: str, broken: Act, mended: Act
) -> None:
    """Break a site and repair it.

    It must be in `state` within two visits, with its alert firing, and then `ok` again without it;
    the others stay as they are.
    """
    before = world.after_a_visit(site, broken)
    until(lambda: world.state(site) == state, f"{site} is {state}", SECONDS)
    assert world.visits(site) - before <= REVISITS
    until(lambda: world.fires(alert, site), f"{alert} fires for {site}", SECONDS)
    other_states = {name: world.state(name) for name in world.doors if name not in (site, "silent")}
    assert set(other_states.values()) == {"ok"}
    mended()
    until(lambda: world.state(site) == "ok", f"{site} is ok again", SECONDS)
    until(lambda: not world.fires(alert, site), f"{alert} has ended", SECONDS)


def set_to(door: Front, name: str, value: str) -> Act:
    """Return the act that makes a front behave so."""
    return lambda: setattr(door, name, value)


def test_challenge_before_a_site_is_reported(world: World) -> None:
    door = world.doors["guarded"]
    guarded, opened = set_to(door, "mood", "guarded"), set_to(door, "mood", "open")
    breaks_and_ends(world, "guarded", "blocked", "UllageSiteFailing", guarded, opened)


def test_newly_forbidding_robots_txt_is_reported(world: World) -> None:
    door = world.doors["denied"]
    breaks_and_ends(
        world,
        "denied",
        "robots_denied",
        "UllageSiteQuiet",
        set_to(door, "mood", "denied"),
        set_to(door, "mood", "open"),
    )


def test_unreachable_host_is_reported_while_others_answer(world: World) -> None:
    door = world.doors["gone"]
    breaks_and_ends(world, "gone", "unreachable", "UllageSiteFailing", door.close, door.open)
    assert world.value("ullage_crawl_egress_up") == 1


@pytest.mark.parametrize(
    ("site", "variant", "state", "alert"),
    [
        pytest.param(
            "members",
            "private",
            "login_expired",
            "UllageSiteFailing",
            id="members only",
        ),
        pytest.param(
            "redesigned",
            "redesigned",
            "layout_changed",
            "UllageSiteFailing",
            id="another layout",
        ),
    ],
)
def test_changed_forum_is_reported(
    world: World, site: str, variant: str, state: str, alert: str
) -> None:
    broken, mended = (
        set_to(world.doors[site], "upstream", world.forums[name]) for name in (variant, "public")
    )
    breaks_and_ends(world, site, state, alert, broken, mended)


def test_unusually_silent_site_is_reported_until_it_posts_again(world: World) -> None:
    """Its store holds a paste every six hours for ten days, and none for the last sixty hours."""
    assert world.state("silent") == "quiet"
    until(lambda: world.fires("UllageSiteQuiet", "silent"), "the alert fires", SECONDS)
    assert (
        world.value('ullage_crawl_site_expected_by_timestamp_seconds{site="silent"}')
        < time.time() - HOUR
    )
    before = world.after_a_visit("silent", partial(world.silent.paste, "a new one", "new.txt"))
    until(lambda: world.state("silent") == "ok", "it is ok again", SECONDS)
    assert world.visits("silent") - before <= REVISITS
    assert (
        world.value('ullage_crawl_site_expected_by_timestamp_seconds{site="silent"}') > time.time()
    )
    until(lambda: not world.fires("UllageSiteQuiet", "silent"), "the alert has ended", SECONDS)


def test_egress_failure_gives_one_alert_and_blames_no_site(world: World) -> None:
    before = {site: world.state(site) for site in world.doors}
    for door in world.doors.values():
        door.close()
    until(lambda: world.value("ullage_crawl_egress_up") == 0, "the way out is down", SECONDS)
    until(lambda: world.fires("UllageCollectionStopped"), "its alert fires", SECONDS)
    until(
        lambda: {site: world.state(site) for site in world.doors} == before,
        "no site is blamed",
        SECONDS,
    )
    counts = {site: world.visits(site) for site in world.doors}
    until(
        lambda: all(world.visits(site) >= count + 2 for site, count in counts.items()),
        "visits go on",
        SECONDS,
    )
    assert {site: world.state(site) for site in world.doors} == before
    assert not world.fires("UllageSiteFailing")
    for door in world.doors.values():
        door.open()
    until(lambda: world.value("ullage_crawl_egress_up") == 1, "the way out is back", SECONDS)
    until(lambda: not world.fires("UllageCollectionStopped"), "its alert has ended", SECONDS)
