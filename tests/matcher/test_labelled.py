"""Values that count only beside a label: as each kind's own pattern finds them, and in the
columns of a table.
"""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from matcher.columns.batch import Batch
from matcher.detect import marked_values
from matcher.detect.candidates import Segment
from matcher.detect.marked_values import (
    HEADERS,
    WIDTH,
    columns,
    find_labelled,
    find_labelled_cards,
    list_labelled_kinds,
)
from matcher.lexicon import Lexicon
from ullage.identifiers import Kind

Found = tuple[str, int, int, str, bool]
SEARCH = Lexicon({}).prescan
KINDS = {kind.name: kind for kind in list_labelled_kinds()}
VALUES = (
    "12345678",
    "10001",
    "E12345678",
    "ea1234567",
    "H12345678",
    "m1234567801",
    "github666",
    "Zhang_San-1",
    "13800138000",
)
PARTS = (
    "的",
    " ",
    "\n",
    "，",
    "a",
    "1",
    ":",
    '"',
    "'",
    "=",
    "是",
    "->",
    "] [",
    "(",
    "_",
    "qq.com",
    ",",
    "-",
    "@",
)


def to_candidates(segments: Sequence[Segment]) -> set[Found]:
    """Return each candidate: kind, place, normal form, whether it is weak."""
    return {
        (s.kind, start, end, row.tobytes()[:length].decode(), s.weak)
        for s in segments
        for start, end, row, length in zip(
            s.start.tolist(), s.end.tolist(), s.normal, s.length.tolist(), strict=True
        )
    }


def find_in(*texts: str) -> set[Found]:
    """Return the candidates of texts, at places within their own text."""
    batch = Batch.join([text.encode() for text in texts])
    candidates = to_candidates(find_labelled(batch, SEARCH.find(batch.data).labelled))
    begins = batch.starts.tolist()
    return {
        (kind, a - max(b for b in begins if b <= a), z - max(b for b in begins if b <= a), *fields)
        for kind, a, z, *fields in candidates
    }


def oracle(text: str) -> set[Found]:
    """Return what the kinds' own patterns find.

    QQ numbers of mail addresses are left out: these come from the addresses.
    """
    candidates = [
        c
        for kind in KINDS.values()
        for c in kind.find(text)
        if not (c.kind == "qq" and text[c.end : c.end + 1] == "@")
    ]
    return {
        (c.kind, len(text[: c.start].encode()), len(text[: c.end].encode()), c.normal, c.weak)
        for c in candidates
    }


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_examples_of_each_kind_are_found_and_near_misses_are_not(kind: Kind) -> None:
    for text, normal in kind.examples:
        if "@" not in text:
            assert normal in {
                candidate[3] for candidate in find_in(text) if candidate[0] == kind.name
            }
    for text in kind.near_misses:
        if "@" not in text:
            assert {
                candidate
                for candidate in find_in(text)
                if candidate[0] == kind.name and kind.check(candidate[3])
            } == set()


labels = st.sampled_from([label for kind in KINDS.values() for label in kind.labels])
pieces = st.one_of(labels, labels.map(str.upper), st.sampled_from(VALUES), st.sampled_from(PARTS))


@given(st.lists(pieces, max_size=10).map("".join))
def test_labels_gaps_and_values_agree_with_the_kind_patterns(text: str) -> None:
    ours, expected = find_in(text), oracle(text)
    if "," not in text and "\n" not in text:  # no table
        assert {candidate for candidate in expected - ours if "@" not in text} == set()
        assert all(_is_hidden_match(candidate, text) for candidate in ours - expected)


def _is_hidden_match(found: Found, text: str) -> bool:
    """Return whether the pattern also finds this candidate from some later place.

    A pattern continues behind each of its matches, so one value may hide the next.
    """
    kind, start, end, *_ = found
    shown = text.encode()[:end].decode()
    return any(KINDS[kind].find(shown[first:]) for first in range(len(shown)) if end > start)


