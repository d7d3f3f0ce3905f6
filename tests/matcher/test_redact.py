"""Title, channel, URL, author and ids, whatever a poster puts into them: words of closed lists
come out, and nothing else.
"""

import re
import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from matcher.lexicon import Lexicon
from matcher.match import redact
from matcher.match.capture_key import CaptureKey
from ullage.security.keys import KeyStore
from ullage.vocabulary.known_words import GAP, LONGEST

PHONE, ID, CARD, EMAIL = "13800138000", "11010519491231002X", "6200000000000005", "test@example.com"
NAME, LATIN, ADDRESS, PASSWORD = "诸葛文昭", "Zhuge Wenzhao", "北京市朝阳区建国路88号", "Passw0rd!"
NUMBERS = [PHONE, ID, CARD, "110105194912310021", "6200000000000006"]
OTHERS = [
    "芝麻开门芝麻", "correcthorse", "42 Elm Street Apt 7", "恒信达贸易有限公司", "育才第三中学",
    "沪A8K2Z9", "wxid_zhuge1888",
    "1888",
]  # fmt: skip
LEXICON = Lexicon(
    {"bank": ("云杉银行", "yunshan.example"), "other": ("白桦银行",)}, {"bank": ("622848",)}
)
SECTION = "https://forum.example/c/trade"
TOKEN = re.compile(r"[@#]?[0-9a-f]{12}")


@pytest.fixture
def key(tmp_path) -> CaptureKey:
    keys = KeyStore(tmp_path / "keys")
    keys.make("capture.key")
    return CaptureKey(keys)


def title(text: str) -> str:
    return redact.redact_text(text, LEXICON, "bank", ("demo-pastes", "forum.example"))


def wide(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


FORMS = {
    "plain": lambda v: v,
    "full width": wide,
    "percent": lambda v: quote(v, safe=""),
    "percent of all": lambda v: "".join(f"%{b:02X}" for b in v.encode()),
    "percent twice": lambda v: quote("".join(f"%{b:02X}" for b in v.encode()), safe=""),
    "entities": lambda v: "".join(f"&#{ord(c)};" for c in v),
    "json": lambda v: "".join(f"\\u{ord(c):04x}" for c in v),
    "invisible": "\u200b".join,
    "spaced": " ".join,
    "tagged": lambda v: f"<b>{v[:2]}</b>{v[2:]}",
    "between words": " 卖料 ".join,
    "circled": lambda v: "".join(
        chr(0x2460 + int(c) - 1) if c in "123456789" else "⓪" if c == "0" else c for c in v
    ),
}


def bare(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKC", text) if c.isalnum()).lower()


def survives(value: str, shown: str) -> bool:
    """Return whether `value`, or half of it, can be read in `shown`.

    Everything but letters and digits is removed first.
    """
    value = bare(value)
    half = max(2, len(value) // 2)
    return any(value[at : at + half] in bare(shown) for at in range(len(value) - half + 1))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "around", ["{}", "出售 {} 一手", "[SELLING] {} 2024", "姓名:{},密码{}", "姓{}名"]
)
def test_no_value_in_a_title_survives(form: str, around: str) -> None:
    for value in (*NUMBERS, EMAIL, NAME, LATIN, ADDRESS, PASSWORD, *OTHERS):
        assert not survives(value, title(around.replace("{}", FORMS[form](value)))), value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("  ", ""),
        ("!!", "…"),
        ("一批资料", "…"),
        ("一手数据 四件套", "一手数据 四件套"),
        ("【云杉银行】内料，姓名+手机号+开户行", "云杉银行 内料 姓名 手机号 开户行"),
        ("白桦银行 内料", "… 内料"),
        ("內料 一手 CVV2，手機", "內料 一手 cvv2 手機"),
        ("login at YUNSHAN.example fullz", "… yunshan.example fullz"),
        ("622848开头 内料", "BIN 内料"),
        ("demo-pastes mirror of forum.example", "demo-pastes … forum.example"),
        ("zhuge.forum.example", "…"),
        ("料", "…"),
        ("姓诸葛,名文昭 内料", "… 内料"),
        ("154 中 1825 间 1888", "…"),
        ("内料 20万条 诸葛", "内料 …"),
        ("卖料\x1b[31m\u202e", "卖料 …"),
    ],
)
def test_title_keeps_only_listed_words(text: str, shown: str) -> None:
    assert title(text) == shown


@example("MM")
@given(st.text(max_size=900))
def test_redacted_title_contains_only_known_words(text: str) -> None:
    known_words = {GAP, *(word for term in TERMS for word in term.split())}
    shown = title(text)
    assert len(shown) <= LONGEST
    assert known_words.issuperset(shown.split())


