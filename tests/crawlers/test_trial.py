"""What is found of a site that is tried, what file or mend follows from it, and that nothing of
a page is shown.
"""

import asyncio
import re
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urljoin

import pytest
from scrapy.http import HtmlResponse, Request, Response, TextResponse

from crawlers.fetching import RequestRefusal
from crawlers.fetching.address_guard import AddressGuard
from crawlers.fetching.address_pin import (
    can_be_site,
    is_external,
    is_internal_name,
    is_public,
    parse_literal,
)
from crawlers.platforms import find_platform
from crawlers.sites.presets import Presets, load_shipped
from crawlers.sites.site import Site, read_site
from crawlers.sites.visit_verdict import MEANING
from crawlers.trial.answer import ProbeResponse, Robots
from crawlers.trial.cli import _build_site
from crawlers.trial.look import SiteSurvey, look
from crawlers.trial.proposal import estimate_rate, propose_mends, render_file
from crawlers.trial.report import build_lines, build_table, mask
from harness.reach.boards import boards
from harness.reach.content import Content
from harness.reach.planted import plan
from harness.reach.unknown import programs
from tests.crawlers.conftest import Station
from tests.crawlers.support import Answers, make_site
from ullage.display.screen import make_console
from ullage.errors import ConfigError

BOARD = "http://board.example/"
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
OPEN = Robots(200, True, 0.0)


class StaticSite:
    """A site of pages by address; what is not there is gone."""

    def __init__(self, pages: Mapping[str, str | ProbeResponse], robots: Robots = OPEN) -> None:
        self.pages, self.said, self.asked = pages, robots, list[str]()
        self.rendered: StaticSite | None = None

    async def robots(self, url: str) -> Robots:
        return self.said

    def by_script(self) -> "StaticSite":
        self.rendered = self.rendered or StaticSite({})
        return self.rendered

    async def is_outside(self, host: str) -> bool:
        return not is_internal_name(host) and all(map(is_public, parse_literal(host)))

    async def get(self, url: str) -> ProbeResponse:
        self.asked.append(url)
        page = self.pages.get(url)
        if isinstance(page, ProbeResponse):
            return page
        return (
            ProbeResponse(url, "gone")
            if page is None
            else ProbeResponse(url, "ok", response(url, page))
        )


def response(url: str, body: str) -> Response:
    kind, named = (
        (HtmlResponse, "text/html")
        if "<" in body
        else (TextResponse, "application/json" if body[:1] in "{[" else "text/plain")
    )
    headers = {"Content-Type": f"{named}; charset=utf-8", "Date": "Thu, 26 Nov 2026 12:00:00 GMT"}
    return kind(url, body=body.encode(), headers=headers, request=Request(url))


def survey(
    pages: StaticSite, site: Site | None = None, *, known: bool = False, start: str = BOARD
) -> SiteSurvey:
    done_survey = SiteSurvey(site or make_site(platform="board", start=[start]), is_known=known)
    asyncio.run(look(done_survey, pages, Presets()))
    return done_survey


def sample(name: str, role: str, number: int = 0) -> str:
    """Return a page in the shape of a program, taken from its preset."""
    return [page.body for page in load_shipped(name).sample if page.role == role][number]


def parts_of(survey_: SiteSurvey) -> dict[str, tuple[str, str]]:
    return {line.part: (line.mark, line.said) for line in build_lines(survey_, NOW, UTC)}


def spirit(**more: str | ProbeResponse) -> StaticSite:
    """Return a front page that leads to a board, a list, a thread and the list's next page."""
    rows = sample("spirit", "list")
    thread = "http://board.example/topic/7/ke-hu-%E5%90%8D/"
    pages = {
        BOARD: rows,
        f"{BOARD}?page=2": rows.replace("/topic/7/", "/topic/8/"),
        thread: sample("spirit", "thread"),
    }
    return StaticSite({**pages, **{f"{BOARD}{path}": page for path, page in more.items()}})


def test_board_is_recognised_by_its_marks_and_read_to_its_posts() -> None:
    result = survey(spirit())
    parts = parts_of(result)
    assert (result.word, result.read_as and result.read_as.platform) == ("", "spirit")
    assert parts["software"][0] == "ok"
    assert parts["list"] == ("ok", "1 thread")
    assert parts["next page"] == ("ok", "has 1 more")
    assert parts["stamp"] == ("ok", "1 of 1, such as 00 Xxx. 00, 0000, 0:00 x…")
    assert parts["author"] == ("ok", "1 of 1, such as xxxxx")
    assert parts["date"] == ("ok", "1 of 1, the newest 2026-11-24 00:18 UTC")
    assert parts["text"][0] == "ok"


