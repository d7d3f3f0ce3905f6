"""What a finding keeps of the texts around a leak: nothing that somebody else wrote, whatever
they wrote.
"""

import json
import re
from datetime import UTC, datetime

import pytest

from matcher.match.findings import find_all
from matcher.watchlist.tagging import TagKeys
from tests.factories import capture
from tests.matcher.bank import enrol, matcher_of
from tests.matcher.conftest import BANK
from ullage.lookup import values
from ullage.records import CaptureFacts, Finding
from ullage.security.masking import Secret
from ullage.settings import Context

ONE = BANK[1]
WRITTEN = {
    "a Chinese password": "芝麻开门吧",
    "a password in lower case": "correcthorsebattery",
    "a name cut by a tag": "<b>诸葛</b>文昭",
    "a name cut by a label": "姓诸葛,名文昭",
    "a name not enrolled": "慕容雪村",
    "pinyin": "zhuge wenzhao",
    "an English address": "42 Elm Street, Springfield",
    "an employer": "恒信达贸易有限公司",
    "a school": "育才第三中学",
    "a split number": "154 中 1825 间 1888",
    "a nickname": "zhuge_1888",
    "a number plate": "沪A8K2Z9",
    "a WeChat id": "wxid_zg1888qq",
}
TOKEN = re.compile("[@#]?[0-9a-f]{12}")
PIECES = {
    "诸葛", "文昭", "慕容", "雪村", "zhuge", "wenzhao", "芝麻", "correct", "elm", "street",
    "springfield", "恒信", "贸易",
    "育才", "中学", "154", "1825", "1888", "a8k2z9", "wxid",
}  # fmt: skip


def facts_of(context: Context, **changes: object) -> tuple[CaptureFacts, Finding]:
    captured = capture(body=f"{ONE['name']}----{ONE['phone']}".encode(), **changes)
    [finding] = find_all(matcher_of(context), [captured], captured.fetched_at)
    return finding.capture, finding


FIELDS = ("title", "author", "channel", "thread", "post_id")
PLACES = (
    "https://{}.example/1",
    "https://a.example/138/{}",
    "https://a.example/?q={}",
    "https://a.example/{}/raw",
)


@pytest.mark.parametrize("what", WRITTEN)
def test_finding_keeps_no_text_of_the_post(bank: Context, what: str) -> None:
    text = WRITTEN[what]
    matcher = matcher_of(bank)
    captures = [
        capture(id=field, body=ONE["phone"].encode(), **{field: f"内料 {text}"}) for field in FIELDS
    ]
    captures += [
        capture(id=place, body=ONE["phone"].encode(), url=place.format(text)) for place in PLACES
    ]
    published = find_all(matcher, captures, captures[0].fetched_at)
    assert len(published) == len(captures)
    for finding in published:
        written = json.dumps(json.loads(finding.encode()), ensure_ascii=False).lower()
        assert text.lower() not in written
        stored = [getattr(finding.capture, name).lower() for name in (*FIELDS, "url")]
        assert [
            piece for piece in PIECES if any(piece in TOKEN.sub("", value) for value in stored)
        ] == []


def test_unknown_platform_becomes_other(bank: Context) -> None:
    assert facts_of(bank, platform="诸葛文昭")[0].platform == "other"


def test_author_tag_ignores_case(bank: Context) -> None:
    facts, _ = facts_of(bank, author="Zhuge_1888")
    assert facts.author.startswith("@")
    assert [facts.author_tag] == values.tags(bank.keys, "bank", Secret(" @zhuge_1888 "))
    assert facts.author_tag != facts_of(bank, author="zhuge_1889")[0].author_tag
    assert facts_of(bank, author="")[0].author_tag == ""
    for nobody in ("Anonymous", "匿名用户", "[deleted]", "Deleted Account"):
        assert (
            facts_of(bank, author=nobody)[0].author_tag,
            facts_of(bank, author=nobody)[0].author,
        ) == ("", "")


def test_channel_and_thread_are_tagged_with_the_index_key(
    bank: Context,
) -> None:
    facts, _ = facts_of(bank, channel="@诸葛 内料", thread="77", edited=True)
    assert re.fullmatch("[0-9a-f]{32}", facts.channel_tag)
    assert re.fullmatch("[0-9a-f]{32}", facts.thread_tag)
    assert (facts.edited, facts.deleted) == (True, False)
    same, _ = facts_of(bank, channel="@诸葛 内料", thread="77")
    assert (same.channel_tag, same.thread_tag) == (facts.channel_tag, facts.thread_tag)
    other_channel, _ = facts_of(bank, channel="elsewhere", thread="77")
    assert other_channel.channel_tag != facts.channel_tag
    assert other_channel.thread_tag != facts.thread_tag
    none, _ = facts_of(bank, channel="", thread="")
    assert (none.channel_tag, none.thread_tag) == ("", "")


def test_author_tag_differs_from_identifier_tags(bank: Context) -> None:
    facts, _ = facts_of(bank, author=ONE["phone"])
    keys = TagKeys(bank.keys, "bank", "index", 1)
    of_kinds = {
        keys.tagger(kind, form).tag_one(ONE["phone"].encode()).hex()
        for kind in ("phone", "qq", "wechat", "name", "card")
        for form in ("plain", "md5")
    }
    assert facts.author_tag
    assert facts.author_tag not in of_kinds


def test_tenant_sees_only_its_own_brands(bank: Context) -> None:
    enrol(bank, "other", [ONE])
    matcher = matcher_of(bank, brands={"bank": ["某某银行"], "other": ["另一银行"]})
    captured = capture(body=ONE["phone"].encode(), title="某某银行 另一银行 内料", author="zhuge")
    first, second = find_all(matcher, [captured], captured.fetched_at)
    assert [f.capture.title for f in (first, second)] == ["某某银行 … 内料", "… 另一银行 内料"]
    assert first.capture.author == second.capture.author
    assert first.capture.author_tag != second.capture.author_tag


def test_url_is_reduced_to_its_section(bank: Context) -> None:
    facts, _ = facts_of(
        bank,
        url="https://forum.example/c/trade/zhuge-wenzhao/138/0013/8000",
        section="https://forum.example/c/trade",
    )
    assert facts.url == "https://forum.example/c/trade/…"


@pytest.mark.parametrize(
    ("number", "is_kept"), [(15400138000, False), (154001380001, False), (1_700_000_000, True)]
)
def test_number_in_place_of_a_time_is_not_kept(bank: Context, number: int, is_kept: bool) -> None:
    """A collector that fills the field with a phone writes a moment of the year 2458, to the
    second.
    """
    at = datetime.fromtimestamp(number, UTC)
    assert (facts_of(bank, published_at=at)[0].published_at == at) is is_kept
