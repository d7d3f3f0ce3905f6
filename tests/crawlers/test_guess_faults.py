"""A fault of our own in a guess of `sites try` costs that guess, is named, and never reads as
unknown software or as "ok".
"""

import re
from collections.abc import Sequence

import pytest
from scrapy.http import Response

from crawlers.platforms.board import Board
from crawlers.sites.presets import Presets
from crawlers.trial import checks, guess
from crawlers.trial.look import SiteSurvey
from crawlers.trial.proposal import propose_mends
from tests.crawlers.test_completeness import HOLDER, HOST, board
from tests.crawlers.test_trial import StaticSite, parts_of, survey

VALUE = "13800138000"
PLACES = {
    "list": (guess, "guess_lists"),
    "kind of page": (guess, "is_list"),
    "posts": (guess, "guess_posts"),
    "counts": (guess, "guess_post_count"),
    "text of a paste": (guess, "guess_raw"),
    "page": (Board, "parse"),
    "check": (checks, "find_doubts"),
}
NAMED = re.compile(
    r'"[a-z]+" failed \(IndexError at \w+\.py:\d+\) and was left out: please report it'
)


def raise_fault(*_: object, **__: object) -> guess.Options:
    raise IndexError(VALUE)


def look_at(site: StaticSite) -> SiteSurvey:
    return survey(site, start=f"{HOST}/")


def make_board() -> StaticSite:
    return board(HOLDER.replace("<p>", '<p class="first">'))


def test_board_without_a_fault_is_read() -> None:
    assert (look_at(make_board()).doubts, look_at(make_board()).faults) == ((), [])


@pytest.mark.parametrize("place", PLACES)
def test_fault_in_a_guess_is_named(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name = PLACES[place]
    monkeypatch.setattr(owner, name, raise_fault)
    survey = look_at(make_board())
    report = parts_of(survey)
    assert not survey.posts or survey.doubts
    assert report["guess"][0] == "FAULT"
    assert NAMED.fullmatch(report["guess"][1])
    assert "no markers found" not in report["software"][1]
    assert "read by its layout" not in report["software"][1]
    assert VALUE not in str(report)
    assert [mend.why for mend in propose_mends(survey, Presets())][-1].endswith(
        "report the error above"
    )


def test_fault_in_one_guess_does_not_affect_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    site, of_threads = make_board(), guess.guess_posts
    news = "".join(
        f'<dd><a class="n" href="/news/{n}/">News of the day, with a long title of {n}</a></dd>'
        for n in range(6)
    )
    pages = {
        f"{HOST}/news/{n}/": f"<html><body><p>the text of news {n}</p></body></html>"
        for n in range(6)
    }
    front = str(site.pages[f"{HOST}/"]).replace("</body>", f"<dl>{news}</dl></body>")

    def fail_on_news(responses: Sequence[Response], pattern: str = "") -> guess.Options:
        return raise_fault() if "/news/" in responses[0].url else of_threads(responses, pattern)

    monkeypatch.setattr(guess, "guess_posts", fail_on_news)
    survey = look_at(StaticSite({**site.pages, **pages, f"{HOST}/": front}))
    assert (survey.doubts, len(survey.posts)) == ((), 4)
    assert parts_of(survey)["guess"][0] == "WARN"
