"""A Chinese page has no English in it: every page, with data, as a reader of Chinese gets it."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest

from alerts.records import Incident
from alerts.store import DocumentFilter
from alerts.translation import FIELD
from harness.live.console.desk import MORNING, coverage, leaks
from tests.alerts.browser import ASKED, ASKER, PHONE
from ullage.records import Claims
from ullage.records.incomplete import INCOMPLETE

PAGES = (
    "/", "/?tab=all&flat=1", "/?q=no-such-word", "/handover", "/exposed", "/coverage?since=3d",
    "/sites", "/noise", "/channels",
    "/watchlists", "/audit?verify=1", "/assess", "/password", "/sellers?token=x",
    "/coverage/sheet?since=1d",
)  # fmt: skip
REFUSED = (
    "/?q=13800138000",
    "/coverage?since=x",
    "/handover?since=x",
    "/nowhere",
    "/incidents/INC-AAAAAAAAAA",
    "/?tenant=x",
)
OPAQUE = {"script", "style", "code", "kbd"}
SPOKEN = {"alt", "aria-label", "placeholder", "title"}
NAMES = re.compile(
    r"`[^`]*`|\[[\w.…]+\]|ullage(?:\.toml)?|English|INC-[A-Z2-7]+|[@#][0-9a-f]+|"
    r"SHA-256|CSV|STIX|MISP|DOCX|JSON|UTC|Asia/Shanghai"
    r"|<img src=x onerror=alert\(1\)>|telegram|USDT|kB|csv|pastes|tieba|board|xss\.example|FaceTime"
    r"|signed by [0-9a-f]+"
)
"""What is called so in Chinese as well: commands, settings, formats, our numbers, sites of the
test.
"""
CODES = re.compile(rf"\b(?:{'|'.join(FIELD.keys() - {'IBAN', 'QQ'})})\b", re.ASCII)
"""Field labels as the code has them; IBAN and QQ are called so in Chinese as well."""
WORDS = re.compile(r"[A-Za-z]{2,}(?:[ ,:;.'-]+[A-Za-z]+)+")
"""Two words and more: a sentence."""


class Texts(HTMLParser):
    """What somebody reads of a page, a text a piece."""

    def __init__(self) -> None:
        super().__init__()
        self.found, self._find_nested = list[str](), list[str]()

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in SPOKEN and value]
        if tag in OPAQUE:
            self._find_nested.append(tag)

    def handle_endtag(self, tag):
        if self._find_nested and self._find_nested[-1] == tag:
            self._find_nested.pop()

    def handle_data(self, data):
        if not self._find_nested and data.strip():
            self.found.append(data.strip())


def english_in(page: str) -> list[str]:
    texts = Texts()
    texts.feed(page)
    return [text for text in texts.found if WORDS.search(NAMES.sub("·", text.replace(ASKER, "")))]


def test_english_sentences_are_detected():
    assert english_in(
        '<p>共 3 条 <b title="not a word">x</b> INC-ABC of <code>ullage sites try</code>'
        " SHA-256</p>"
    ) == ["not a word"]


@pytest.fixture
def busy(store, clock, desk):
    coverage(store, clock)
    clock.seconds = MORNING.timestamp()
    leaks(store, clock, 7)
    claims = Claims(
        volume=3, price=5, currency="USDT", contacts=("telegram", "qq"), files=("csv",), size=3_000
    )
    store.put([stored.model_copy(update={"claims": claims, "incomplete": tuple(INCOMPLETE),
        "newest_date": MORNING.date()})
               for stored in store.scroll(Incident, DocumentFilter())])  # fmt: skip
    assert desk.log_in(ASKER).status_code == 303
    return desk


def test_no_chinese_page_has_an_english_sentence(busy):
    busy.get("/")
    links = dict.fromkeys(
        re.findall(r'href="(/incidents/INC-\w+)"', busy.get("/?tab=all&flat=1").text)
    )
    assert len(links) > 4
    english_texts = {}
    for path in [*PAGES, *REFUSED, *links]:
        answer = busy.get(path, headers={"accept-language": "zh"})
        assert 'lang="zh-Hans"' in answer.text, (path, answer.status_code)
        if english := english_in(answer.text) + CODES.findall(answer.text):
            english_texts[path] = english
    for path, body in forms(next(iter(links))):
        answer = busy.post(
            path, body, headers={"accept-language": "zh", "sec-fetch-site": "same-origin"}
        )
        assert answer.status_code in (200, 400), (path, body)
        if english := english_in(answer.text):
            english_texts[f"{path} {body}"] = english
    assert english_texts == {}


def forms(link: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Forms that are refused, each for another reason, and one answer."""
    yield from [
        ("/exposed", ASKED),
        ("/exposed", {**ASKED, "case": PHONE}),
        ("/sellers", {"name": "x" * 600}),
    ]
    yield from [("/incidents/bulk", {"act": "x"}), ("/incidents/bulk", {"act": "assigned"})]
    yield "/password", {"old": "x", "new": "short", "again": "short"}
    yield f"{link}/silence", {"what": "x", "days": "0", "reason": ""}
    for status, field, value in (
        ("excused", "reason", ""), ("takedown", "state", "back"), ("linked", "other", "x"),
        ("due", "due", "x"),
        ("detached", "sighting", "zz"), ("note", "note", PHONE), ("note", "note", ""),
        ("waived pipl-57", "note", ""),
        ("reported pipl-57 first", "sent_at", "x"), ("assigned", "to", PHONE),
    ):  # fmt: skip
        yield f"{link}/decisions", {"status": status, "token": "0" * 32, field: value}
