"""Values in pieces, with other signs, or glued to something are read; what only looks like them
stays.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bench.corpus.disguise import split_groups
from matcher.columns.batch import Batch
from matcher.columns.bitset import Classes
from matcher.columns.literals import SearchPatterns
from matcher.detect.search import Prescan, search
from matcher.match.parts import Piece, read
from matcher.text import unescape
from matcher.text.digit_groups import ROOM
from matcher.text.group_numbers import find_numbers
from tests.matcher.chain_reference import number_at

PHONE, ID, CARD, MAIL = (
    "13800138000",
    "11010519491231002X",
    "6200000000000005",
    "li.wei8@example.com",
)
GERMAN, IBAN = "+4917096259826", "DE89370400440532013000"
AMEX, DINERS = "378282246310005", "30569309025904"
PRESCAN = Prescan(SearchPatterns((b"no such word",)))
AROUND = ("{}", "李某,{},x", "联系{}。", "电子： {} 北京")
SINGLES = (
    " ",
    "-",
    ".",
    "/",
    "·",
    "、",
    "，",
    "_",
    "*",
    "~",
    "+",
    "x",
    " - ",
    "。",
    "丨",
    "  ",
    "\u3000",
    "→",
    "☆",
    "加",
)
WIDE_SINGLES = ("★★★", "空格")
SIGNS = (
    " ",
    "-",
    "/",
    "x",
    "·",
    "。",
    "，",
    "丨",
    "、",
    "_",
    "•",
    " · ",
    " / ",
    " x ",
    "🔥",
    "★★★",
    "♥♥♥♥",
    "丨丨",
)
SCRIPTS = ("零一二三四五六七八九", "０１２３４５６７８９", "⓪①②③④⑤⑥⑦⑧⑨")
GROUPS = {
    PHONE: ((4, 4, 3), (5, 6), (6, 5), (4, 7), (3, 4, 4), (3, 8), (7, 4),
        (3, 3, 5), (3, 3, 3, 2), (2, 2, 2, 2, 2, 1), (2, 3, 3, 3)),
    ID: ((6, 8, 4), (6, 4, 4, 4), (6, 4, 2, 2, 4), (3, 3, 4, 4, 4), (4, 4, 4, 4, 2), (6, 6, 6),
    (3,) * 6, (2,) * 9, (6, 8, 3, 1)),
    CARD: ((4, 4, 4, 4), (8, 8), (2,) * 8, (5, 5, 5, 1), (6, 10), (4, 12)),
    AMEX: ((4, 4, 4, 3), (4, 6, 5), (5, 5, 5)),
    DINERS: ((4, 4, 4, 2), (4, 6, 4)),
}  # fmt: skip
LABELS = {PHONE: "手机：", ID: "身份证：", CARD: "卡号："}


def find_valid(texts: Sequence[str]) -> list[set[str]]:
    """Return the valid values in each of `texts`, which are read the way a capture is."""
    laid = read([Piece(0, "", text.encode(), len(text)) for text in texts], PRESCAN)
    values: list[set[str]] = [set() for _ in texts]
    for segment in search(laid.batch).segments:
        parts = laid.batch.documents(segment.start).tolist()
        for part, row, length, valid in zip(
            parts, segment.normal, segment.length.tolist(), segment.valid.tolist(), strict=True
        ):
            values[part].update(
                {row[:length].tobytes().decode()} if valid and segment.kind != "qq" else ()
            )
    return values


def list_misread(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Return the texts that are not read as exactly their value in some surroundings."""
    texts = [(value, around.format(text)) for value, text in pairs for around in AROUND]
    got = find_valid([text for _, text in texts])
    return [text for (value, text), values in zip(texts, got, strict=True) if values != {value}]


@pytest.mark.parametrize("value", [PHONE, ID, CARD])
def test_single_digits_are_read_with_any_separator(value: str) -> None:
    assert list_misread((value, sign.join(value)) for sign in (*SINGLES, *WIDE_SINGLES)) == []


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("value", [PHONE, ID, CARD])
def test_single_digits_are_read_in_any_script(value: str, script: str) -> None:
    written = value.translate(str.maketrans("0123456789", script))
    assert (
        list_misread((value, sign.join(written)) for sign in (" ", "-", "、", "·", "，", "/")) == []
    )


