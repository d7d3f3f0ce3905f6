"""A site's state from visit to visit: adopted, doubted, acquitted, kept over restarts; its
history; the way out.
"""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from crawlers.frontier.database import Frontier
from crawlers.frontier.history import estimate_arrival
from crawlers.scheduling.egress import Egress
from crawlers.scheduling.site_status import SiteStates
from crawlers.sites.pages import PageAddress, PageContent, Post
from crawlers.sites.visit_verdict import UNKNOWN, Evidence
from tests.conftest import NOON, HeldClock
from tests.crawlers.support import KEY, item, make_site
from ullage.records.heartbeat import SiteReport

HOUR, DAY = 3600.0, 86400.0
BOARD = make_site(name="board", revisit_seconds=300)
LIST = PageAddress("http://board.example/", "list")


@pytest.fixture
def site_states(frontier: Frontier, clock: HeldClock) -> SiteStates:
    return SiteStates(frontier, Egress(), clock.as_clock())


def visit(
    site_states: SiteStates,
    clock: HeldClock,
    outcome: str,
    site: str = "board",
    pause: float = 300.0,
) -> str | None:
    """Make one visit whose list ended in `outcome`, and return the state `pause` seconds later."""
    evidence = Evidence()
    evidence.note(outcome, head=True)
    state = site_states.settle(make_site(name=site), evidence, UNKNOWN)
    clock.advance(pause)
    return state


def read_reason(site_states: SiteStates, site: str = "board") -> str:
    return site_states.frontier.history.load(site).reason


def test_reason_for_an_unread_site_is_kept_with_its_state(
    site_states: SiteStates, clock: HeldClock, frontier: Frontier, tmp_path: Path
) -> None:
    assert read_reason(site_states) == ""
    assert (visit(site_states, clock, "dns"), read_reason(site_states)) == ("unreachable", "dns")
    since = report(site_states).since
    assert (
        visit(site_states, clock, "tls"),
        read_reason(site_states),
        report(site_states).since,
    ) == (
        "unreachable",
        "tls",
        since,
    )
    frontier.close()
    again = Frontier(tmp_path, KEY, clock.as_clock())
    later = SiteStates(again, Egress(), clock.as_clock())
    assert read_reason(later) == "tls"
    assert (visit(later, clock, "ok"), read_reason(later)) == ("ok", "")
    again.close()


def test_site_in_doubt_keeps_its_state_and_has_a_reason(
    site_states: SiteStates, clock: HeldClock
) -> None:
    site_states.egress.total = 3
    assert (visit(site_states, clock, "ok"), read_reason(site_states)) == ("ok", "")
    assert (visit(site_states, clock, "refused"), read_reason(site_states)) == ("ok", "refused")
    assert (visit(site_states, clock, "refused"), read_reason(site_states)) == (
        "unreachable",
        "refused",
    )
    assert (
        visit(site_states, clock, "refused", site="fresh"),
        read_reason(site_states, "fresh"),
    ) == (
        None,
        "refused",
    )


def test_addresses_we_block_do_not_count_against_egress(
    site_states: SiteStates, clock: HeldClock
) -> None:
    site_states.egress.total = 4
    for site in "abcd":
        assert (
            visit(site_states, clock, "address", site=site),
            read_reason(site_states, site),
        ) == (
            "unreachable",
            "address",
        )
    assert site_states.egress.up
    for site in "abcd":
        visit(site_states, clock, "dns", site=site)
    assert not site_states.egress.up
    assert visit(site_states, clock, "address", site="a") == "unreachable"
    assert not site_states.egress.up, "what was not asked does not say that the way is open again"


def read(frontier: Frontier, clock: HeldClock, *posts: Post, site: str = "board") -> None:
    """Make a successful visit that reads one page with these posts."""
    began = frontier.begin_visit(site, [LIST])
    frontier.finish(frontier.lease(site), PageContent(posts), began, 1_000)
    frontier.end_visit(site, clock.wall(), True)


def make_post(name: str, at: float | None) -> Post:
    return Post(
        name,
        f"http://board.example/{name}",
        b"",
        published_at=datetime.fromtimestamp(at, UTC) if at else None,
    )