WRITTEN = [
    (form.text, entry)
    for form in LEXICON._automaton.values()
    for entry in form.entries
    if entry.kind != "brand"
]
TERMS = {entry.spell(form) for form, entry in WRITTEN}
TERMS |= {"云杉银行", "yunshan.example", "BIN", "demo-pastes", "forum.example"}


def test_endless_title_is_cut() -> None:
    shown = title("四件套 内料 " * 5000)
    assert len(shown) <= LONGEST
    assert shown.endswith(("内料 …", "四件套 …"))


@pytest.mark.parametrize(
    "name", ["darkseller", "zhuge_1888", "a", PHONE, NAME, LATIN, EMAIL, PASSWORD]
)
def test_author_becomes_a_token(name: str, key: CaptureKey) -> None:
    token = redact.author_token(name, key)
    assert re.fullmatch("@[0-9a-f]{12}", token)
    assert {
        redact.author_token(form, key)
        for form in (f" {name}", f"@{name}", name.upper(), wide(name))
    } == {token}
    assert redact.author_token(f"{name}2", key) != token


def test_empty_author_has_no_token(key: CaptureKey) -> None:
    assert [redact.author_token(text, key) for text in ("", "  ", "\u200b", "@")] == [""] * 4


def test_id_tokens_depend_on_site_and_kind(key: CaptureKey) -> None:
    tokens = {
        redact.id_token(kind, "42", site, key) for kind in ("post", "thread") for site in ("a", "b")
    }
    assert len(tokens) == 4
    assert all(TOKEN.fullmatch(token) for token in tokens)
    assert redact.id_token("post", "", "a", key) == ""
    assert redact.channel_token("", "a", key, "") == ""
    assert re.fullmatch(
        "#[0-9a-f]{12} 内料 …", redact.channel_token(f"内料{NAME}", "a", key, title(f"内料{NAME}"))
    )


@pytest.mark.parametrize(
    "form", ["plain", "percent", "percent of all", "percent twice", "full width"]
)
@pytest.mark.parametrize(
    "place", ["https://a.example/t/{}", "https://a.example/{}/raw",
    "https://a.example/t/1?q={}&id={}", "https://a.example/#{}",
              "https://{}@a.example/", "https://{}.example/",
              "https://u:{}@a.example:8080/x-{}-y.html", "{}"]
)  # fmt: skip
def test_no_value_in_a_url_or_section_survives(form: str, place: str) -> None:
    ours = (*NUMBERS, EMAIL, NAME, ADDRESS, PASSWORD)
    for value in (*ours, *OTHERS):
        written = place.replace("{}", FORMS[form](value))
        assert redact.redact_url(written, SECTION) == f"{SECTION}/…", value
        assert redact.redact_url(written, "") == "…", value
        assert value not in ours or bare(value) not in bare(
            redact.redact_url("http://a.example/1", written)
        ), value


@pytest.mark.parametrize(
    ("section", "shown"),
    [
        ("https://forum.example/c/trade/", "https://forum.example/c/trade/…"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/…"),
        ("http://[::1]:80/board", "http://[::1]:80/board/…"),
        ("https://forum.example", "https://forum.example/…"),
        ("https://forum.example/138/00138000", "https://forum.example/…"),
        ("https://138.0013.8000.example/a", "…"),
        ("https://诸葛文昭.example/a", "…"),
        ("https://forum.example/诸葛", "https://forum.example/…"),
        ("https://forum.example/%E8%AF%B8", "https://forum.example/…"),
        ("https://forum.example/c?q=x#y", "https://forum.example/c/…"),
        ("ftp://forum.example/c", "…"),
        ("https://forum.example:99999/c", "…"),
        ("http://[bad/raw", "…"),
        ("javascript:alert(1)", "…"),
    ],
)
def test_section_is_kept_only_if_it_looks_like_one(section: str, shown: str) -> None:
    assert redact.redact_url("https://forum.example/c/trade/zhuge", section) == shown


@given(st.text(), st.text())
def test_any_url_is_accepted(url: str, section: str) -> None:
    assert redact.redact_url(url, section).isprintable()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("bepasty", "bepasty"),
        ("raw_paste", "raw_paste"),
        ("", ""),
        (NAME, "other"),
        (PHONE, "other"),
    ],
)
def test_platform_must_be_a_name(name: str, shown: str) -> None:
    assert redact.redact_platform(name) == shown


@pytest.mark.parametrize(
    ("name", "shown"), [("demo-pastes", "demo-pastes"), ("4chan", "4chan"), (PHONE, "other")]
)
def test_site_must_be_a_name_not_a_number(name: str, shown: str) -> None:
    assert redact.redact_site(name) == shown