def test_single_digits_are_read_with_mixed_separators() -> None:
    assert (
        list_misread(
            [(PHONE, "1 3 8-0 0 1 3-8 0 0 0"), (ID, "1.1.0.1.0.5-1.9.4.9 1 2 3 1-0 0 2-X")]
        )
        == []
    )


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("value", GROUPS)
def test_digit_groups_are_read_with_any_separator(value: str, sign: str) -> None:
    assert list_misread((value, split_groups(value, sizes, sign)) for sizes in GROUPS[value]) == []


@pytest.mark.parametrize("value", LABELS)
def test_cell_separators_join_groups_only_after_a_label(value: str) -> None:
    written = [split_groups(value, sizes, sign) for sizes in GROUPS[value] for sign in ",|;\t"]
    assert list_misread((value, LABELS[value] + text) for text in written) == []
    assert find_valid([text for text in written if "\t" not in text]) == [set()] * (
        len(written) * 3 // 4
    )


@pytest.mark.parametrize(
    "text",
    [
        *("(138)0013-8000", "【138】0013 8000", "[138]0013-8000"),
        *("（138）0013－8000", "138(0013)8000", "【138】【0013】【8000】"),
        *("「138」0013-8000", "{138}00138000", "(1380)0138000", "138-(0013)-8000",
        "138号段：0013-8000", "138开头，0013 8000"),
        *("138號段：0013-8000", "号段138 尾号00138000"),
        *('="1380"&"0138000"', '=CONCATENATE("138","0013","8000")', "'138'||'00138000'"),
        *('"138"+"0013"+"8000"', "=138&“00138000”", r"\n13800138000"),
        *(r"\t13800138000", r"\\n+86 138 0013 8000", "86 1380 0138 000"),
    ],
)  # fmt: skip
def test_phone_is_read_in_brackets_words_and_formulas(text: str) -> None:
    assert list_misread([(PHONE, text)]) == []


@pytest.mark.parametrize(
    "text",
    [
        *("+49-17096259826", "+49.17096259826", "(+49)17096259826"),
        *("(+49) 170 96259826", "+49(0)17096259826", "+49 (0)170/96259826"),
        *("00 49 170 96259826", "0049-170-96259826", "00 49 17096259826"),
        *("+49 17 09 62 59 82 6", "(0049) 17096259826", "+ 49 170 96259826"),
        *("+49/170/96259826", "+(49) 17096259826", "+49 - 170 - 96259826"),
        *("0049 (0)170 96259826", "00-49-170-96259826", "+49·170·96259826"),
        *("[+49] 17096259826", "+49_17096259826", "+49 0170 96259826", "(+49)(0)17096259826"),
    ],
)  # fmt: skip
def test_foreign_number_is_read_in_any_notation(text: str) -> None:
    assert list_misread([(GERMAN, text)]) == []


@pytest.mark.parametrize(
    "written",
    [
        "{c}-{n}",
        "{c}.{n}",
        "({c}){n}",
        "({c}) {p}",
        "00 {d} {n}",
        "00 {d}{n}",
        "{c} {p}",
        "{c}/{n}",
        "00{d}-{p}",
    ],
)
def test_paired_digits_of_other_countries_are_read(written: str) -> None:
    numbers = (
        ("+33", "612345678"),
        ("+34", "612345678"),
        ("+39", "3123456789"),
        ("+44", "7400123456"),
        ("+43", "6641234567"),
        ("+48", "512345678"),
    )
    pairs = {
        n: (
            " ".join(
                (n[:1] * (len(n) % 2), *(n[i : i + 2] for i in range(len(n) % 2, len(n), 2)))
            ).strip()
        )
        for _, n in numbers
    }
    assert (
        list_misread((c + n, written.format(c=c, d=c[1:], n=n, p=pairs[n])) for c, n in numbers)
        == []
    )


@pytest.mark.parametrize(
    "text",
    [
        f"IBAN{IBAN}",
        f"iban{IBAN}",
        rf"\n{IBAN}",
        *(split_groups(IBAN, (4,) * 5, s) for s in ("·", "/", "_", "，", " - ", "  ")),
    ],
)
def test_iban_is_read_glued_and_in_groups(text: str) -> None:
    assert list_misread([(IBAN, text)]) == []


