"""What a crawl host gathers for the ledger of coverage, and what it does not dare to say."""

import pytest
from prometheus_client import CollectorRegistry

from crawlers.metrics import CrawlMetrics
from crawlers.platforms import find_platform
from crawlers.scheduling.canary_site import CanarySite
from crawlers.scheduling.crawled_sites import SiteList, SiteLocks
from crawlers.scheduling.heartbeats import HoursSeen
from crawlers.sites.site import SiteFolder
from tests.conftest import NOON
from ullage.records.heartbeat import HOUR_SECONDS, SLOTS
from ullage.security import keys
from ullage.settings import Context

HOUR = int(NOON // HOUR_SECONDS)
START = HOUR * float(HOUR_SECONDS)
REACH = 120.0


def slots(hours: HoursSeen, site: str = "board") -> dict[int, str]:
    reported, _ = hours.told(100)
    return {hour - HOUR: statuses for name, hour, statuses in reported if name == site}


def test_slot_has_the_best_status_observed() -> None:
    hours = HoursSeen()
    for second, letter in ((0, "n"), (60, "o"), (120, "b"), (360, "b"), (420, "b")):
        hours.note(START + second, second, {"board": letter}, REACH)
    assert slots(hours)[0] == "ob" + "." * 10


def test_last_hour_is_reported_once_more_for_its_late_posts() -> None:
    hours = HoursSeen()
    hours.note(START, 0.0, {"board": "o"}, REACH)
    assert slots(hours) == {-1: "." * SLOTS, 0: "o" + "." * 11}


def test_rare_heartbeats_cover_the_time_between_them() -> None:
    hours = HoursSeen()
    for second in (0, 900, 7200):
        hours.note(START + second, second, {"board": "o"}, 1800.0)
    assert (slots(hours)[0], slots(hours)[2]) == ("oooo" + "." * 8, "o" + "." * 11)


def test_clock_jump_covers_nothing() -> None:
    for jump in (-7200.0, 7200.0):
        hours = HoursSeen()
        hours.note(START + 1800, 0.0, {"board": "o"}, REACH)
        hours.note(START + 1860 + jump, 60.0, {"board": "o"}, REACH)
        assert {hour: statuses.count("o") for hour, statuses in slots(hours).items()} == {
            int(jump // HOUR_SECONDS): 1
        }


def test_status_not_accepted_by_the_bus_is_not_reported_later() -> None:
    hours = HoursSeen()
    hours.note(START, 0.0, {"board": "o"}, REACH)
    hours.forget()
    hours.note(START + 600, 600.0, {"board": "o"}, REACH)
    assert slots(hours)[0] == "..o" + "." * 9


def test_sites_waiting_longest_are_reported_first() -> None:
    hours, sites = HoursSeen(), [f"site-{n}" for n in range(10)]
    counts = dict.fromkeys(sites, 0)
    for minute in range(1, 11):
        hours.note(START + minute * 60 + 300, minute * 60.0, dict.fromkeys(sites, "o"), REACH)
        reported, gone = hours.told(4)
        for site, _, _ in reported:
            counts[site] += 1
        hours.sent(reported, gone)
    assert min(counts.values()) >= 3, (
        "every site within as many heartbeats as it takes to tell of all"
    )


def test_site_without_a_file_is_reported_as_gone_until_sent() -> None:
    hours = HoursSeen({"board", "old"})
    hours.files({"board"})
    assert hours.told(10)[1] == ("old",)
    hours.files({"board"})
    hours.sent(*hours.told(10))
    assert hours.told(10)[1] == ()
    hours.files({"board", "old"})
    hours.files({"old"})
    hours.files({"old", "board"})
    assert hours.told(10)[1] == (), "it came back before anybody was told"


@pytest.mark.parametrize(
    ("names", "unwatched"),
    [([], {"off": "d", "fed": "i", "bare": "g", "broken": "f"}), (["board"], {})],
    ids=["all", "one"],
)
def test_unread_sites_are_reported_with_their_reason(
    context: Context, names: list[str], unwatched: dict[str, str]
) -> None:
    folder = context.data / "sites.d"
    good = 'platform = "spirit"\nstart = ["http://board.example/"]\nowner = "us"\n'
    files = {
        "board": f'{good}legal_basis = "test"',
        "off": f'{good}legal_basis = "test"\nenabled = false',
        "fed": 'platform = "ingest"\nowner = "us"\nlegal_basis = "test"',
        "bare": good,
        "broken": "platform =",
    }
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)
    metrics = CrawlMetrics(CollectorRegistry(), context.clock)
    canary = CanarySite(
        context.settings.canary,
        context.clock,
        keys.load_signer(context.keys, "crawl"),
        enabled=False,
    )
    locks = SiteLocks(context.data)
    sites = SiteList(SiteFolder(folder, find_platform), names, locks, canary, metrics)
    sites.read(strict=False, once=False)
    assert sites.files >= {*files}
    assert {name: why for name, why in sites.unwatched.items() if name in files} == unwatched
    assert [site.name for site in sites.watched if site.name in files] == ["board"]