def test_front_page_is_followed_until_a_list_has_threads() -> None:
    """Machina: categories, then boards, then threads."""
    index, topics, thread = (
        sample("machina", "list"),
        sample("machina", "list", 1),
        sample("machina", "thread"),
    )
    empty = re.sub(
        r"<div class=\"row m-0 px-3 py-2 border-bottom\">.*", "</div>", topics, flags=re.DOTALL
    )
    pages = StaticSite(
        {
            BOARD: index,
            f"{BOARD}forum/main-category-1/": index,
            f"{BOARD}forum/general-2/": topics,
            f"{BOARD}forum/sub-4/": empty,
            f"{BOARD}forum/general-2/topic/kehu-mingdan-27/": thread,
        }
    )
    result = survey(pages)
    assert (result.word, result.lists) == ("", 3)
    assert parts_of(result)["lists"] == ("ok", "it links to 3 other lists")
    assert len(result.posts) == 1


@pytest.mark.parametrize(
    ("told", "word", "part"),
    [
        (StaticSite({BOARD: "<p>x</p>"}, Robots(200, False, 0.0)), "robots", "robots.txt"),
        (
            StaticSite({BOARD: "<p>x</p>"}, Robots(0, False, 0.0, "timeout")),
            "timeout",
            "robots.txt",
        ),
        (StaticSite({BOARD: ProbeResponse(BOARD, "dns")}), "dns", "answer"),
        (
            StaticSite({BOARD: ProbeResponse(BOARD, "blocked", response(BOARD, "<p>x</p>"))}),
            "challenge",
            "wall",
        ),
        (StaticSite({BOARD: "<p>challenges.cloudflare.com/turnstile</p>"}), "challenge", "wall"),
        (
            StaticSite({BOARD: "<form><input type=password></form>" + "<p>members only</p>" * 99}),
            "login",
            "login",
        ),
        (StaticSite({BOARD: "<p>a page of text</p>" * 99}), "empty", "list"),
        (StaticSite({}), "gone", "answer"),
    ],
)
def test_problem_of_a_site_is_reported_at_its_part(told: StaticSite, word: str, part: str) -> None:
    result = survey(told)
    assert result.word == word
    assert parts_of(result)[part][0] == "FAULT"
    assert not result.posts


def test_small_login_form_is_not_a_wall() -> None:
    site = spirit()
    box = '<aside><form id="lsform"><input type="password"></form></aside></body>'
    site.pages = {url: str(page).replace("</body>", box) for url, page in site.pages.items()}
    result = survey(site)
    assert (result.word, len(result.posts)) == ("", 1)
    assert parts_of(result)["login"] == (
        "ok",
        "none: guests can read it; it has a small login form",
    )


def test_unreadable_page_shows_where_its_links_lead() -> None:
    listing = "".join(
        f'<div class="thing"><a href="/show/{n}/a-title">x</a></div>' for n in range(7)
    )
    result = survey(StaticSite({BOARD: f"<html><body>{listing}</body></html>"}))
    assert parts_of(result)["list"][1].endswith("it links to 7 to /show/*/a-title")
    assert parts_of(result)["software"][0] == "FAULT"


def test_front_page_without_a_list_leads_to_a_named_one() -> None:
    site = spirit()
    site.pages = {
        url.replace(BOARD, f"{BOARD}forum/", 1) if url.startswith(f"{BOARD}?") else url: page
        for url, page in site.pages.items()
    }
    lists = {f"{BOARD}forum/": site.pages.pop(BOARD)}
    home = (
        '<html><body><nav><a href="/forum/">Forum</a> <a href="/about">about</a></nav>'
        + "<p>welcome</p>" * 99
    )
    result = survey(StaticSite({**site.pages, **lists, BOARD: home}))
    assert (result.site.start, len(result.posts)) == ((f"{BOARD}forum/",), 1)
    assert parts_of(result)["address"] == (
        "WARN",
        "it has no list; it links to /forum/, where everything below was found",
    )


def test_known_software_outranks_the_look_of_its_front_page() -> None:
    pages, program = spirit(), programs()[1]
    home = "".join(
        f'<p class="news"><a href="/news/{n}">What is new in version {n}</a></p>' for n in range(6)
    )
    news = {
        f"{BOARD}news/{n}": (
            program.site()["/t/offer-of-the-base-customers-in-lot-offer/31"].replace("user", f"{n}")
        )
        for n in range(6)
    }
    lists = {f"{BOARD}forum/": pages.pages[BOARD]}
    home = f'<html><body><nav><a href="/forum/">Forum</a></nav>{home}</body></html>'
    result = survey(StaticSite({**pages.pages, **news, **lists, BOARD: home}))
    assert (result.site.start, result.read_as and result.read_as.platform) == (
        (f"{BOARD}forum/",),
        "spirit",
    )