@pytest.mark.parametrize(
    "at",
    [
        " @ ", "@ ", "(a)", "#", "艾特", " 艾特 ", "[a]", "{at}", "<at>", "_at_", "（艾特）", "(@)",
        "@@", "*at*", "(圈a)",
        "＠", " ＠ ",
    ],
)  # fmt: skip
def test_address_is_read_with_another_at_sign(at: str) -> None:
    assert list_misread([(MAIL, MAIL.replace("@", at))]) == []


@pytest.mark.parametrize("dot", ["[dot]", "点", "[.]", "(.)", " . ", "。", "{dot}", "[点]", "·"])
@pytest.mark.parametrize("at", ["@", "[at]", "艾特", " @ "])
def test_address_is_read_with_another_dot(at: str, dot: str) -> None:
    local, domain = MAIL.split("@")
    assert list_misread([(MAIL, f"{local}{at}{domain.replace('.', dot)}")]) == []


@pytest.mark.parametrize("number", [IBAN, "GB82WEST12345698765432", "NO9386011117947"])
@pytest.mark.parametrize(
    "sign", [*SINGLES, "|", ";", ":", "\t", "#", "'", "丶", "点", "➜", "🔥", " x "]
)
def test_iban_is_read_digit_by_digit_and_in_groups(number: str, sign: str) -> None:
    ways = ((1,) * len(number), (4,) * 8, (2, 2, *(4,) * 7))
    assert (
        list_misread(
            (number, split_groups(written, sizes, sign))
            for sizes in ways
            for written in (number, number.lower())
        )
        == []
    )


NAMED_AT = (
    *(
        " AT ",
        " at ",
        "&at;",
        "ⓐ",
        " AT-sign ",
        "(at-sign)",
        " # ",
        "圈a",
        "⊙",
        "|at|",
        "~at~",
        "__at__",
        "--at--",
        "(arroba)",
    ),
    *(" Klammeraffe ", "(ät)", "＠", "at号", "[ @ ]", "{a}", "《at》", "=at="),
)
NAMED_DOT = (
    *(
        ".",
        "．",
        " DOT ",
        " dot ",
        "(punkt)",
        "[punkt]",
        " Punkt ",
        " point ",
        "·",
        "•",
        "｡",
        "[.]",
        "小数点",
        "-dot-",
        "&dot;",
    ),
    *(" . ", "，", ",", "*dot*", "{dot}", "｛点｝"),
)


@pytest.mark.parametrize("at", NAMED_AT)
def test_address_is_read_with_named_signs(at: str) -> None:
    for mail in (MAIL, "li.wei8@mail.example.com"):
        local, domain = mail.split("@")
        assert (
            list_misread((mail, f"{local}{at}{domain.replace('.', dot)}") for dot in NAMED_DOT)
            == []
        )


@pytest.mark.parametrize(
    "words",
    [
        "null eins zwei drei vier fünf sechs sieben acht neun",
        "zéro un deux trois quatre cinq six sept huit neuf",
        "cero uno dos tres cuatro cinco seis siete ocho nueve",
    ],
)
def test_digits_are_read_as_words_of_other_languages(words: str) -> None:
    assert list_misread([(PHONE, " ".join(words.split()[int(digit)] for digit in PHONE))]) == []


@pytest.mark.parametrize("last", range(10))
def test_digit_words_are_read_with_any_last_word(last: int) -> None:
    words = "zero one two three four five six seven eight nine".split()
    number = f"1540000123{last}"
    assert list_misread([(number, " ".join(words[int(digit)] for digit in number))]) == []


@pytest.mark.parametrize("between", [" ", " / ", "/", " | "])
def test_digits_are_read_in_morse_code(between: str) -> None:
    code = "----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----.".split()
    assert list_misread([(PHONE, between.join(code[int(digit)] for digit in PHONE))]) == []
    assert find_valid([between.join(["-----"] * 11), between.join([".----"] * 12)]) == [
        set(),
        set(),
    ]


