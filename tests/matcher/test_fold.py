"""Every way of writing a digit is read, and every place in the folded text leads back to where
it was.
"""

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from matcher.columns.bitset import WINDOW
from matcher.text import fold, fold_all
from matcher.text.fold import BETWEEN_HAN, DIGITS, X_ALIKE, to_plain_character

PHONE = "13800138000"
DROPPED = (
    "\u0336\u20e0\u200b\u200d\u2060\ufeff\u00ad\u180e\u034f\u061c\u202e\u2066\u115f\u3164"
    "\uffa0\u2800\ufe0f\u20e3\U000e0031"
)
SCRIPTS = {
    "full width": "０１２３４５６７８９",
    "mathematical": "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗",
    "superscript": "⁰¹²³⁴⁵⁶⁷⁸⁹",
    "segmented": "🯰🯱🯲🯳🯴🯵🯶🯷🯸🯹",
    "circled": "⓪①②③④⑤⑥⑦⑧⑨",
    "negative circled": "⓿❶❷❸❹❺❻❼❽❾",
    "dingbat": "⓪➀➁➂➃➄➅➆➇➈",
    "dingbat negative": "⓿➊➋➌➍➎➏➐➑➒",
    "double circled": "⓪⓵⓶⓷⓸⓹⓺⓻⓼⓽",
    "parenthesised": "⓪⑴⑵⑶⑷⑸⑹⑺⑻⑼",
    "full stop": "🄀⒈⒉⒊⒋⒌⒍⒎⒏⒐",
    "Arabic-Indic": "٠١٢٣٤٥٦٧٨٩",
    "Persian": "۰۱۲۳۴۵۶۷۸۹",
    "Devanagari": "०१२३४५६७८९",
    "Osmanya": "𐒠𐒡𐒢𐒣𐒤𐒥𐒦𐒧𐒨𐒩",
    "Han": "零一二三四五六七八九",
    "Han with a ring": "〇一二三四五六七八九",
    "financial": "零壹贰叁肆伍陆柒捌玖",
    "traditional financial": "零壹貳參肆伍陸柒捌玖",
    "radio": "洞幺两三四五六拐八勾",
    "round zero": "○一二三四五六七八九",
    "Suzhou": "〇〡〢〣〤〥〦〧〨〩",
    "keycap": None,
}


def write_in_script(number: str, script: str) -> str:
    digits = SCRIPTS[script]
    return "".join(digits[int(d)] if digits else f"{d}\ufe0f\u20e3" for d in number)


@pytest.mark.parametrize("script", SCRIPTS)
def test_digits_of_every_script_are_folded(script: str) -> None:
    assert fold(f"手机{write_in_script(PHONE, script)}。").text == f"手机{PHONE}。"


@pytest.mark.parametrize("hyphen", "‐‑‒–—―−⁃﹘﹣－─━ー")
def test_every_hyphen_becomes_ascii(hyphen: str) -> None:
    assert fold(f"138{hyphen}0013{hyphen}8000").text == "138-0013-8000"


@pytest.mark.parametrize("space", "\u00a0\u2000\u2007\u200a\u202f\u205f\u3000\u1680")
def test_every_space_becomes_ascii(space: str) -> None:
    assert fold(f"138{space}0013{space}8000").text == "138 0013 8000"


@pytest.mark.parametrize("char", DROPPED)
def test_invisible_characters_are_dropped(char: str) -> None:
    assert fold(f"{char}138{char}{char}00138000{char}").text == PHONE


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("ＴＥＬ：１３８", "TEL:138"),
        ("test＠example．com", "test@example.com"),
        ("姓名，手机；卡号｜", "姓名,手机;卡号|"),
        ("一二三四五六", "一二三四五六"),
        ("星期一到周五", "星期一到周五"),
        ("一三八 零零一三 八零零零", "138 0013 8000"),
        ("一3八00一38000", PHONE),
        ("一3800138000", PHONE),
        ("1380013800零", PHONE),
        ("张三13800138000", "张三13800138000"),
        ("张三 13800138000 李四", "张三 13800138000 李四"),
        ("13800138000一手", "13800138000一手"),
        ("2024-05-01 一手料", "2024-05-01 一手料"),
        ("卡Х×", "卡Х×"),
        ("3三0一0六1八8一1零0九8三5零", "330106188110098350"),
        ("＋８６13800138000", "+8613800138000"),
        ("17＋yong@example.com＋x", "17＋yong@example.com＋x"),
        ("½ Ⅷ ㈠", "½ Ⅷ ㈠"),
    ],
)
def test_only_variant_forms_and_long_runs_are_folded(text: str, folded: str) -> None:
    assert fold(text).text == folded


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        *((f"11010519491231002{x}", "11010519491231002X") for x in X_ALIKE),
        ("110105 19491231 002×,", "110105 19491231 002X,"),
        ("110105-19491231-002-×", "110105-19491231-002-X"),
        ("１１０１０５１９４９１２３１００２×", "11010519491231002X"),
        ("110105-19491231 002×", "110105-19491231 002×"),
        ("1101051949123100×", "1101051949123100×"),
        ("×11010519491231002", "×11010519491231002"),
        ("一一零一零五一九四九一二三一零零二×", "11010519491231002X"),
    ],
)
def test_letter_like_x_is_folded_only_after_seventeen_digits(text: str, folded: str) -> None:
    assert fold(text).text == folded