def test_thread_is_not_a_list_and_empty_board_is_not_unknown_software() -> None:
    result = survey(StaticSite({BOARD: sample("spirit", "thread")}))
    assert (parts_of(result)["software"][0], parts_of(result)["list"][0]) == ("ok", "FAULT")
    assert parts_of(result)["list"][1].startswith(
        "it is a single thread: give the address of its list, or of the front page"
    )
    index = sample("machina", "list")
    empty = survey(StaticSite({BOARD: index, f"{BOARD}forum/general-2/": "<p>nothing yet</p>"}))
    assert parts_of(empty)["software"] == ("ok", "machina: 2 marks found")
    assert (
        parts_of(empty)["list"][1]
        == "it links to 3 other lists; none of those that were opened links to a post"
    )
    assert not list(propose_mends(empty, Presets()))


def test_unreadable_software_is_named_with_the_reason() -> None:
    pages = StaticSite({BOARD: sample("privatebin", "list")})
    result = survey(pages)
    assert parts_of(result)["software"][0] == "FAULT"
    assert "encrypted" in parts_of(result)["software"][1]
    assert (pages.asked, list(propose_mends(result, Presets()))) == ([BOARD], [])


def test_software_without_a_list_is_named_with_what_to_give_instead() -> None:
    front = (
        "<html><body><h1><a class='home' href='/'>dpaste</a></h1><form>new</form>"
        + "<p>about</p>" * 99
    )
    result = survey(StaticSite({BOARD: front}))
    assert (
        "which finds no list here: dpaste (docs.dpaste.org), pastes without a public list"
        in parts_of(result)["software"][1]
    )
    (mend,) = propose_mends(result, Presets())
    assert (
        "give the address of one of its lists; if it has none, of a page that links to its posts"
        in mend.why
    )


def test_paste_of_several_files_is_read() -> None:
    links = "".join(f'<a href="http://paste.example/K{n}">a paste</a> ' for n in range(3, 7))
    start = f"{BOARD}links.html"
    pages = {
        start: f"<html><body>{links}</body></html>",
        "http://paste.example/K3": sample("pinnwand", "thread"),
    }
    site = make_site(platform="pinnwand", start=[start], hosts=["paste.example"])
    result = survey(StaticSite({**pages, "http://paste.example/raw/K4": "text"}), site, known=True)
    assert [post.body for post in result.posts] == [b"text"]


@pytest.mark.parametrize("name", [page.name for page in Presets() if not page.unreadable])
def test_preset_sample_is_recognised_as_its_preset(name: str) -> None:
    """The page of each sample of a list, as the front page of a site: its own preset reads it,
    and none before it.
    """
    for page in load_shipped(name).sample:
        if page.role == "list" and page.recognised:
            front = ProbeResponse(page.url, "ok", page.build_response())
            result = survey(StaticSite({page.url: front}), start=page.url)
            assert next(iter(result.recognised)).name == name
            assert (result.read_as or result.site).platform in (name, "board"), result.read_as
            assert result.list is not None or result.lists or not page.pages


def test_unmarked_paste_site_is_read_through_its_raw_text() -> None:
    archive = "".join(f'<li><a href="/Paste{n}">title</a></li>' for n in range(5))
    start = "http://paste.example/archive"
    pages: dict[str, str | ProbeResponse] = {start: f"<html><body><ul>{archive}</ul></body></html>"}
    raw = {f"http://paste.example/raw/Paste{n}": "a text" for n in range(5)}
    result = survey(StaticSite({**pages, **raw}), start=start)
    assert (result.word, result.read_as and result.read_as.platform) == ("", "raw_paste")
    assert parts_of(result)["software"] == (
        "WARN",
        "raw_paste, by what parses its pages: no markers found",
    )
    assert parts_of(result)["paste"] == ("ok", "1 post")
    pages_of_its_own = dict.fromkeys(raw, "<html><body>please log in</body></html>")
    assert survey(StaticSite({**pages, **pages_of_its_own}), start=start).word


def test_site_file_has_only_needed_settings_and_invents_no_owner() -> None:
    result = survey(spirit(), make_site(platform="board", start=[BOARD], allow_private=True))
    text = render_file(result, "PIPL 13", 'the "team"', NOW)
    assert tomllib.loads(text) == {
        "platform": "spirit", "start": [BOARD], "allow_private": True, "legal_basis": "PIPL 13",
        "owner": 'the "team"',
    }  # fmt: skip
    assert text.startswith(
        "# Tried on 2026-11-26: 1 thread on its first list, 1 post in one of them.\n"
    )
    assert tomllib.loads(render_file(result, "", "", NOW)).keys() == {
        "platform",
        "start",
        "allow_private",
    }
    assert "required: without it" in render_file(result, "", "", NOW)


