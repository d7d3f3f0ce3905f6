"""Any table is read without a fault, the search says what its reference says, and every planted
customer is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.columns.batch import Batch
from matcher.detect.abroad import find_abroad
from matcher.detect.candidates import Candidates, Segment
from matcher.detect.email import find_addresses
from matcher.detect.marked_values import find_labelled, find_labelled_cards, find_masked
from matcher.detect.number_rules import (
    SHAPES,
    find_cards,
    find_company_ids,
    find_fixed_width,
    find_phones,
    find_resident_ids,
)
from matcher.detect.numbers import NumberRuns, find_digests
from matcher.detect.search import find_by_pattern, search
from matcher.detect.unread import unread_values
from matcher.detect.whole_text import find_backwards
from matcher.lexicon import Lexicon
from matcher.match.pipeline import Matcher
from matcher.records import rows_of
from matcher.records.cookies import count_siteless_cookies
from matcher.text import fold_all, unescape_all
from matcher.text.splice import reveal_numbers
from tests.conftest import HeldClock
from tests.factories import capture
from tests.matcher.bank import customer, enrol, matcher_of
from tests.matcher.generated_tables import GeneratedTable, cells, tables
from tests.matcher.test_scan import columns, find_by_plain_search
from ullage import setup
from ullage.settings import Context

CUSTOMERS = [customer(number) for number in range(20)]
TABLES = tables(
    tuple(tuple(person[kind] for kind in ("phone", "resident_id", "email")) for person in CUSTOMERS)
)
PRESCAN = Lexicon({}).prescan
Detector = Callable[[Batch], Iterable[Segment]]


def _find_grouped(batch: Batch) -> Iterable[Segment]:
    runs = NumberRuns.find(batch, SHAPES)
    return [
        *find_resident_ids(runs),
        *find_phones(batch, runs),
        *find_cards(runs),
        *find_fixed_width(batch, runs),
    ]


def _find_labelled(batch: Batch) -> Iterable[Segment]:
    hits = PRESCAN.find(batch.data)
    return [
        *find_labelled(batch, hits.labelled),
        find_labelled_cards(batch, _find_grouped(batch), hits.card_headers),
    ]


def _find_words(batch: Batch) -> Iterable[Segment]:
    runs = NumberRuns.find(batch, SHAPES)
    return [*find_company_ids(batch, runs), *find_digests(batch, runs.words)]


def _find_mail(batch: Batch) -> Iterable[Segment]:
    segments, strange = find_addresses(batch, np.flatnonzero(batch.data == ord("@")))
    return [*segments, *find_by_pattern(batch, batch.classes, strange)]


DETECTORS: dict[str, Detector] = {
    "abroad": lambda batch: find_abroad(batch, PRESCAN.find(batch.data).abroad),
    "backwards": lambda batch: find_backwards(batch, NumberRuns.find(batch, SHAPES).digits),
    "grouped": _find_grouped,
    "labelled": _find_labelled,
    "masked": lambda batch: find_masked(batch, PRESCAN.find(batch.data).masked),
    "words": _find_words,
    "mail and patterns": _find_mail,
}


@pytest.fixture(scope="module")
def matcher(tmp_path_factory: pytest.TempPathFactory) -> Matcher:
    context = Context(tmp_path_factory.mktemp("tables") / "data", HeldClock().as_clock())
    list(setup.initialise(context))
    settings = (
        '[tenants.bank]\nbrands = ["Bank"]\ndomains = ["a.example"]\nbins = ["620000"]\nothers ='
        ' ["Rival"]\n'
    )
    (context.data / "ullage.toml").write_text(settings, encoding="utf-8")
    enrol(context, "bank", CUSTOMERS)
    return matcher_of(Context(context.data, context.clock))


def read_batch(some: Iterable[GeneratedTable]) -> Batch:
    """Return the texts of tables, folded, as one batch."""
    return Batch.join(
        [text.utf8 for text in fold_all([table.text.encode("utf-8", "replace") for table in some])]
    )


@given(st.lists(TABLES, max_size=3))
def test_detectors_return_values_within_one_text(some: list[GeneratedTable]) -> None:
    batch = read_batch(some)
    for name, detect in DETECTORS.items():
        for segment in detect(batch):
            columns_ = (segment.start, segment.end, segment.normal, segment.length, segment.valid)
            assert len({len(column) for column in columns_}) == 1, name
            assert (segment.start < segment.end).all(), name
            assert (batch.documents(segment.start) == batch.documents(segment.end - 1)).all(), name
            assert (segment.length <= segment.normal.shape[1]).all(), name
            assert (segment.length[segment.valid] > 0).all(), name


@given(TABLES)
def test_search_finds_all_that_the_reference_search_finds(table: GeneratedTable) -> None:
    [text] = fold_all([table.text.encode("utf-8", "replace")])
    fast, plain = columns(text.text), find_by_plain_search(text.text)
    assert [candidate for candidate in plain if candidate not in fast and candidate[3]] == []
    # see test_scan
    assert {candidate[0] for candidate in fast if candidate not in plain and candidate[3]} <= {
        "email",
        "qq",
    }


@given(st.lists(TABLES, max_size=3))
def test_every_candidate_lies_in_one_row(some: list[GeneratedTable]) -> None:
    batch = read_batch(some)
    hits = PRESCAN.find(batch.data)
    segments = search(batch, hits).segments
    assert all(number < len(some) for number in unread_values(batch, segments, hits.unread))
    candidates = Candidates.merge(segments)
    rows = rows_of(batch, candidates)
    row = rows.holding(candidates.start[candidates.valid])
    assert (row >= 0).all()
    assert (np.bincount(row, minlength=len(rows)) <= rows.candidate_count).all()
    assert len(rows.fields(np.arange(len(rows)))[0]) == len(rows)
    owners, names, latin_names = rows.names(np.arange(len(rows)))
    assert len(owners) == len(names)
    assert all(0 <= owner < len(rows) for owner, _ in latin_names)


@given(st.lists(cells(), max_size=12).map(" ".join))
def test_rewriting_keeps_length_and_lines(text: str) -> None:
    assert len(reveal_numbers(text)) == len(text)
    for markup in (False, True):
        [plain] = unescape_all([text], markup=markup)
        assert len(plain) == len(text)
    assert count_siteless_cookies(text.encode("utf-8", "replace")) >= 0


@given(st.lists(TABLES, min_size=1, max_size=3), st.sampled_from(["utf-8", "utf-16", "gb18030"]))
def test_matcher_finds_every_planted_customer(
    matcher: Matcher, some: list[GeneratedTable], encoding: str
) -> None:
    # UTF-16 whose first character is NUL begins as UTF-32 does
    bodies = [table.text.lstrip("\0").encode(encoding, "replace") for table in some]
    posts = [capture(id=f"{n}", post_id=f"{n}", body=body) for n, body in enumerate(bodies)]
    for table, reading in zip(some, matcher.read(posts), strict=True):
        matches = reading.find_best_matches("bank")
        assert (len(matches.subjects) if matches else 0) == len(table.planted)