def in_columns(text: str) -> str:
    """`text` folded as a body is, however short."""
    return fold_all([text.encode("utf-8", "surrogatepass")])[0].text


HAN_RUN = re.compile(
    rf"[0-9{''.join(DIGITS)}](?:[{re.escape(BETWEEN_HAN)}]?[0-9{''.join(DIGITS)}]){{6,}}"
)
BEFORE_X = re.compile(r"(?:[0-9]{17}|[0-9]{6}([ .\-])[0-9]{8}\1[0-9]{3}\1?)\Z")


def slow_fold(text: str) -> str:
    """Folding as it is told, a character and then a run at a time."""
    text = re.sub("\r\n?", "\n", text).replace("\0", " ")
    plain = HAN_RUN.sub(slow_run, "".join(map(to_plain_character, text)))
    plain = re.sub("(?<![0-9A-Za-z])＋(?=[0-9])", "+", plain)
    return "".join(
        "X" if c in X_ALIKE and BEFORE_X.search(plain[max(0, i - 20) : i]) else c
        for i, c in enumerate(plain)
    )


def slow_run(match: re.Match[str]) -> str:
    run = match.group()
    core = run.strip("".join(DIGITS) + BETWEEN_HAN)
    inner, whole = (len(re.findall(f"[0-9{''.join(DIGITS)}]", part)) for part in (core, run))
    return run if core.isascii() and inner >= 7 and not inner < 11 <= whole else plain_digits(run)


def plain_digits(text: str) -> str:
    return "".join(str(DIGITS.get(c, c)) for c in text)


@given(
    st.text(st.sampled_from("0123456789一三零壹幺 -.|、·×Х１＋③٣\u200b😀𝟖张\r\na"), max_size=60)
    | st.text(max_size=40)
)
@example("\U000118e0")
def test_column_folding_equals_reference_folding(text: str) -> None:
    assert fold(text).text == in_columns(text) == slow_fold(text)


@given(
    st.lists(
        st.text(st.sampled_from("0123456789一三零 -.|"), max_size=9) | st.just(PHONE), max_size=8
    ).map("三".join)
)
def test_han_digit_runs_equal_reference_folding(text: str) -> None:
    assert fold(text).text == in_columns(text) == slow_fold(text)


@given(st.text(st.characters(min_codepoint=1)), st.data())
def test_utf8_offset_maps_to_its_character(text: str, data: st.DataObject) -> None:
    folded = fold(text)
    places = sorted(data.draw(st.lists(st.integers(0, len(folded.text)), max_size=9)))
    behind = [len(folded.text[:place].encode("utf-8", "surrogatepass")) for place in places]
    assert folded.to_characters(behind).tolist() == places
    assert folded.utf8.decode("utf-8", "surrogatepass") == folded.text


def test_offsets_far_into_a_long_text_are_right() -> None:
    folded = fold("张a，" * 100_000)
    assert folded.to_characters([0, 3, 4, 5, 5 * 99_999 + 4]).tolist() == [
        0,
        1,
        2,
        3,
        3 * 99_999 + 2,
    ]


@pytest.mark.parametrize("half", ["\ud83d", "\ud83d\u200b\ude00"])
def test_half_a_surrogate_pair_is_tolerated(half: str) -> None:
    folded = fold(f"张{half}１")
    assert folded.text == f"张{half}1".replace("\u200b", "")
    assert folded.to_characters([len(folded.utf8)]).tolist() == [len(folded.text)]


@pytest.mark.parametrize("text", ["a\r\nb\rc\nd", "甲\r\n乙\r丙\n丁"])
def test_every_line_ending_becomes_one_newline(text: str) -> None:
    folded = fold(text)
    assert folded.text.count("\n") == 3
    assert [text[slice(*folded.span(i, i + 1))] for i in range(0, 7, 2)] == re.split(
        r"\r\n|\r|\n", text
    )