def items(times: list[datetime]) -> str:
    metas = {
        f"Abcd{n:04}": {"file-meta": {"complete": True, "timestamp-upload": int(t.timestamp())}}
        for n, t in enumerate(times)
    }
    return str(metas).replace("'", '"').replace("True", "true")


@pytest.mark.parametrize(
    ("ages", "an_hour", "again"),
    [
        ([timedelta(minutes=6 * n) for n in range(30)], 10.3, 300.0),
        ([timedelta(seconds=4 * n) for n in range(30)], 931.0, 30.0),
        ([timedelta(seconds=4 * n) for n in range(4)], 4.0, 300.0),
        ([timedelta(days=2 * n) for n in range(30)], 1 / 24, 300.0),
    ],
)
def test_posting_rate_is_estimated_from_list_times(
    ages: list[timedelta], an_hour: float, again: float
) -> None:
    start = "http://paste.example/apis/rest/items"
    pages = StaticSite(
        {
            start: items([NOW - age for age in ages]),
            "http://paste.example/Abcd0000/+inline": "a text",
        }
    )
    comes = estimate_rate(survey(pages, start=start), NOW)
    assert comes
    assert (comes.what, comes.at_least, comes.revisit_seconds) == ("pastes", False, again)
    assert comes.an_hour == pytest.approx(an_hour, rel=0.05)


def test_times_missing_from_stamps_are_read_from_the_rows() -> None:
    topics = sample("machina", "list", 1)
    row = topics[
        topics.index('<div class="row m-0 px-3 py-2 border-bottom">') : topics.index(
            "</div></body>"
        )
    ]
    more = "".join(row.replace("-27/", f"-{n}/").replace("9:58", f"9:{n}") for n in range(30, 34))
    pages = StaticSite(
        {
            f"{BOARD}forum/general-2/": topics.replace("</div></body>", more + "</div></body>"),
            f"{BOARD}forum/general-2/topic/kehu-mingdan-27/": sample("machina", "thread"),
        }
    )
    comes = estimate_rate(
        survey(pages, start=f"{BOARD}forum/general-2/"), datetime(2026, 11, 26, 22, 30, tzinfo=UTC)
    )
    assert comes
    assert (comes.what, comes.at_least, comes.shown) == ("threads with new posts", True, 5)
    assert comes.an_hour == pytest.approx(5.0, rel=0.1)


def propose_mend(survey_: SiteSurvey) -> list[str]:
    return [line for mend in propose_mends(survey_, Presets()) for line in mend.lines]


def test_changed_software_is_corrected_by_its_new_name() -> None:
    site = make_site(platform="machina", start=[BOARD])
    result = survey(spirit(), site, known=True)
    assert (result.word, propose_mend(result)) == (
        "",
        ['- platform = "machina"', '+ platform = "spirit"'],
    )


def test_restyled_board_is_read_by_its_appearance() -> None:
    content, start = Content(), f"{BOARD}viewforum.php?f=2"
    content.write(plan().first)
    phpbb = next(board for board in boards() if board.preset == "phpbb")
    pages = {
        urljoin(BOARD, path): render_page().replace("主题", "出售一批资料")
        for path, render_page in phpbb.pages(content, BOARD)
    }
    menu = '<a class="forumtitle" href="./viewforum.php?f=9">another</a>'
    for old, new in (
        ("topic", "thema"),
        ('class="content"', 'class="inhalt"'),
        ('id="p', 'id="beitrag'),
    ):
        pages = {
            url: page.replace(old, new).replace("viewthema", "viewtopic")
            for url, page in pages.items()
        }
    site_pages = StaticSite(
        {url: page.replace('<div id="', menu + '<div id="', 1) for url, page in pages.items()}
    )
    result = survey(site_pages, make_site(platform="phpbb", start=[start]), known=True)
    assert (result.lists, result.word) == (1, "")
    assert {'- platform = "phpbb"', '+ platform = "board"', '+ links = "a.thematitle"'} <= set(
        propose_mend(result)
    )


