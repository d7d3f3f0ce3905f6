"""Many texts at once: the same terms as one by one, in bytes, whatever stands beside them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher import lexicon
from matcher.columns.batch import Batch
from matcher.columns.literals import APART
from matcher.detect.labels import words
from matcher.lexicon import (
    BIN_FORMS,
    ENOUGH,
    Lexicon,
    TextTerms,
    collect_forms,
    literals,
    load_shipped_terms,
)
from matcher.text import fold
from matcher.text.fold import list_scripts

BRANDS = {"bank": ["某某银行", "bank.example", "Crédit Ö"], "other": ["某某银行", "行"]}
BINS = {"bank": ["62000000"]}
LEXICON = Lexicon(BRANDS, BINS)
FORMS = collect_forms(BRANDS, BINS, load_shipped_terms())
GLUE = [
    " ",
    "@",
    ".",
    "@qq.com",
    "x",
    "s",
    "的",
    "1",
    "\n",
    "😀",
    "é",
    "_",
    "x" * 41,
    "的" * 40,
    "的" * 41,
    "x" * 30,
    " " * 200,
]


def read_terms(*texts: str) -> list[TextTerms]:
    batch = Batch.join([fold(text).text.encode() for text in texts])
    return LEXICON.read_batch(batch, LEXICON.prescan.find(batch.data))


def same(ours: TextTerms, oracle: TextTerms, text: str) -> None:
    assert (ours.counts, ours.others, ours.terms, ours.brands) == (
        oracle.counts,
        oracle.others,
        oracle.terms,
        oracle.brands,
    )
    places = [
        (len(text[: h.start].encode()), len(text[: h.end].encode()), h.entry, h.form)
        for h in oracle.hits
    ]
    assert [tuple(hit) for hit in ours.hits] == places


def draw_case(form: str) -> st.SearchStrategy[str]:
    return st.sampled_from([form, form.upper(), form.title()])


pieces = (
    st.sampled_from(sorted(FORMS)).flatmap(draw_case)
    | st.sampled_from(sorted(words()))
    | st.sampled_from(GLUE)
)


@given(st.lists(st.lists(pieces, max_size=14).map("".join), max_size=4))
def test_batch_search_agrees_with_the_automaton(texts: list[str]) -> None:
    folded = [fold(text).text for text in texts]
    for text, ours in zip(folded, read_terms(*folded), strict=True):
        same(ours, LEXICON.read(text), text)


def test_distant_terms_of_a_long_text_agree_with_the_automaton() -> None:
    text = "\n".join(
        [
            "手机 流水",
            "的" * 2 * APART,
            "流水",
            "x" * 2 * APART,
            "QQ 微信 料",
            "的" * 500,
            "内料" * 3,
        ]
    )
    same(read_terms(text)[0], LEXICON.read(text), text)
    assert read_terms(text)[0].counts


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("內料 卡號 徵信", {"内料", "征信"}),
        ("手機 銀行流水", {"流水"}),
        ("複製卡 修復徵信", {"写卡", "征信修复"}),
        ("精準數據 網貸數據", {"精准", "网贷数据"}),
    ],
)
def test_traditional_characters_give_the_same_terms(text: str, terms: set[str]) -> None:
    for read in (*read_terms(text), LEXICON.read(text)):
        assert {term.id for term in read.terms} == terms


def test_every_traditional_variant_of_a_word_is_listed() -> None:
    assert list_scripts("复制") == ("复制", "復制", "復製", "複制", "複製")
    assert list_scripts("qq") == ("qq",)


@pytest.mark.parametrize("form", BIN_FORMS)
def test_card_range_in_jargon_counts_as_a_brand(form: str) -> None:
    terms = read_terms(f"出 {form.format('62000000')} 内料")[0]
    assert terms.brands == {"bank": ("BIN",)}
    assert terms.offers("bank")


@pytest.mark.parametrize(
    "text",
    [
        "62000000",
        "6200000000000005",
        "62000000 开头",
        "bin 620000001",
        "xbin 62000000",
        "622848开头",
    ],
)
def test_card_number_is_not_a_brand(text: str) -> None:
    assert read_terms(text)[0].brands == ({"bank": ("BIN",)} if text == "62000000 开头" else {})


def test_short_brands_and_other_cases_are_found() -> None:
    for written_so in ("crédit ö", "CRÉDIT Ö", "Crédit Ö", "CRéDIT ö"):
        assert read_terms(written_so)[0].brands == {"bank": ("Crédit Ö",)}
    assert read_terms("a行b")[0].brands == {"other": ("行",)}
    assert not read_terms("créditx ö")[0].brands


def test_dotted_capital_i_is_not_an_i() -> None:
    for terms in (*read_terms("vİdar vidar"), LEXICON.read("vİdar vidar")):
        assert [hit.start for hit in terms.hits] in ([7], [6])


def test_title_terms_are_added_to_those_of_the_text() -> None:
    title, text = read_terms("某某银行 内料 警方 一手料", "内料 提醒 一手料 QQ 手机")
    combined = text.add_title(title)
    assert {term.id: term.count for term in combined.terms} == {"内料": 2, "一手料": 1, "扣扣": 1}
    assert combined.context == {"reporting": 2}
    assert combined.offers("bank", rows=3)
    assert combined.hits == text.hits
    assert text.add_title(read_terms("的")[0]) is text


FLOODS = (
    "QQ ",
    "QQ|",
    ";QQ",
    "QQ[at]",
    "手机:",
    "料",
    "内料",
    "银行卡四件套",
    "料 QQ 内料 ",
    "bank.example ",
)
FLOOD, APART_BY = 5 * ENOUGH, "\n" + "的" * 50 + "\n"


@pytest.mark.parametrize("unit", FLOODS)
def test_brand_and_term_within_a_flood_are_found(unit: str) -> None:
    flood = unit * (FLOOD // 2)
    text = f"{flood}{APART_BY}某某银行 一手料 fullz{APART_BY}{flood}"
    terms = read_terms(text)[0]
    assert "某某银行" in terms.brands["bank"]
    assert {term.id for term in terms.terms} >= {"一手料", "fullz"}
    assert {text.encode()[hit.start : hit.end].decode() for hit in terms.hits} >= {
        "一手料",
        "fullz",
    }


@pytest.mark.parametrize(
    ("unit", "company"),
    [*zip(FLOODS, itertools.cycle(("手机", "一手料", "某某银行")), strict=False)],
)
def test_ambiguous_word_after_a_flood_needs_context(unit: str, company: str) -> None:
    flood = unit * FLOOD + APART_BY
    assert "流水" not in read_terms(flood + "流水")[0].written.values()
    assert "流水" in read_terms(f"{flood}{company} 流水")[0].written.values()
    assert "料" in read_terms(f"{flood}{company} 料{APART_BY}")[0].written.values()


def test_count_in_a_flood_is_a_lower_bound_for_that_text() -> None:
    flood, short = read_terms("fullz " * FLOOD, "fullz " * ENOUGH)
    [(entry, count)] = flood.counts.items()
    assert ENOUGH / 3 <= count <= FLOOD
    assert short.counts == {entry: ENOUGH}


def test_every_form_is_found_in_a_flood_of_all_forms() -> None:
    every = APART_BY.join(FORMS)
    once, often = read_terms(every)[0], read_terms(APART_BY.join([every] * 120))[0]
    assert often.counts.keys() == once.counts.keys()
    assert often.others == once.others
    assert sum(often.counts.values()) < 120 * sum(once.counts.values())


def test_cut_flood_makes_no_word_of_a_fragment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexicon, "ENOUGH", 200)
    for form in FORMS:
        if any(shorter in form for shorter in FORMS.keys() - {form}):
            short, long = (read_terms(f"{form} " * count)[0] for count in (50, 600))
            assert short.counts.keys() == long.counts.keys(), form


def test_empty_texts_have_no_terms() -> None:
    assert read_terms() == []
    assert read_terms("", "") == [TextTerms(), TextTerms()]
    assert read_terms() == []


def test_many_forms_of_one_term_look_for_context_further_away() -> None:
    text = "料" * 60 + "的" * 5 + "流水" + "鱼马猪" * 9 + "\n" + "QQ " * 30 + "手机" + " qq" * 30
    same(read_terms(text)[0], LEXICON.read(text), text)


def test_case_variants_are_made_only_for_non_ascii() -> None:
    assert literals("fullz") == (b"fullz",)
    assert literals("内料") == ("内料".encode(),)
    assert set(literals("é ö")) == {form.encode() for form in ("é ö", "É Ö", "É ö")}


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        ("姓名:马晓红 手机", 0),
        ('"name":"马超","phone"', 0),
        ("馬曉紅,手機", 0),
        ("手机 马", 1),
        ("收马 手机", 1),
        ("马,手机", 1),
        ("马来了很多人 手机", 1),
        ("马晓红 手机 出马", 1),
    ],
)
def test_surname_of_a_name_is_no_term(text: str, counted: int) -> None:
    assert sum(LEXICON.read(text).counts.values()) == counted
    assert sum(read_terms(text)[0].counts.values()) == counted