@given(st.text(st.sampled_from(DROPPED + "0123456789 -甲乙張１８①٣\r\n\0𝟖a")), st.data())
def test_folded_span_maps_back_to_the_original(text: str, data: st.DataObject) -> None:
    folded = fold(text)
    end = data.draw(st.integers(0, len(folded.text)))
    start = data.draw(st.integers(0, end))
    first, last = folded.span(start, end)
    assert 0 <= first <= last <= len(text)
    assert fold(text[first:last]).text.replace("\n", "") == folded.text[start:end].replace("\n", "")


@given(st.text())
def test_folding_loses_only_what_it_records_as_dropped(text: str) -> None:
    folded = fold(text)
    assert len(folded.text) + len(folded.drops) == len(text)
    assert folded.original == text


@given(st.text())
def test_folding_is_idempotent(text: str) -> None:
    once = fold(text).text
    assert fold(once).text == once


ALL_DIGITS = [*filter(str.isdecimal, map(chr, range(0x80, 0x110000)))]


@pytest.mark.parametrize("around", ["{}", "张{}", "😀{}"])
def test_every_unicode_decimal_digit_gets_its_value(around: str) -> None:
    wrong = [
        char
        for char in ALL_DIGITS
        if fold(around.format(char)).text != around.format(unicodedata.decimal(char))
    ]
    assert wrong == []


@given(st.lists(st.sampled_from(ALL_DIGITS), min_size=11, max_size=18))
@example(list("𑣡𑣣𑣨𑣠𑣠𑣡𑣣𑣨𑣠𑣠𑣠"))
def test_number_in_mixed_scripts_is_read(digits: list[str]) -> None:
    text, plain = (
        f"手机{''.join(digits)}。",
        "".join(str(unicodedata.decimal(digit)) for digit in digits),
    )
    assert fold(text).text == f"手机{plain}。"


def test_every_unicode_character_becomes_its_plain_form() -> None:
    chars = [chr(code) for code in range(0x80, 0x110000)]
    lines = fold("\n".join(chars)).text.split("\n")
    assert [
        char for char, line in zip(chars, lines, strict=True) if line != to_plain_character(char)
    ] == []


@pytest.mark.parametrize("sign", BETWEEN_HAN)
@pytest.mark.parametrize("parts", [("62000000", "二零二六"), ("二零二六", "62000000")])
def test_number_continues_across_one_separator_into_han_digits(
    sign: str, parts: tuple[str, str]
) -> None:
    text = f"卡头：{sign.join(parts)}年"
    assert in_columns(text) == fold(text).text
    assert "2026" in in_columns(text)


@pytest.mark.parametrize("separator", ["", " ", "-", "."])
@pytest.mark.parametrize("before", range(20))
def test_seven_han_digits_are_a_number_and_six_are_not(separator: str, before: int) -> None:
    text = "x" * before + separator.join("一三八零零一三")
    assert in_columns(f"{text}年") == "x" * before + separator.join("1380013") + "年"
    assert in_columns(f"{text[:-1]}年") == f"{text[:-1]}年"


@pytest.mark.parametrize("digit", DIGITS)
def test_every_han_digit_counts(digit: str) -> None:
    assert in_columns(f"的{digit * 7}的") == f"的{str(DIGITS[digit]) * 7}的"


@pytest.mark.parametrize("before", range(WINDOW - 25, WINDOW + 1))
def test_text_across_two_windows_is_folded(before: int) -> None:
    text = "x" * before
    assert fold(f"{text}一三八零零一三，😀𝟖é").text == f"{text}1380013,😀8é"


SOUP = st.text(
    st.sampled_from("0123456789一三零○1８ -.，＋×√张a\n\r\0é😀𝟖" + DROPPED[:3]), max_size=20
)


@given(st.lists(SOUP, max_size=5))
def test_texts_folded_together_stay_independent(texts: list[str]) -> None:
    folded = fold_all([text.encode() for text in texts])
    assert [(folded_text.text, folded_text.drops.tolist()) for folded_text in folded] == [
        (fold(t).text, fold(t).drops.tolist()) for t in texts
    ]


def test_unchanged_text_is_not_copied() -> None:
    bodies = [text.encode() for text in ("姓名、电话", "plain", "姓名，电话")]
    assert [folded.utf8 is body for folded, body in zip(fold_all(bodies), bodies, strict=True)] == [
        True,
        True,
        False,
    ]