def test_failing_own_options_are_removed_where_the_preset_works() -> None:
    site = make_site(
        platform="spirit", start=[BOARD], options={"rows": "tr.topic", "next": "a.next"}
    )
    assert propose_mend(survey(spirit(), site, known=True)) == [
        "- [options]",
        '- rows = "tr.topic"',
        '- next = "a.next"',
    ]
    options = {
        "rows": "tr.topic",
        "links": "a.t",
        "pattern": r"/t/(?P<id>\d+)$",
        "post": "p",
        "body": "i",
    }
    alone = make_site(platform="board", start=[BOARD], options=options)
    result = survey(
        StaticSite({BOARD: "<html><body>" + "<p>new design</p>" * 99}), alone, known=True
    )
    assert result.word == "empty"
    assert propose_mend(result)[:3] == [
        '- rows = "tr.topic"',
        '- links = "a.t"',
        '- pattern = "/t/(?P<id>\\\\d+)$"',
    ]


@pytest.mark.parametrize(
    ("answer", "words", "change"),
    [
        (
            ProbeResponse(BOARD, "host", led_to="https://new.example/"),
            "redirects to new.example",
            '+ start = ["https://new.example/"]',
        ),
        (ProbeResponse(BOARD, "login", led_to=f"{BOARD}login"), "session of a member", ""),
        (
            ProbeResponse(BOARD, "address"),
            "its address is not public; if that is intended",
            "+ allow_private = true",
        ),
        (ProbeResponse(BOARD, "gone"), "sites try", ""),
        (ProbeResponse(BOARD, "busy"), "slower", "+ delay_seconds = 10.0"),
    ],
)
def test_correction_is_proposed_for_a_site_that_answers_differently(
    answer: ProbeResponse, words: str, change: str
) -> None:
    result = survey(
        StaticSite({BOARD: answer}), make_site(platform="spirit", start=[BOARD]), known=True
    )
    (mend,) = propose_mends(result, Presets())
    assert words in mend.why
    assert change in ("", *mend.lines)


@pytest.mark.parametrize(
    ("hosts", "links", "change"),
    [
        (
            (),
            ["http://raw.example:8080/1", "http://raw.example:8080/2", "/3"],
            ['+ hosts = ["raw.example:8080"]'],
        ),
        (
            ("a.example",),
            ["https://b.example/1"],
            ['- hosts = ["a.example"]', '+ hosts = ["a.example", "b.example"]'],
        ),
        ((), ["/1", "/2", "http://raw.example/3"], []),
        ((), ["http://13800138000.example/1", "http://user@raw.example/2"], []),
    ],
    ids=[
        "another port",
        "beside listed hosts",
        "mostly own links",
        "only hosts with personal data",
    ],
)
def test_hosts_that_a_list_leads_to_are_proposed(
    hosts: list[str], links: list[str], change: list[str]
) -> None:
    options = {
        "links": "a.p",
        "pattern": r"/(?P<id>\d+)$",
        "match": "address",
        "post": "p",
        "body": "i",
    }
    site = make_site(platform="board", start=[BOARD], hosts=hosts, options=options)
    page = "".join(f'<a class="p" href="{link}">x</a>' for link in links)
    pages = {BOARD: f"<html>{page}</html>"} | {
        f"{BOARD}{n}": "<html><p><i>text</i></p></html>" for n in range(1, 4)
    }
    pages |= {link: ProbeResponse(link, "host") for link in links if link.startswith("http")}
    assert propose_mend(survey(StaticSite(pages), site, known=True)) == change


def test_missing_list_is_searched_from_the_front_page() -> None:
    site = make_site(platform="machina", start=[f"{BOARD}old/"])
    assert propose_mend(survey(spirit(), site, known=True)) == [
        f'- start = ["{BOARD}old/"]', '- platform = "machina"', f'+ start = ["{BOARD}"]',
        '+ platform = "spirit"',
    ]  # fmt: skip
    (mend,) = propose_mends(survey(StaticSite({}), site, known=True), Presets())
    assert "sites try" in mend.why


def test_working_site_needs_no_correction() -> None:
    result = survey(spirit(), make_site(platform="spirit", start=[BOARD]), known=True)
    assert (result.word, list(propose_mends(result, Presets()))) == ("", [])
    assert parts_of(result)["software"][0] == "ok"


def test_page_content_is_masked() -> None:
    assert mask("Zhang3, 张三 13800138000") == "Xxxxx0, 中中 00000000000"
    assert mask("x" * 99) == "x" * 24 + "…"
    assert mask("\x1b[31m\u202e") == "·[00x·"
    site = spirit()
    site.pages = {
        url: str(page).replace("admin", "13800138000").replace("客户名单", "王小明")
        for url, page in site.pages.items()
    }
    result = survey(site)
    shown = str([line.said for line in build_lines(result, NOW)]) + render_file(
        result, "b", "o", NOW
    )
    assert len(result.posts) == 1
    for value in ("13800138000", "王小明"):
        assert value not in shown