def report(site_states: SiteStates) -> SiteReport:
    return site_states.report(BOARD)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        ("ok", "ok"),
        ("blocked", "blocked"),
        ("login", "login_expired"),
        ("layout", "layout_changed"),
        ("robots", "robots_denied"),
        ("status", "unreachable"),
        ("timeout", "unreachable"),
    ],
)
def test_single_site_has_its_state_after_one_visit(
    site_states: SiteStates, clock: HeldClock, outcome: str, state: str
) -> None:
    assert visit(site_states, clock, "ok") == "ok"
    since = clock.wall()
    assert visit(site_states, clock, outcome) == state
    assert visit(site_states, clock, outcome) == state
    assert report(site_states).state == state
    assert report(site_states).since == (NOON if state == "ok" else since)


def test_state_survives_a_restart(
    site_states: SiteStates, clock: HeldClock, frontier: Frontier, tmp_path: Path
) -> None:
    visit(site_states, clock, "blocked")
    frontier.close()
    again = Frontier(tmp_path, KEY, clock.as_clock())
    assert SiteStates(again, Egress(), clock.as_clock()).report(BOARD) == SiteReport(
        site="board", state="blocked", since=NOON
    )
    again.close()


def test_site_is_unreachable_at_the_second_failure_since_the_first(
    site_states: SiteStates, clock: HeldClock
) -> None:
    site_states.egress.total = 4
    for site in ("board", "b", "c", "d"):
        visit(site_states, clock, "ok", site)
    since = clock.wall()
    assert visit(site_states, clock, "dns") == "ok"
    for site in ("b", "c", "d"):
        visit(site_states, clock, "ok", site)
    assert visit(site_states, clock, "timeout") == "unreachable"
    assert report(site_states).since == since


def test_single_failure_between_answers_is_not_a_state(
    site_states: SiteStates, clock: HeldClock
) -> None:
    site_states.egress.total = 4
    states = [
        visit(site_states, clock, outcome) for outcome in ("ok", "timeout", "ok", "timeout", "ok")
    ]
    assert states == ["ok"] * 5


def test_sites_keep_their_state_while_egress_is_down(
    site_states: SiteStates, clock: HeldClock
) -> None:
    site_states.egress.total = 4
    names = ("board", "b", "c", "d")
    for site in names:
        visit(site_states, clock, "ok" if site != "c" else "blocked", site)
    # the fast one is visited twice before
    assert [visit(site_states, clock, "dns") for _ in range(2)] == ["ok", "unreachable"]
    for site in ("b", "c", "d"):
        visit(site_states, clock, "dns", site)
    assert not site_states.egress.up
    coverage = site_states.coverage([make_site(name=name) for name in names])
    assert {watched.site: watched.state for watched in coverage.watched} == {
        "board": "ok",
        "b": "ok",
        "c": "blocked",
        "d": "ok",
    }
    assert (coverage.egress_up, coverage.sites) == (False, {"ok": 3, "blocked": 1})
    assert [visit(site_states, clock, "dns", site) for site in names] == [
        "ok",
        "ok",
        "blocked",
        "ok",
    ]
    assert visit(site_states, clock, "ok", "b") == "ok"
    assert visit(site_states, clock, "ok", "c") == "ok"
    assert site_states.coverage([BOARD]).egress_up
    assert site_states.frontier.history.find_unreachable("board") == [
        (NOON + 4 * 300, clock.wall() - 2 * 300)
    ]


def test_sites_without_a_state_are_counted_as_unseen(
    site_states: SiteStates, clock: HeldClock
) -> None:
    site_states.egress.total = 4
    sites = [make_site(name=name) for name in ("board", "b", "c", "d")]
    assert (site_states.coverage(sites).sites, site_states.coverage(sites).unseen) == ({}, 4)
    visit(site_states, clock, "ok")
    visit(site_states, clock, "dns", "b")
    assert (site_states.coverage(sites).sites, site_states.coverage(sites).unseen) == ({"ok": 1}, 3)
    site_states.unreadable = 2
    assert site_states.coverage(sites[:1]).unseen == 2


