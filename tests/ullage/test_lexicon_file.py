"""The lexicon's files, and when terms make a post an offer."""

import pytest

from ullage.errors import ConfigError
from ullage.vocabulary.lexicon import (
    is_offer,
    is_report,
    is_suspicion,
    list_themes,
    parse_rows,
    read_version,
)

LINE = "一手料\t一手;一手数据\tzh\tQUAL\tfirst-hand\t4\tM\tTH1"


def test_line_is_a_term_with_its_forms():
    (row,) = parse_rows(f"# version 3\n# remark\n\n{LINE}\n", "a.tsv")
    assert (row.term, row.forms, row.category, row.weight, row.ambiguity) == (
        "一手料",
        ("一手料", "一手", "一手数据"),
        "QUAL",
        4,
        "M",
    )


@pytest.mark.parametrize(
    "line",
    [
        "一手料",
        LINE.replace("\t4\t", "\t6\t"),
        LINE.replace("\tM\t", "\tX\t"),
        f"{LINE}\tmore",
        f"\t{LINE.partition(chr(9))[2]}",
    ],
)
def test_invalid_line_is_named_by_file_and_number(line):
    with pytest.raises(ConfigError, match=r"a\.tsv:2 is not a term"):
        list(parse_rows(f"{LINE}\n{line}\n", "a.tsv"))


@pytest.mark.parametrize("name", ["jargon", "context"])
def test_shipped_files_are_well_formed_and_have_a_version(name):
    shipped = list_themes()[name].load_shipped().rules
    assert len(shipped.rows) >= 40
    assert shipped.version >= 1
    assert read_version("no version") == 0


def test_large_claim_with_words_of_sale_is_an_offer():
    for terms, context, claimed, offered in (
        ([], {"sale": 1}, 1000, True),
        ([], {"sale": 1}, 999, False),
        ([], {}, 8_000_000, False),
        ([("QUAL", 4)], {}, 8_000_000, False),
        ([("CHAN", 2)], {}, 8_000_000, True),
        ([("CHAN", 1)], {}, 8_000_000, False),
        ([], {"sale": 1, "reporting": 2}, 8_000_000, False),
        ([], {"sale": 1, "complaint": 4}, 8_000_000, False),
    ):
        assert is_offer(terms, context, 0, claimed) is offered, (terms, context, claimed)


@pytest.mark.parametrize(
    ("context", "rows", "expected"),
    [
        ({"suspicion": 1}, 1, True),
        ({"suspicion": 2, "reporting": 5}, 3, True),
        ({"suspicion": 2, "reporting": 1}, 2, False),  # news of somebody who was caught
        ({"suspicion": 1, "complaint": 1}, 1, False),
        ({}, 50, False),
    ],
)
def test_news_of_money_laundering_is_not_a_suspicion_report(context, rows, expected):
    assert is_suspicion(context, rows) is expected


@pytest.mark.parametrize(
    ("terms", "words", "sample", "offered"),
    [
        ([("QUAL", 4), ("TRADE", 1)], 0, 0, True),
        ([("QUAL", 4)], 0, 0, False),
        ([("FRAUD", 5), ("LAUND", 5)], 0, 0, False),
        ([("CARD", 5)], 1, 0, True),
        ([("CARD", 5)], 2, 0, False),
        ([("CARD", 5)], 2, 3, True),
        ([], 0, 9, False),
    ],
)
def test_selling_terms_make_an_offer_unless_it_is_a_report(terms, words, sample, offered):
    assert is_offer(terms, {"reporting": words}, sample) is offered
    assert is_report(words, sample) == (words >= 2 and sample < 3)