@pytest.mark.parametrize("width", [80, 120])
def test_lines_fit_the_terminal_and_state_their_result_in_words(width: int) -> None:
    on = make_console()
    on.width = width
    result = replace(survey(StaticSite({BOARD: "<p>a page of text</p>" * 99})), is_late=True)
    with on.capture() as shown:
        on.print(build_table(build_lines(result, NOW, UTC)))
    rows = shown.get().splitlines()
    assert max(map(len, rows)) <= width
    assert {row.split()[0] for row in rows if not row.startswith(" ")} == {"ok", "FAULT", "WARN"}


# Software that nobody knows


def unknown(
    threads: int = 6, posts: int = 3, shape: str = "/t/{n}/slug-{n}/"
) -> dict[str, str | ProbeResponse]:
    """Return a board that no preset knows: a front page of boards, a list, threads."""
    top = '<html><body><header><a href="/">home</a> <a href="/rules">rules</a></header>'
    around = top + "{}<footer>Powered by nothing, 2026</footer></body></html>"
    area = (
        '<div class="area"><h3><a class="area-link" href="/area/{n}/">Board of number'
        " {n}</a></h3></div>"
    )
    boards = "".join(area.format(n=n) for n in range(3, 7))
    rows = "".join(
        f'<li class="entry odd-{n}"><a class="ttl" href="{shape.format(n=n)}">An offer with a title'
        f" {n}</a>"
        f"<span>{n + 10} replies</span>"
        f" <time datetime='2026-11-26T0{n}:00:00+08:00'>today</time></li>"
        for n in range(threads)
    )
    listing = f'<h1>Area</h1><ul>{rows}</ul><a class="btn" rel="next" href="?p=2">more</a>'
    pages: dict[str, str | ProbeResponse] = {BOARD: around.format(boards)}
    for area in range(3, 7):
        pages[f"{BOARD}area/{area}/"] = around.format(listing)
    for n in range(threads):
        articles = "".join(
            f'<article class="msg" id="m{n}{k}"><div class="who"><a'
            f' href="/u/{k}/">member{k}</a></div><time'
            f' datetime="2026-11-2{k}T10:00:00+08:00">x</time><div class="words">text {k} of thread'
            f" {n}, in words of its own</div></article>"
            for k in range(posts)
        )
        pages[f"{BOARD.rstrip('/')}{shape.format(n=n)}"] = around.format(
            f'<h1>An offer with a title {n}</h1><div class="all">{articles}</div>'
        )
    return pages


@pytest.mark.parametrize("posts", [1, 3])
@pytest.mark.parametrize(
    "shape", ["/t/{n}/slug-{n}/", "/view.php?area=3&thread={n}", "/t/slug-of-{n}/"]
)
@pytest.mark.parametrize("start", [BOARD, f"{BOARD}area/3/"])
def test_unknown_board_is_read_by_its_appearance(start: str, shape: str, posts: int) -> None:
    result = survey(StaticSite(unknown(posts=posts, shape=shape)), start=start)
    assert parts_of(result)["software"] == (
        "WARN",
        "unknown: it is read by its layout, so check that everything below is correct",
    )
    assert len(result.list.entries) == 6 if result.list else None
    texts = sorted(post.body.decode() for post in result.posts)
    assert texts == [f"text {k} of thread 5, in words of its own" for k in range(posts)]
    assert [post.author for post in result.posts] == [f"member{k}" for k in range(posts)]
    assert result.posts[0].published_at == datetime(2026, 11, 20, 2, tzinfo=UTC)
    options = tomllib.loads(render_file(result, "b", "o", NOW))["options"]
    assert (options["rows"], options["next"], options["post"]) == (
        "li.entry",
        "a[rel~=next], link[rel~=next]",
        "article.msg",
    )
    assert find_platform(make_site(platform="board", start=[start], options=options))


def test_unknown_paste_site_is_read_where_its_page_links_the_text() -> None:
    links = "".join(
        f'<tr><td class="name"><a href="/p/Ab{n}cdef">a paste of {n}</a></td></tr>'
        for n in range(5)
    )
    pages: dict[str, str | ProbeResponse] = {
        f"{BOARD}all": f"<html><body><table>{links}</table></body></html>"
    }
    for n in range(5):
        pages[f"{BOARD}p/Ab{n}cdef"] = (
            f'<html><body><pre>text</pre><a href="/p/Ab{n}cdef/plain.txt">view'
            " raw</a></body></html>"
        )
        pages[f"{BOARD}p/Ab{n}cdef/plain.txt"] = f"text {n}"
    result = survey(StaticSite(pages), start=f"{BOARD}all")
    assert [post.body for post in result.posts] == [b"text 0"]
    assert (
        tomllib.loads(render_file(result, "b", "o", NOW))["options"]["raw"] == "/p/{id}/plain.txt"
    )