@pytest.mark.parametrize(
    ("more", "letter"),
    [({"unread_past": 9}, "a"), ({"unread_past": 9, "waiting": 1}, "m"), ({}, "o")],
)
def test_first_reading_is_distinguished_from_an_incomplete_site(
    site_states: SiteStates, more: dict[str, int], letter: str
) -> None:
    evidence = Evidence(**more)
    evidence.note("ok", head=True)
    site = make_site(name="board")
    assert site_states.letter(site) == "n"
    site_states.settle(site, evidence, UNKNOWN)
    site_states.frontier.end_visit("board", site_states.clock.wall() + 300, True)
    assert site_states.letter(site) == letter


def hourly(frontier: Frontier, clock: HeldClock, days: int) -> None:
    """Find a post for each hour of the last `days` days in one visit."""
    read(
        frontier, clock, *(make_post(f"old{n}", clock.wall() - n * HOUR) for n in range(days * 24))
    )


def test_hourly_site_is_quiet_after_hours_and_back_with_its_next_post(
    site_states: SiteStates, clock: HeldClock, frontier: Frontier
) -> None:
    hourly(frontier, clock, 20)
    assert visit(site_states, clock, "ok", pause=2 * HOUR) == "ok"
    overdue = report(site_states).expected_by
    assert NOON < overdue < NOON + 30 * HOUR
    clock.advance(overdue - clock.wall())
    assert visit(site_states, clock, "ok") == "quiet"
    assert report(site_states).since == overdue
    read(frontier, clock, make_post("new", clock.wall()))
    assert visit(site_states, clock, "ok") == "ok"
    assert report(site_states).expected_by > overdue
    assert (
        frontier.history.find_unreachable("board") == []
    )  # a silence was seen: it teaches how long they get


def test_rhythm_is_not_judged_for_time_when_egress_was_down(
    site_states: SiteStates, clock: HeldClock, frontier: Frontier
) -> None:
    hourly(frontier, clock, 20)
    visit(site_states, clock, "ok")
    overdue = report(site_states).expected_by
    site_states.probed(reached=False)
    clock.advance(30 * DAY)
    assert visit(site_states, clock, "ok") == "ok"
    assert report(site_states).expected_by == 0.0
    site_states.probed(reached=True)
    assert visit(site_states, clock, "ok") == "ok"
    assert report(site_states).expected_by == pytest.approx(overdue + 30 * DAY, abs=2 * HOUR)


def test_blind_time_does_not_make_a_site_quiet_and_is_not_learned(
    site_states: SiteStates, clock: HeldClock, frontier: Frontier
) -> None:
    hourly(frontier, clock, 20)
    visit(site_states, clock, "ok")
    for _ in range(10):
        assert visit(site_states, clock, "blocked", pause=DAY) == "blocked"
    assert visit(site_states, clock, "ok") == "ok"
    assert frontier.history.find_unreachable("board") == [(NOON + 300, NOON + 300 + 10 * DAY)]
    assert report(site_states).expected_by > clock.wall()


def test_parked_pages_are_retried_when_a_site_comes_back(
    site_states: SiteStates, clock: HeldClock, frontier: Frontier
) -> None:
    began = frontier.begin_visit("board", [LIST])
    frontier.finish(frontier.lease("board"), PageContent(pages=(item(1),)), began)
    frontier.park(frontier.lease("board"))
    visit(site_states, clock, "login")
    assert frontier.count_pages("board")["parked"] == 1
    visit(site_states, clock, "ok")
    assert (frontier.count_pages("board")["parked"], frontier.count_pages("board")["due"]) == (0, 1)


def test_visit_without_requests_changes_nothing(site_states: SiteStates, clock: HeldClock) -> None:
    visit(site_states, clock, "login")
    assert site_states.settle(BOARD, Evidence(), UNKNOWN) == "login_expired"


@pytest.mark.parametrize(
    ("ago", "known", "expected"),
    [
        (10 * DAY, True, -10 * DAY),
        (10 * DAY, False, -10 * DAY),
        (8 * HOUR, True, 0.0),
        (8 * HOUR, False, -8 * HOUR),
        (-8 * HOUR, True, 0.0),
        (-8 * HOUR, False, 0.0),
        (None, True, 0.0),
        (None, False, None),
    ],
)
def test_arrival_time_of_a_post_is_estimated(
    ago: float | None, known: bool, expected: float | None
) -> None:
    at = estimate_arrival(
        make_post("1", NOON - ago if ago is not None else None), NOON, known=known
    )
    assert at == (None if expected is None else NOON + expected)


