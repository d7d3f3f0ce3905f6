"""The jargon: whole words, the longest form, and company where a word means little by itself."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.detect.labels import words
from matcher.lexicon import NEAR, Lexicon, TextTerms, lower
from matcher.text import fold
from ullage.vocabulary.lexicon import is_wanted, list_themes

LEXICON = Lexicon({"bank": ["某某银行", "bank.example"], "other": ["某某银行", "ＯＴＨＥＲ银行"]})
LINES, CONTEXT_LINES = (
    list_themes()[name].load_shipped().text.splitlines() for name in ("jargon", "context")
)
ROWS, CONTEXT = (
    [line.split("\t") for line in lines if not line.startswith("#")]
    for lines in (LINES, CONTEXT_LINES)
)
FORMS = sorted(
    {lower(fold(form).text) for row in ROWS for form in (row[0], *filter(None, row[1].split(";")))}
)
OTHERS = sorted(
    {
        lower(w)
        for w in (
            *words(),
            *(row[0] for row in CONTEXT if row[4] != "record"),
            "某某银行",
            "bank.example",
            "other银行",
        )
    }
)
FILLER = "x" * 41


def read(text: str) -> TextTerms:
    return LEXICON.read(fold(text).text)


def terms(text: str) -> dict[str, int]:
    return {t.id: t.count for t in read(text).terms}


def test_every_row_of_the_data_is_well_formed() -> None:
    assert len(ROWS) >= 150
    assert all(row[5] in "12345" and row[6] in ("L", "M", "H") for row in ROWS)


def test_term_is_shown_as_written_in_the_post() -> None:
    terms = read("內料 內料 内料，一手數據 Fulls FULLZ 手機 流水")
    assert {t.id: t.shown for t in terms.terms} == {
        "内料": "內料",
        "一手料": "一手數據",
        "fullz": "fulls",
        "流水": "流水",
    }
    assert {t.id: t.written for t in read("内料 FULLZ").terms} == {"内料": "内料", "fullz": "fullz"}
    combined = read("内料 一手").add_title(read("內料"))
    assert {t.id: t.shown for t in combined.terms} == {"内料": "內料", "一手料": "一手"}


def test_data_file_names_the_source_of_every_term() -> None:
    head = "\n".join(line for line in LINES if line.startswith("#"))
    assert "licence" in head
    assert {row[7] for row in ROWS} <= set(re.findall(r"\b[A-Z]+\d?(?= )", head))


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        ("内料 内料", {"内料": 2}),
        ("一手 一手数据 一手料", {"一手料": 1}),
        ("流水", {}),
        ("QQ", {}),
        ("内料 12345@qq.com", {"内料": 1}),
        ("内料 12345@QQ.COM 加QQ", {"内料": 1, "扣扣": 1}),
        ("内料 找我@qq", {"内料": 1, "扣扣": 1}),
        ("cvv", {}),
        ("流水 流水", {}),
        ("流水内料", {"内料": 1, "流水": 1}),
        ("手机 流水", {"流水": 1}),
        (f"内料{FILLER}流水", {"内料": 1}),
        (f"内料{FILLER[:40]}流水", {"内料": 1, "流水": 1}),
        ("FULLZ fullz Fulls", {"fullz": 3}),
        ("fullzz xfullz", {}),
        ("卖fullz的", {"fullz": 1}),
        ("blogs vidarx", {}),
        ("combo listing", {"combolist": 1}),
        ("银行卡四件套", {"四件套": 1}),
        ("ｆｕｌｌｚ", {"fullz": 1}),
        ("", {}),
    ],
)
def test_terms_are_counted(text: str, counted: dict[str, int]) -> None:
    assert terms(text) == counted


def test_heaviest_terms_come_first() -> None:
    terms = read("担保 内料 手机 流水").terms
    assert [t.weight for t in terms] == sorted((t.weight for t in terms), reverse=True)


@pytest.mark.parametrize(
    ("text", "rows", "offered"),
    [
        ("某某银行 内料出售", 0, True),
        ("bank.example 一手数据 担保", 0, True),
        ("某某银行", 0, False),
        ("内料出售", 0, False),
        ("某某银行 精准", 0, False),
        ("某某银行 杀猪盘 话术 水房", 0, False),
        ("警方提醒: 某某银行 内料", 0, False),
        ("警方: 某某银行 内料", 0, True),
        ("警方提醒: 某某银行 内料", 2, False),
        ("警方提醒: 某某银行 内料", 3, True),
        ("某某银行卡被盗刷，手机号查了银行流水和征信，投诉无门，已报警", 0, False),
        ("某某银行卡被盗刷，手机号查了银行流水和征信，投诉无门，已报警", 3, True),
        ("出售某某银行投诉维权数据 一手料 内料", 0, True),
        (
            (
                "投诉某某银行！我叫王某，刚申请了贷款，就有人打电话说出售我的资料，还说内鬼"
                "有客户信息，给个说法"
            ),
            0,
            False,
        ),
        (
            (
                "警情通报：侦破一起侵犯公民个人信息案，李某发布“出售某某银行内鬼一手数据50"
                "万条，可验”，已被刑事拘留"
            ),
            0,
            False,
        ),
        ("据报道，某某银行客户信息被挂网出售，记者看到一手数据", 0, False),
        ("出某某银行信贷系统后台权限 内鬼带出 USDT交易", 0, True),
    ],
)
def test_brand_beside_heavy_jargon_is_an_offer(text: str, rows: int, offered: bool) -> None:
    assert read(text).offers("bank", rows) is offered


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("求购某某银行股民数据 一手料", True),
        ("收料 某某银行 股民数据 担保交易", True),
        ("WTB 某某银行 fullz database leak", True),
        ("出售某某银行股民数据 内料，也收料", False),
        ("卖料收料 某某银行 内料", False),
        ("某某银行 股民数据 一手料", False),
    ],
)
def test_request_for_data_is_not_an_offer(text: str, wanted: bool) -> None:
    terms = read(text)
    assert terms.offers("bank")  # of the trade it is
    assert is_wanted(terms.context, 0) is wanted
    assert not is_wanted(terms.context, 3)


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("出售某某银行客户数据50万条", True),
        ("某某银行 用户信息 现货 100w", True),
        ("selling 某某银行 customer database 500k rows", True),
        ("某某银行客户信息保护政策", False),
        ("出售二手车一辆，某某银行按揭", False),
        ("某某银行客户信息遭出售，警方已介入，提醒市民", False),
        ("出售客户数据50万条", False),
    ],
)
def test_brand_beside_words_of_sale_is_an_offer(text: str, offered: bool) -> None:
    assert read(text).offers("bank") is offered


def test_words_for_customers_need_a_brand_or_term_nearby() -> None:
    assert terms("客户数据分析师，负责报表") == {}
    assert terms("某某银行 客户数据") == {"客户数据": 1}
    assert terms("某某银行" + "，" * 41 + "客户数据") == {}


def test_sample_offer_is_a_term() -> None:
    assert terms("某某银行 内料 可验") == {"内料": 1, "可验": 1}
    assert terms("手机号可验") == {"可验": 1}
    assert terms("结果可验证，过程公开") == {}


def test_shared_brand_names_each_tenant() -> None:
    assert read("某某银行 Other银行").brands == {
        "bank": ("某某银行",),
        "other": ("某某银行", "ＯＴＨＥＲ银行"),
    }
    assert not read("某某银行 内料").offers("third")


def test_offsets_are_right_after_letters_that_lower_case_lengthens() -> None:
    text = "İİ😀 内料"
    assert [text[h.start : h.end] for h in LEXICON.read(text).hits] == ["内料"]


NAME = re.compile("(?<![一-鿿])[马馬][一-鿿]{1,2}(?![一-鿿])")


def naive(text: str) -> list[tuple[int, int]]:
    """Leftmost, longest, whole words; every form looked for at every place."""
    spans, place = [], 0
    forms = sorted({*FORMS, *OTHERS}, key=len, reverse=True)
    while place < len(text):
        match = next(
            (
                f
                for f in forms
                if text.startswith(f, place)
                and _is_whole_word(text, place, place + len(f))
                and not (f in "马馬" and NAME.match(text, place))
            ),
            None,
        )
        if match:
            spans.append((place, place + len(match)))
        place += len(match) if match else 1
    return spans


def _is_whole_word(text: str, start: int, end: int) -> bool:
    def joins(a: str, b: str) -> bool:
        return a.isascii() and a.isalnum() and b.isascii() and b.isalnum()

    before = start > 0 and joins(text[start - 1], text[start])
    return not before and not (end < len(text) and joins(text[end - 1], text[end]))


@given(
    st.lists(
        st.sampled_from(FORMS)
        | st.sampled_from(OTHERS)
        | st.sampled_from([" ", "x", "s", "的", "1"]),
        max_size=12,
    )
)
def test_forms_agree_with_a_naive_search(parts: list[str]) -> None:
    text = "".join(parts)
    assert [
        (occurrence.at, occurrence.behind) for occurrence in LEXICON._find_forms(text.encode())
    ] == naive(text)


@given(
    st.lists(
        st.sampled_from(
            ["料", "流水", "QQ", "手机", "内料", "警方", "某某银行", " ", "x" * 19, "的" * 20]
        ),
        max_size=14,
    )
)
def test_ambiguous_term_needs_a_term_label_or_brand_nearby(parts: list[str]) -> None:
    text = lower("".join(parts))
    occurrences = list(LEXICON._find_forms(text.encode()))
    expected = [
        (occurrence.at, entry)
        for occurrence in occurrences
        for entry in occurrence.form.entries
        if not entry.needs_company
        or any(
            neighbour.at - occurrence.behind <= NEAR
            and occurrence.at - neighbour.behind <= NEAR
            and neighbour.form.company - {entry.id}
            for neighbour in occurrences
            if neighbour is not occurrence
        )
    ]
    assert [(hit.start, hit.entry) for hit in LEXICON.find_words(text)] == expected


def test_context_words_are_counted_by_theme_not_as_jargon() -> None:
    terms = read("警方提醒 警方提醒：营业时间 欢迎光临")
    assert terms.context == {"reporting": 2, "shop": 2}
    assert terms.terms == ()
    assert read("警方 營業時間").context == {"reporting": 1, "shop": 1}, (
        "in traditional characters too"
    )


def test_context_words_have_fixed_themes_and_no_weight() -> None:
    themes = ("record", "reporting", "shop", "wanted", "complaint", "sale", "suspicion")
    assert {tuple(row[3:7]) for row in CONTEXT} == {
        ("CONTEXT", theme, "0", "L") for theme in themes
    }
    assert len({row[0] for row in CONTEXT}) == len(CONTEXT)


@pytest.mark.parametrize(
    ("text", "count"), [("PassWord密码pwd密码", 3), ("餘額与余额", 2), ("", 0), ("警方", 0)]
)
def test_record_words_are_counted_once_each(text: str, count: int) -> None:
    assert LEXICON.records.count(text.encode()) == count


def test_context_word_cannot_hide_a_term() -> None:
    """The leftmost form wins: a word of context must not end as a term begins, nor hold one.

    Latin forms begin with a word.
    """
    begin_anywhere = [form for form in FORMS if not form[0].isascii()]
    for word in (row[0] for row in CONTEXT if row[4] != "record"):
        assert not [form for form in FORMS if form in word]
        assert not [
            form
            for form in begin_anywhere
            for n in range(1, min(len(form), len(word)))
            if word.endswith(form[:n])
        ]


def test_context_word_does_not_confirm_an_ambiguous_term() -> None:
    assert terms("流水 警方 营业时间") == {}