@pytest.mark.parametrize(
    "body", ["<p>about us</p>" * 99, "<a href=/1>1</a><a href=/2>2</a><a href=/3>3</a>", "{}", ""]
)
def test_page_without_a_list_is_not_guessed_to_have_one(body: str) -> None:
    site = StaticSite({BOARD: body})
    assert not survey(site).posts
    assert site.asked == [BOARD]


# The command, on a server of this machine

RSS = (
    '<?xml version="1.0"?><rss version="2.0"><channel><title>new</title>'
    + "".join(
        f"<item><guid>{n}</guid><title>t</title><description>text {n}</description></item>"
        for n in range(4)
    )
    + "</channel></rss>"
)


def test_try_writes_a_file_only_with_legal_basis_and_owner(
    station: Station, server: Answers
) -> None:
    server.says("/new.rss", RSS, Content_Type="application/rss+xml")
    url, options = f"{server.url}/new.rss", ("--legal-basis", "PIPL 13", "--owner", "team")
    assert "its address is not public; if that is intended" in station.run(
        "sites", "try", url, *options, exits=1
    )
    assert server.requested_paths == []
    assert "was not written: give --legal-basis and --owner" in station.run(
        "sites", "try", url, "--allow-private", exits=2
    )
    assert not list((station.data / "sites.d").glob("*.toml"))
    assert "4 posts on the list itself" in station.run(
        "sites", "try", url, "--allow-private", "--name", "feed", *options
    )
    assert read_site(station.data / "sites.d" / "feed.toml", find_platform).platform == "feed"
    assert server.agents == {"ullage (leak monitor; contact: security@example.com)"}
    assert "already exists" in station.run("sites", "try", url, "--name", "feed", *options, exits=2)


def test_try_writes_no_file_for_an_incompletely_read_site(
    station: Station, server: Answers
) -> None:
    program = next(program_ for program_ in programs() if program_.short)
    for path, page in program.site().items():
        server.says(path, page)
    options = ("--allow-private", "--name", "board", "--legal-basis", "PIPL 13", "--owner", "team")
    output = station.run("sites", "try", server.url + program.start, *options, exits=1)
    assert f"no file was written, because not everything is read: {program.short}" in output
    assert not list((station.data / "sites.d").glob("*.toml"))


def test_try_reports_problems_and_follows_no_foreign_redirect(
    station: Station, server: Answers
) -> None:
    server.says("/list", status=302, Location="http://elsewhere.example/board/")
    station.site("paste", f"{server.url}/list")
    output = station.run("sites", "try", "paste", exits=1)
    assert "paste: not visited yet" in output
    assert "it redirects to elsewhere.example" in output
    assert '+ start = ["http://elsewhere.example/list"]' in output
    assert "no site absent" in station.run("sites", "try", "absent", exits=2)


SHELL = (
    "<html><head><script src='/app.js'></script>{}</head><body><div id=root></div>{}</body></html>"
)
STATE = (
    '{"props": {"threads": ['
    + ",".join(f'{{"id": {number}, "title": "thread {number}"}}' for number in range(20))
    + "]}}"
)


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (SHELL.format("", ""), "without JSON in it"),
        (
            SHELL.format("", f"<script id=__NEXT_DATA__ type='application/json'>{STATE}</script>"),
            "css:script#__NEXT_DATA__",
        ),
        (
            SHELL.format(f"<script>window.__STATE__ = {STATE};</script>", ""),
            "//script[contains(., '__STATE__')]",
        ),
        (
            (
                "<html><body><script src=a.js></script><noscript>Please enable"
                " JavaScript</noscript></body></html>"
            ),
            "without JSON in it",
        ),
    ],
)
def test_page_filled_by_a_script_is_reported(page: str, words: str) -> None:
    result = survey(StaticSite({BOARD: page}))
    assert words in parts_of(result)["script"][1]
    assert not result.posts


EMPTY = SHELL.format("", "")


def fill_by_script(rendered: Mapping[str, str | ProbeResponse]) -> StaticSite:
    """Return a site whose pages are empty unless scripts run."""
    pages = StaticSite(dict.fromkeys(rendered, EMPTY) | {BOARD: EMPTY})
    pages.rendered = StaticSite(rendered)
    return pages


def test_script_page_is_rendered_and_its_file_says_so() -> None:
    result = survey(fill_by_script(spirit().pages))
    assert result.posts
    assert result.by_script
    assert parts_of(result)["script"][0] == "WARN"
    assert (
        tomllib.loads(render_file(result, "ground", "owner", NOW)).items()
        >= {
            "platform": "spirit",
            "script": True,
        }.items()
    )