def test_new_posts_are_counted_by_hour_and_by_their_fields(
    frontier: Frontier, clock: HeldClock
) -> None:
    old, now = make_post("old", NOON - 3 * DAY), make_post("now", NOON)
    read(frontier, clock, old, now, make_post("undated", None))
    clock.advance(HOUR)
    read(frontier, clock, old, now, make_post("undated", None), make_post("undated later", None))
    hour = int(NOON // HOUR)
    assert frontier.history.arrivals("board") == {hour - 72: 1, hour: 1, hour + 1: 1}
    standing = frontier.history.load("board")
    assert standing.last_new == NOON + HOUR
    assert (standing.profile.posts, standing.profile.fields) == (
        4,
        {"author": 0, "date": 2, "title": 0},
    )


def test_history_beyond_the_window_is_forgotten(frontier: Frontier, clock: HeldClock) -> None:
    read(frontier, clock, make_post("old", NOON - 55 * DAY))
    frontier.history.record_unreachable("board", NOON - 10, NOON)
    assert len(frontier.history.arrivals("board")) == 1
    clock.advance(57 * DAY)
    assert frontier.history.arrivals("board") == {}
    frontier.history.record_unreachable("board", clock.wall() - 10, clock.wall())
    assert len(frontier.history.find_unreachable("board")) == 1


def test_history_noted_while_the_clock_was_ahead_is_ignored(
    frontier: Frontier, clock: HeldClock
) -> None:
    read(frontier, clock, make_post("old", NOON))
    clock.advance(1000 * HOUR)
    read(frontier, clock, make_post("ahead", None))
    frontier.history.record_unreachable("board", NOON, clock.wall())
    clock.advance(-999 * HOUR)
    assert frontier.history.find_unreachable("board") == []
    assert frontier.history.arrivals("board") == {int(NOON // HOUR): 1}
    read(frontier, clock, make_post("now", None))
    assert frontier.history.load("board").last_new == NOON + HOUR


def test_blind_times_of_one_site_and_of_all_are_merged(frontier: Frontier) -> None:
    for site, began, ended in (
        ("", 20, 10),
        ("board", 30, 15),
        ("board", 60, 50),
        ("other", 99, 0),
    ):
        frontier.history.record_unreachable(site, NOON - began, NOON - ended)
    assert frontier.history.find_unreachable("board") == [
        (NOON - 60, NOON - 50),
        (NOON - 30, NOON - 10),
    ]


def test_list_remembers_its_last_non_empty_size(frontier: Frontier, clock: HeldClock) -> None:
    began = frontier.begin_visit("board", [LIST])
    frontier.finish(frontier.lease("board"), PageContent(pages=(item(1), item(2))), began, 5_000)
    while leased := frontier.lease("board"):
        frontier.finish(leased, PageContent(), began)
    clock.advance(1)
    began = frontier.begin_visit("board", [LIST])
    head = frontier.lease("board")
    assert (head.entries, head.size) == (2, 5_000)
    frontier.finish(head, PageContent(), began, 4_000)
    clock.advance(1)
    frontier.begin_visit("board", [LIST])
    head = frontier.lease("board")
    assert (head.entries, head.size) == (2, 5_000)


def test_sent_heartbeats_are_counted_by_time(frontier: Frontier, clock: HeldClock) -> None:
    for second in range(10):
        frontier.history.record_heartbeat(NOON + second, 100.0)
    assert frontier.history.count_heartbeats(NOON + 2, NOON + 5) == 3
    clock.advance(200)
    frontier.history.record_heartbeat(NOON + 200, 100.0)
    assert frontier.history.count_heartbeats(0, NOON + 1_000) == 1


def test_unwatched_sites_are_counted_without_a_rhythm(
    site_states: SiteStates, clock: HeldClock, frontier: Frontier, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, outcome in (("board", "ok"), ("b", "ok"), ("c", "login")):
        visit(site_states, clock, outcome, name)
    sites = [make_site(name=name, watch=name == "board") for name in ("board", "b", "c", "never")]
    first = site_states.coverage(sites)
    assert ([site.site for site in first.watched], first.sites) == (
        ["board"],
        {"ok": 2, "login_expired": 1},
    )
    monkeypatch.setattr(frontier.history, "_database", None)
    assert site_states.coverage(sites) == first  # nothing has changed, so nothing is read again