def test_header_labels_its_column() -> None:
    text = (
        'name,"QQ",微信,phone\n某,12345678,github666,1\n某,"10001",\'abc_def1\',2\n'
        "某,12,abc,3\n少一列,12345678,github666\n"
    )
    candidates = find_in("x", text, "10001,10001,10001,10001")
    assert {(kind, normal) for kind, _, _, normal, _ in candidates} == {
        *(("qq", "12345678"), ("qq", "10001"), ("wechat", "github666"), ("wechat", "abc_def1"))
    }
    assert {text.encode()[a:z].decode().lower() for _, a, z, *_ in candidates} == {
        "12345678",
        "10001",
        "github666",
        "abc_def1",
    }


@pytest.mark.parametrize("separator", ["----", "--", "\t", "|", ",", ";"])
def test_any_separator_makes_columns(separator: str) -> None:
    rows = (("姓名", "护照", "手机"), ("某", "E12345678", "x"), ("某", "G12345678", "y"))
    candidates = find_in("\n".join(separator.join(row) for row in rows))
    assert {normal for _, _, _, normal, _ in candidates} == {"E12345678", "G12345678"}


def test_first_and_last_columns_are_read_until_the_next_header() -> None:
    text = "qq,手机,微信\n12345678,1,github666\n手机,qq\n1,87654321\n22222,2\n"
    assert {(kind, normal) for kind, _, _, normal, _ in find_in(text)} == {
        *(("qq", "12345678"), ("wechat", "github666"), ("qq", "87654321"))
    }


@pytest.mark.parametrize(
    "text", ["qq,x\n12345678,1", "我加了qq,手机坏了\n12345678,1", "qq 手机\n12345678 1", "qq,手机"]
)
def test_lone_label_is_not_a_header(text: str) -> None:
    assert find_in(text) == set()


def test_only_the_first_headers_of_a_text_are_followed() -> None:
    batch = Batch.join(["qq,手机\n12345678,1\n".encode() * 10, "qq,手机\n10001,1".encode()])
    headers = np.array(
        [
            n
            for n in range(len(batch.line_starts))
            if batch.text(*batch.line_starts[n : n + 1], len(batch.data))[:2] == b"qq"
        ]
    )
    columns_ = columns(batch, headers, {"qq": "qq"})
    assert len(columns_) == HEADERS + 1
    assert sum(len(column.start) for column in columns_) == 3 + 13 + 1


@given(
    st.lists(st.lists(st.sampled_from(["a", "b1", "", "c"]), min_size=1, max_size=5), max_size=8),
    st.sampled_from([",", "----", "|"]),
)
def test_cells_below_a_header_agree_with_split(rows: list[list[str]], separator: str) -> None:
    text = "\n".join(separator.join(row) for row in [["qq", "phone", "email"], *rows])
    batch = Batch.join([b"before", text.encode(), b"after"])
    lines = batch.lines(batch.starts[1:2])
    columns_ = columns(batch, lines, {"phone": "p"})
    expected = [
        row[1] for row in (line.split(separator) for line in text.split("\n")[1:]) if len(row) == 3
    ]
    cells = [
        batch.text(a, z).decode()
        for c in columns_
        for a, z in zip(c.start.tolist(), c.end.tolist(), strict=True)
    ]
    assert cells == expected


def cards(batch: Batch, *numbers: str) -> Segment:
    raw = batch.data.tobytes()
    start = np.array([raw.index(number.encode()) for number in numbers], np.int64)
    length = np.array([len(number) for number in numbers], np.int64)
    normal = np.array([n.encode() for n in numbers], f"S{WIDTH}").view(np.uint8).reshape(-1, WIDTH)
    return Segment(
        "card",
        "plain",
        start,
        start + length,
        normal,
        length,
        np.array([n.endswith("5") for n in numbers], bool),
    )


def test_card_failing_luhn_counts_after_a_card_label() -> None:
    numbers = ("6200000000000006", "6200000000000007", "6200000000000015", "6200000000000008")
    batch = Batch.join(
        [
            f"卡号:{numbers[0]} x{numbers[1]} 卡号: {numbers[2]}\n".encode(),
            f'{{"card_no":"{numbers[3]}"}}'.encode(),
        ]
    )
    labelled = find_labelled_cards(
        batch, [cards(batch, *numbers)], SEARCH.find(batch.data).card_headers
    )
    assert {normal for *_, normal, _ in to_candidates([labelled])} == {numbers[0], numbers[3]}
    assert labelled.valid.all()