def test_running_scripts_is_proposed_for_a_known_site_that_needs_them() -> None:
    result = survey(
        fill_by_script(spirit().pages), make_site(platform="spirit", start=[BOARD]), known=True
    )
    assert [mend.lines for mend in propose_mends(result, Presets())] == [("+ script = true",)]


def test_site_configured_with_scripts_is_rendered() -> None:
    result = survey(
        fill_by_script(spirit().pages),
        make_site(platform="spirit", start=[BOARD], script=True),
        known=True,
    )
    assert result.posts
    assert not list(propose_mends(result, Presets()))


@pytest.mark.parametrize("word", ["browser", "script"])
def test_rendering_failure_is_explained(word: str) -> None:
    result = survey(fill_by_script({BOARD: ProbeResponse(BOARD, word)}))
    assert not result.posts
    assert f"{word}: {MEANING[word]}" in parts_of(result)["script"][1]
    (mend,) = propose_mends(result, Presets())
    assert ("install chromium" in mend.why) is (word == "browser")


def test_json_requested_by_scripts_is_named_without_its_query() -> None:
    pages = dict(spirit().pages)
    page = response(BOARD, pages[BOARD])
    page.request.meta["ullage_data"] = [f"{BOARD}api/list?token=secret"]
    result = survey(fill_by_script({**pages, BOARD: ProbeResponse(BOARD, "ok", page)}))
    assert "JSON at /api/list:" in parts_of(result)["script"][1]


def test_page_with_scripts_and_posts_is_not_called_script_filled() -> None:
    assert "script" not in parts_of(survey(spirit()))
    plain = (
        "<html><body><script src=a.js></script><p>" + "words of a page " * 60 + "</p></body></html>"
    )
    assert "script" not in parts_of(survey(StaticSite({BOARD: plain})))


WITHIN = [
    "169.254.169.254", "[::ffff:169.254.169.254]", "2852039166", "0xa9fea9fe",
    "0251.0376.0251.0376", "127.1", "localhost",
    "[::1]", "10.0.0.8", "192.168.1.1", "[fe80::1]", "[fd00:ec2::254]", "printer.local",
    "100.100.100.200",
]  # fmt: skip


@pytest.mark.parametrize("host", WITHIN)
def test_private_address_is_not_proposed(host: str) -> None:
    site, url = make_site(platform="spirit", start=[BOARD]), f"http://{host}/"
    for word in ("host", "login", "redirects"):
        (mend,) = propose_mends(
            survey(StaticSite({BOARD: ProbeResponse(BOARD, word, led_to=url)}), site, known=True),
            Presets(),
        )
        assert mend.lines == ()
        assert "inside the organization" in mend.why
    options = {
        "links": "a.p",
        "pattern": r"/(?P<id>\\d+)$",
        "match": "address",
        "post": "p",
        "body": "i",
    }
    page = "".join(f'<a class="p" href="{url}{n}">x</a>' for n in range(5))
    own_site = make_site(platform="board", start=[BOARD], options=options)
    listed = survey(StaticSite({BOARD: f"<html>{page}</html>"}), own_site, known=True)
    assert not [
        line for mend in propose_mends(listed, Presets()) for line in mend.lines if "hosts" in line
    ]


def test_host_is_judged_by_its_resolved_address(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = {"inside.example": "169.254.169.254", "outside.example": "93.184.215.14"}
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *_, **__: [(0, 0, 0, "", (addresses[host], 0))]
    )
    assert [asyncio.run(is_external(host, 5.0)) for host in addresses] == [False, True]


def test_cloud_metadata_address_is_never_a_site() -> None:
    for host in (
        "169.254.169.254",
        "[::ffff:a9fe:a9fe]",
        "2852039166",
        "[fe80::1]",
        "[fd00:ec2::254]",
    ):
        assert not any(map(can_be_site, parse_literal(host))), host
        site = make_site(platform="spirit", start=[f"http://{host}/"], allow_private=True)
        guard = AddressGuard(site)
        with pytest.raises(RequestRefusal, match="address"):
            asyncio.run(guard.process_request(Request(f"http://{host}/")))
    assert all(map(can_be_site, parse_literal("127.0.0.1")))


@pytest.mark.parametrize(
    "url",
    [
        "http:/x.org",
        "htp:/x",
        "https://",
        "https://exa mple.org/",
        "ftp://x.org/",
        "http://x.org:99999/",
    ],
)
def test_invalid_web_address_is_rejected_before_any_request(url: str) -> None:
    with pytest.raises(
        ConfigError, match="this is not a web address: use https://HOST/PATH or http://HOST/PATH"
    ):
        _build_site(url, "", allow_private=True)