@pytest.mark.parametrize(
    "written",
    [
        "li dot wei8 at example dot com",
        "li_DOT_wei8_AT_example_DOT_com",
        "li_dot_wei8_at_example_dot_com",
        "l i . w e i 8 @ e x a m p l e . c o m",
    ],
)
def test_address_is_read_with_all_signs_spelt_out(written: str) -> None:
    assert list_misread([("li.wei8@example.com", written)]) == []


def test_address_is_read_with_every_dot_in_brackets() -> None:
    assert list_misread([(MAIL, "li[.]wei8[@]example[.]com")]) == []


def test_circled_and_wide_letters_make_an_address() -> None:
    circled = "".join(chr(ord("ⓐ") + ord(c) - 97) if c.isalpha() else c for c in MAIL)
    wide = "".join(chr(ord(c) + 0xFEE0) for c in MAIL)
    assert list_misread([(MAIL, circled), (MAIL, wide)]) == []


NOBODYS = [
    *("look at example.com", "hello point example.com", "in example # example.com",
    "meet at mail.example.com now"),
    *("138--0013--8000", "138元0013元8000元", "/a/138/0013/8000/b"),
    *("138,0013,8000", "1380,0138,000", "13800,138000", "13800.138000"),
    *("1,3,8,0,0,1,3,8,0,0,0", "1|3|8|0|0|1|3|8|0|0|0", "192.168.100.34", "1985-12-31-123",
    "15:30:22:12345"),
    *("138x0013x8000x1", "1x138x0013x8000", "1 3 8 0 0 1 3 8 0 0 0 0"),
    *("2 1 3 8 0 0 1 3 8 0 0 0", "138·0013 8000", "13800 138000 17"),
    *("[2019] 13800138", "IBANDE89370400440532013001", "+49-17096259826123456", "x\\m13800138000",
    "138号段：0013-800"),
    *("see page#example.com/x", "https://a.example/b#c.example.com", "hi @john.com"),
    *("1920x1080x16", "110105x19491231x0021", "6200x0000x0000x0006"),
]  # fmt: skip


@pytest.mark.parametrize("text", NOBODYS)
def test_lookalike_text_matches_nothing(text: str) -> None:
    assert find_valid([text, f"李某：{text}。"]) == [set(), set()]


def test_number_beside_others_stays_unchanged() -> None:
    texts = [
        "17 13800138000 18",
        "3412 13800138000",
        "3412 138 0013 8000",
        f"{PHONE} {ID} {CARD}",
        f"{PHONE},{PHONE}",
        f"{PHONE}/{PHONE}",
    ]
    assert find_valid(texts) == [{PHONE}, {PHONE}, {PHONE}, {PHONE, ID, CARD}, {PHONE}, {PHONE}]


PIECES = (
    "1", "13", "138", "0013", "8000", "x", "·", " ", "-", ",", "、", "，", ".", "/", "\n", "李",
    "110105", "19491231", "002X",
    "86", "+49", "(", ")",
)  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=30))
def test_rewriting_keeps_the_length(parts: list[str]) -> None:
    text = "".join(parts)
    assert len(unescape(text, markup=False)) == len(text)


@given(st.lists(st.sampled_from(PIECES), max_size=30))
def test_column_search_agrees_with_the_reference_pattern(
    parts: list[str],
) -> None:
    """The columns read it as well, or the search finds it by itself; the digits they read are
    those that stand there.
    """
    text = "".join(parts).replace("，", "、")
    data = np.frombuffer(ROOM + text.encode() + ROOM, np.uint8)
    numbers, _ = find_numbers(Classes(data), np.empty(0, np.int64))
    for start, end, plain in zip(numbers.start, numbers.end, numbers.plain, strict=True):
        written = "".join(
            char for char in data[start:end].tobytes().decode() if char.isdigit() or char in "xX"
        )
        assert written.replace("x", "") == plain or written.upper() == plain
    values = {
        row[:length].tobytes().decode()
        for segment in search(Batch.join([text.encode()])).segments
        for row, length in zip(segment.normal, segment.length, strict=True)
    }
    for place in range(len(text)):
        _, plain = number_at(text, place)
        if plain:
            assert any(plain in read for read in (values, numbers.plain))
