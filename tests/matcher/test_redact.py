"""Title, author and URL, whatever a poster puts into them: no planted value comes out in any form."""

import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher import redact

PHONE, ID, CARD, EMAIL = "13800138000", "11010519491231002X", "6200000000000005", "test@example.com"
NAME, LATIN, ADDRESS, PASSWORD = "张某某", "Zhang San", "北京市朝阳区建国路88号", "Passw0rd!"
ENROLLED = {NAME, "zhangsan", "买买提·吐尔逊"}
NUMBERS = [PHONE, ID, CARD, "110105194912310021", "6200000000000006"]


def enrolled(names: list[str]) -> list[bool]:
    return ["".join(n.split()).lower() in ENROLLED for n in names]


def title(text: str) -> str:
    return redact.title(text, enrolled)


def author(text: str) -> str:
    return redact.author(text, lambda name: "0123456789abcdef", enrolled)


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
}
SPACED = {
    "spaced": " ".join,
    "dashed": "-".join,
    "slashed": "/".join,
    "dotted": " . ".join,
    "double": "  ".join,
    "circled": lambda v: "".join(chr(0x2460 + int(c) - 1) if c in "123456789" else "⓪" if c == "0" else c for c in v),
}


def survives(value: str, shown: str) -> bool:
    """Whether `value` can be read in `shown`, with all that is no letter or digit taken out."""
    bare = "".join(c for c in unicodedata.normalize("NFKC", shown) if c.isalnum()).lower()
    return "".join(c for c in value if c.isalnum()).lower() in bare


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [*NUMBERS, EMAIL, NAME, LATIN, ADDRESS, PASSWORD])
@pytest.mark.parametrize("around", ["{}", "出售 {} 一手", "[SELLING] {} 2024", "x,{},y"])
def test_no_value_in_a_title_survives(value: str, form: str, around: str) -> None:
    assert not survives(value, title(around.format(FORMS[form](value))))


@pytest.mark.parametrize("form", SPACED)
@pytest.mark.parametrize("value", NUMBERS)
def test_no_number_survives_its_spacing(value: str, form: str) -> None:
    assert not survives(value[:11], title(f"数据 {SPACED[form](value)} 出售"))


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("姓名:赵无名 出售", "赵无名"),
        ("姓名：小明明", "小明明"),
        ("密码:correcthorse", "correcthorse"),
        ("密码 correcthorse", "correcthorse"),
        ("password hunterx list", "hunterx"),
        ("地址=某地某处", "某地某处"),
        ("qq:12345678", "12345678"),
        ("QQ 1234567", "1234567"),
        ("王某 的资料", "王某"),
        ("出售张某某的资料", "张某某"),
        ("出售张 某 某的资料", "张 某 某"),
        ("买买提·吐尔逊资料", "吐尔逊"),
        ("Buy Zhang San Data", "Zhang San"),
        ("zhang  san", "san"),
        ("ZHANGSAN leak", "ZHANG"),
        ("建国路 88 号 3 单元", "88"),
        ("7945bd83237335e5376ff44d62e4f0ae", "7945"),
        ("hunter2 works", "hunter2"),
        ("a\x00b\x1b[31m 13800138000", "\x1b"),
        ("长" * 5000, "长" * 201),
    ],
)
def test_what_a_title_loses(text: str, gone: str) -> None:
    assert gone not in title(text)


@pytest.mark.parametrize(
    "text", ["某银行 20万条 2024年5月 一手 90% 客户", "[SELLING] BankX fullz", "一批客户资料", "内料 5w条", "贷款数据 日更", ""]
)
def test_what_tells_no_person_stays(text: str) -> None:
    assert title(text) == text


@given(
    st.sampled_from([*NUMBERS, EMAIL, PASSWORD]), st.sampled_from(sorted(FORMS)),
    st.text(st.sampled_from("出售数据 ,.|:-/[]()x"), max_size=8), st.text(st.sampled_from("出售数据 ,.|:-/[]()"), max_size=8),
)  # fmt: skip
def test_no_surrounding_saves_a_value(value: str, form: str, before: str, after: str) -> None:
    assert not survives(value, title(f"{before} {FORMS[form](value)} {after}"))
    assert not survives(value, author(f"{before}{FORMS[form](value)}{after}"))


@given(st.text(), st.text(), st.text())
def test_no_title_author_or_url_is_too_strange(text: str, name: str, path: str) -> None:
    assert len(title(text)) <= 200
    assert title(text).isprintable()
    redact.url(f"https://forum.example/{path}", text)
    assert len(author(name)) <= 30


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("darkseller", "darkseller"),
        ("dark_seller.99", "dark_seller.99"),
        ("", ""),
        ("  ", ""),
        (PHONE, "@01234567"),
        ("张某", "@01234567"),
        ("Zhang San", "@01234567"),
        ("zhang.san", "@01234567"),
        ("zhangsan", "@01234567"),
        (EMAIL, "@01234567"),
        (PASSWORD, "@01234567"),
        (wide("13800138000"), "@01234567"),
        ("a", "@01234567"),
    ],
)
def test_an_author_is_a_screen_name_or_a_token(name: str, shown: str) -> None:
    assert author(name) == shown


@pytest.mark.parametrize("form", ["plain", "percent", "percent of all", "percent twice", "full width"])
@pytest.mark.parametrize("value", [*NUMBERS, EMAIL, NAME, ADDRESS, PASSWORD])
@pytest.mark.parametrize(
    "place", ["https://a.example/t/{}", "https://a.example/{}/raw", "https://a.example/t/1?q={}&id={}", "https://a.example/#{}",
              "https://{}@a.example/", "https://{}.example/", "https://u:{}@a.example:8080/x-{}-y.html", "{}"]
)  # fmt: skip
def test_no_value_in_a_url_survives(value: str, form: str, place: str) -> None:
    written = FORMS[form](value)
    assert not survives(value, redact.url(place.replace("{}", written), written))


@pytest.mark.parametrize(
    ("url", "post_id", "shown"),
    [
        ("http://127.0.0.1:8080/t/42?page=7&x=9", "42", "http://127.0.0.1:8080/t/42?page=7"),
        ("http://[::1]:80/raw", "", "http://[::1]:80/raw"),
        ("https://a.example/Ab3dE", "Ab3dE", "https://a.example/Ab3dE"),
        ("https://a.example/Ab3dE", "other", "https://a.example/…"),
        ("https://a.example/raw/+/x", "", "https://a.example/raw/+/…"),
        ("https://a.example/13800138000abc", "13800138000abc", "https://a.example/…"),
        ("ftp://a.example/raw", "", ""),
        ("https://a.example:99999/raw", "", ""),
        ("http://[bad/raw", "", ""),
        ("javascript:alert(1)", "", ""),
    ],
)
def test_a_url_keeps_where_it_leads_and_no_more(url: str, post_id: str, shown: str) -> None:
    assert redact.url(url, post_id) == shown


@pytest.mark.parametrize(
    ("text", "kept"),
    [("42", True), ("123456789", True), ("1234567890", False), ("Ab3_-x", True), (PHONE, False), (f"x{PHONE}y", False),
     ("138-0013-8000x", False), ("7945bd83237335e5376ff44d62e4f0ae", False), ("张某", False), ("a b", False), ("x" * 65, False)],
)  # fmt: skip
def test_an_id_of_a_platform_is_kept_when_it_can_be_nobodys(text: str, kept: bool) -> None:
    assert redact.identifier(text) == (text if kept else "")