def test_card_failing_luhn_counts_below_a_card_label() -> None:
    numbers = ("6200000000000006", "6200000000000007", "6200000000000008", "6200000000000009")
    text = f'姓名|"卡號"|手机|备注\n某|{numbers[0]}|1|{numbers[1]}\n某|"{numbers[2]}"|x|\n'
    batch = Batch.join([text.encode(), f"某|{numbers[3]}|x|".encode()])
    assert {
        normal
        for *_, normal, _ in to_candidates(
            [
                find_labelled_cards(
                    batch, [cards(batch, *numbers)], SEARCH.find(batch.data).card_headers
                )
            ]
        )
    } == {numbers[0], numbers[2]}


@pytest.mark.parametrize(("before", "counts"), [(1900, True), (2100, False)])
def test_header_must_be_near_the_top_of_its_text(before: int, counts: bool) -> None:
    text = f"{'x' * before}\n姓名,卡号\n某,6200000000000006\n"
    batch = Batch.join([b"y" * 3000, text.encode()])
    assert (
        len(
            find_labelled_cards(
                batch, [cards(batch, "6200000000000006")], SEARCH.find(batch.data).card_headers
            )
        )
        == counts
    )


def test_empty_batch_has_no_labelled_values() -> None:
    batch = Batch.join([])
    assert find_labelled(batch, SEARCH.find(batch.data).labelled) == []
    assert (
        len(find_labelled_cards(batch, [cards(batch)], SEARCH.find(batch.data).card_headers)) == 0
    )


def all_header_lines(batch: Batch) -> list[int]:
    """Return the first HEADERS lines of each text with a label as a cell, by looking everywhere."""
    _, end = marked_values._header_cells().find(batch.data)
    lines = np.unique(batch.lines(end - 2))
    text = batch.documents(batch.line_starts[lines])
    return [line for number in np.unique(text) for line in lines[text == number][:HEADERS].tolist()]


CELLS = st.sampled_from(["QQ", "微信号", "qq", "张三", "12345678", "x" * 30]) | st.text(
    st.sampled_from("ab \"'"), max_size=3
)
LINES = st.lists(st.lists(CELLS, max_size=6).map(";".join), max_size=12).map("\n".join)


@given(st.lists(LINES, min_size=1, max_size=4), st.sampled_from([80, 128, 1 << 14]))
@example(["QQ" + ";QQ" * 40 + "\nQQ;a\n"], 80)
def test_first_headers_of_each_text_are_found_in_any_chunk_size(
    texts: list[str], part: int
) -> None:
    batch = Batch.join([text.encode() for text in texts])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(marked_values, "PART", part)
        lines = marked_values.header_lines(batch, SEARCH.find(batch.data).labelled[0]).tolist()
    expected = all_header_lines(batch)
    text = batch.documents(batch.line_starts[lines]) if lines else np.empty(0, np.int64)
    assert [
        line
        for number in np.unique(text)
        for line in np.array(lines)[text == number][:HEADERS].tolist()
    ] == expected


@pytest.mark.parametrize("unit", [";QQ", "QQ\n", ";QQ;\n", "QQ,微信\n"])
def test_repeated_labels_cost_no_more_than_a_few(
    unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hits, cells = [], marked_values._header_cells()
    find = cells.find
    monkeypatch.setattr(
        cells, "find", lambda *given: hits.append(len((spans := find(*given))[0])) or spans
    )
    batch = Batch.join([unit.encode() * 100_000])
    number, _ = SEARCH.find(batch.data).labelled
    marked_values.header_lines(batch, number)
    assert (
        sum(hits)
        + np.isin(
            number,
            len(marked_values.list_labelled_kinds())
            + np.arange(len(marked_values.list_labelled_kinds())),
        ).sum()
        < 20_000
    )
