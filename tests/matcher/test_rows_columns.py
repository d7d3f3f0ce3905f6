"""Which candidates stand together, found in columns: against the same found one by one."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.columns.batch import Batch
from matcher.detect.candidates import Candidates
from matcher.detect.labels import RECORD_WORDS, block_label, tails, words
from matcher.records import RowTable
from matcher.records import rows_of as rows_in
from matcher.records.layouts import vote_of
from matcher.records.reader import (
    MOST_STATEMENTS,
    HeaderColumns,
    elect_separator,
    statements_of,
    tuple_in,
    vote,
)
from matcher.records.segment import WIDTH, blocks, labels_of, objects, tuples
from matcher.records.table import (
    LINE,
    MOST_KINDS,
    OTHER_SEPARATORS,
    KeyGroups,
    Spans,
    bits_of,
    holder_of,
)
from tests.matcher.bank import phone, resident_id
from tests.matcher.columns import fields_of, lay_out, members_of, names_of, rows_of_texts
from ullage.vocabulary.fields import FieldLabel

ID = "11010519491231002X"
ascending = st.lists(st.integers(0, 50), max_size=20).map(sorted)


@given(ascending, ascending)
def test_holder_of_a_place_is_the_last_span_starting_before_it(
    starts: list[int], places: list[int]
) -> None:
    starts = sorted({0, *starts})
    holders = holder_of(np.array(starts), np.array(places, np.int64))
    assert holders.tolist() == [
        max(i for i, start in enumerate(starts) if start <= place) for place in places
    ]


def plain_groups(keys: Sequence[int], bits: Sequence[int]) -> list[tuple[int, ...]]:
    """(key, first, count, valid, mask) of each group."""
    groups: list[list[int]] = []
    for number, (key, bit) in enumerate(zip(keys, bits, strict=True)):
        if not number or key != keys[number - 1]:
            groups.append([key, number, 0, 0, 0])
        groups[-1][2] += 1
        groups[-1][3] += bit > 0
        groups[-1][4] |= bit
    return [tuple(group) for group in groups if group[4]]


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0, 1, 2, 4])), max_size=20))
def test_groups_are_equal_keys_with_a_valid_item(items: list[tuple[int, int]]) -> None:
    keys, bits = [key for key, _ in items], [bit for _, bit in items]
    groups = KeyGroups.from_keys(np.array(keys, np.int64), np.array(bits, np.uint32))
    columns = (groups.key, groups.first, groups.count, groups.valid, groups.mask)
    assert list(zip(*(c.tolist() for c in columns), strict=True)) == plain_groups(keys, bits)


def test_too_many_kinds_for_a_mask_are_rejected() -> None:
    empty = np.empty(0, np.int64)
    names = tuple(f"k{n}" for n in range(MOST_KINDS + 1))
    with pytest.raises(ValueError, match="kinds do not fit"):
        bits_of(Candidates(names, empty, empty, empty.astype(np.uint8), empty.astype(bool)))


CELLS = st.sampled_from(
    [
        "张某",
        "x",
        "",
        "5000",
        *map(phone, range(3)),
        resident_id(1),
        "110105194912310021",
        "a@example.com",
    ]
)
TEXTS = st.lists(
    st.lists(st.lists(CELLS, max_size=4).map("|".join), max_size=5).map("\n".join),
    min_size=1,
    max_size=4,
)


@given(TEXTS)
def test_rows_are_the_lines_with_a_valid_candidate(texts: list[str]) -> None:
    batch, segments = lay_out(texts)
    table = Candidates.merge(segments)
    table_rows = rows_in(batch, table)
    expected, lines = [], []
    for document, text in enumerate(texts):
        place = int(batch.starts[document])
        for number, line in enumerate(text.split("\n")):
            end = place + len(line.encode())
            expected_row = [
                i
                for i in range(len(table.start))
                if place <= table.start[i] < end or (place == table.start[i])
            ]
            names = {table.names[table.kind[i]] for i in expected_row if table.valid[i]}
            if names:
                expected.append((document, place, end, names, expected_row))
                lines.append(number)
            place = end + 1
    rows = zip(
        table_rows.document, table_rows.start, table_rows.end, range(len(table_rows)), strict=True
    )
    assert [
        (*map(int, columns), kinds(table_rows, row), list(members_of(table_rows, row)))
        for *columns, row in rows
    ] == expected
    assert table_rows.lines(np.arange(len(table_rows))).tolist() == lines
    assert [row for d in range(len(texts)) for row in table_rows.find_rows(d)] == list(
        range(len(table_rows))
    )
    places = np.arange(len(batch.data))
    expected_at = np.full(len(places), -1)
    for number, (_, start, end, *_) in enumerate(expected):
        expected_at[start:end] = number
    assert table_rows.holding(places).tolist() == expected_at.tolist()


def kinds(found: RowTable, row: int) -> set[str]:
    return {
        name for bit, name in enumerate(found.candidates.names) if int(found.mask[row]) >> bit & 1
    }


def spans_in(spans: Spans) -> list[tuple[int, int]]:
    return list(zip(spans.start.tolist(), spans.end.tolist(), strict=True))


def plain_tuples(line: bytes) -> list[tuple[int, int]]:
    """Return the ranges between the outermost brackets of a line with an even number of quotes."""
    tuples, depth, start, is_quoted, place = [], 0, 0, False, 0
    while place < len(line):
        sign = line[place : place + 1]
        if sign == b"\\":
            run = len(line[place:]) - len(line[place:].lstrip(b"\\"))
            place += run + (run % 2 and line[place + run : place + run + 1] == b"'")
            continue
        is_quoted ^= sign == b"'"
        if sign == b"(" and not is_quoted:
            depth += 1
            start = place if depth == 1 else start
        if sign == b")" and not is_quoted and depth:
            depth -= 1
            tuples += [(start, place + 1)] if not depth else []
        place += 1
    return tuples


@given(
    st.lists(
        st.lists(
            st.sampled_from(["(", ")", "'a'", "'('", "'\\''", "\\\\", "'x\\\\'", ",", "1", "\n"]),
            max_size=14,
        ),
        max_size=3,
    )
)
def test_tuples_agree_with_a_character_parser(texts: list[list[str]]) -> None:
    texts = [[], *texts]
    batch = Batch.join(["".join(text).encode() for text in texts])
    expected = []
    for begin, text in zip(batch.starts.tolist(), texts, strict=True):
        place = begin
        for line in "".join(text).encode().split(b"\n"):
            expected += [(start + place, end + place) for start, end in plain_tuples(line)]
            place += len(line) + 1
    assert spans_in(tuples(batch, 0, len(texts) - 1)) == expected


values = st.recursive(
    st.sampled_from([1, "x", '"{', "}\\", None]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab{"), inner, max_size=2)
    ),
    max_leaves=6,
)


@given(
    st.lists(st.dictionaries(st.sampled_from("abc"), values, min_size=1), min_size=2, max_size=4),
    st.sampled_from([None, 1]),
)
def test_objects_of_a_list_are_records_with_or_without_a_wrapper(
    people: list[dict], indent: int | None
) -> None:
    import json

    whole = json.dumps({"code": 0, "data": people}, indent=indent)
    bare = json.dumps(people, indent=indent)
    lines = "\n".join(map(json.dumps, people))
    batch = Batch.join([b"{", bare.encode(), whole.encode(), lines.encode()])
    records = objects(batch, 0, 3)
    read = [json.loads(batch.text(start, end)) for start, end in spans_in(records)]
    assert read == people * 3


LABELS = st.sampled_from(
    [
        "姓名: x",
        "手机: 1",
        "身份证:2",
        " 余额 = 3",
        "URL: http://x",
        "x",
        "",
        "手机:",
        "手机: ",
        "nothing: 1",
    ]
)


@given(st.lists(st.lists(LABELS, max_size=8), min_size=1, max_size=3))
def test_blocks_end_at_a_repeated_label(texts: list[list[str]]) -> None:
    batch = Batch.join(["\n".join(text).encode() for text in texts])
    expected = []
    for begin, text in zip(batch.starts.tolist(), texts, strict=True):
        visited: list[tuple[str, int, int]] = []
        place = begin
        for line in [*text, ""]:
            end = place + len(line.encode())
            sign = min((line.index(s) for s in ":=" if s in line), default=-1)
            label = (
                block_label(line[: sign + 1])
                if sign >= 0 and line[sign + 1 :].removeprefix(" ")
                else ""
            )
            if not label or label in {name for name, *_ in visited}:
                expected += [(visited[0][1], visited[-1][2])] if len(visited) > 1 else []
                visited = []
            visited += [(label, place, end)] if label else []
            place = end + 1
    assert spans_in(blocks(batch, np.arange(len(texts)))) == expected


def test_equal_labels_have_equal_numbers() -> None:
    batch = Batch.join(
        [
            (
                "手机: 1\n 【手机】: 2\nphone=3\n姓名: x\n手机号码: 4\n一二三四五六七八九十手机: 5"
            ).encode()
        ]
    )
    first, *further = labels_of(batch, batch.lines(batch.starts)[0] + np.arange(6)).tolist()
    assert first
    assert further == [first, first, further[2], first, 0]
    assert further[2] not in (0, first)


@pytest.mark.parametrize(
    "around", ["{}:", "{} =", '"{}":', "【{}】:", "({})=", "user_{}:", "客户{}:", "{}用户:"]
)
def test_every_known_label_is_read_with_any_ending(around: str) -> None:
    labels = [
        around.format(form) for word in (*words(), *RECORD_WORDS) for form in (word, word.upper())
    ]
    lines = [line for line in labels if block_label(line)]
    batch = Batch.join([f"{line}x\n".encode() for line in lines])
    numbers = labels_of(batch, batch.lines(batch.starts))
    # the sign is the last byte that is looked at
    short = [len(line.encode()) <= WIDTH for line in lines]
    assert (numbers > 0).tolist() == short


def test_label_tails_are_two_bytes() -> None:
    assert {len(tail) for tail in tails()} == {2}


def test_places_are_located_in_their_record() -> None:
    spans = Spans.join(
        [
            Spans.with_style(np.array([30]), np.array([40]), 2),
            Spans.with_style(np.array([5, 10]), np.array([8, 20]), 1),
        ]
    )
    assert spans.locate(np.array([0, 5, 7, 8, 10, 19, 20, 30, 50])).tolist() == [
        -1,
        0,
        0,
        -1,
        1,
        1,
        -1,
        2,
        -1,
    ]
    assert spans.style.tolist() == [1, 1, 2]
    assert Spans.join([]).locate(np.array([1, 2])).tolist() == [-1, -1]


def test_rest_of_a_line_outside_records_is_its_own_row() -> None:
    text = f"'{phone(0)}'),(1,'{phone(1)}'),({phone(2)}), {phone(3)},('{phone(4)}"
    table = rows_of_texts(text)
    assert [(s > LINE, table.text(row).decode()) for row, s in enumerate(table.style.tolist())] == [
        (False, f"'{phone(0)}'),"),
        (True, f"(1,'{phone(1)}')"),
        (True, f"({phone(2)})"),
        (False, f", {phone(3)},('{phone(4)}"),
    ]


INSERT = "INSERT INTO t (id,mobile,balance) VALUES"


def carry_over(first: str, second: str) -> RowTable:
    before = rows_of_texts(first)
    batch, segments = lay_out([f"z----{phone(7)}", second])
    return rows_in(batch, Candidates.merge(segments), {1: before.to_carried(0)})


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (f"客户|手机|余额\nx|{phone(1)}|5\ny|{phone(2)}|6", f"z|{phone(3)}|7"),
        (f"{INSERT} (1,'{phone(1)}',5),(2,'{phone(2)}',6),",
        f"(3,'{phone(3)}',7),(4,'{phone(4)}',8);"),
        (f"{INSERT}\n(1,'{phone(1)}',5),\n(2,'{phone(2)}',6),", f"(3,'{phone(3)}',7);"),
        (f"客户|手机|余额\nx|{phone(1)}|5", f"手机|备注|余额\n{phone(3)}|7|x"),
    ],
)  # fmt: skip
def test_capture_continued_in_the_next_batch_keeps_its_columns(first: str, second: str) -> None:
    table = carry_over(first, second)
    assert fields_of(table, 1) == {"PHONE", "BALANCE"}
    assert fields_of(carry_over(first, f"a,{phone(3)},7"), 1) == {"PHONE"}


def test_column_with_mostly_failing_checksums_gets_another_kind() -> None:
    numbers = [f"{p}|62000000{n:08d}" for n, p in enumerate(map(phone, range(60)))]
    table = rows_of_texts("手机|订单号\n" + "\n".join(numbers))
    assert {kind for row in range(60) for kind in kinds(table, row)} == {"phone", "card"}
    assert {fields_of(table, row) for row in range(60)} == {frozenset({"PHONE", "ORDER"})}
    assert [(layout.fields, n) for layout, n in table.layouts(0).iter_counts()] == [
        ({"PHONE", "ORDER"}, 60)
    ]


def test_cell_gets_the_kind_of_its_column() -> None:
    table = rows_of_texts(
        "\n".join(
            [f"{n}|{phone(n)}|a{n}@example.com" for n in range(9)] + ["9|1540000|b@example.com"]
        )
    )
    assert fields_of(table, 9) == {"PHONE", "EMAIL"}
    in_few_rows = rows_of_texts(
        "\n".join(
            [f"{n}|{phone(n)}|a{n}@example.com" for n in range(2)] + ["9|1540000|b@example.com"]
        )
    )
    assert fields_of(in_few_rows, 2) == {"EMAIL"}


def test_columns_are_judged_by_weighted_rows() -> None:
    columns_ = [
        (10.0, 0, "card", False),
        (2.0, 0, "card", True),
        (12.0, 1, "phone", True),
        (1.0, 2, "card", False),
    ]
    judged = HeaderColumns("|").with_inferred_types(columns_, (), 12)
    assert (judged.doubted, dict(judged.typed)) == ({(0, "card")}, {1: FieldLabel.PHONE})


def test_layouts_are_sampled_in_large_documents_only() -> None:
    layouts = ["张某|{}|x", "{}|" + ID, "李某{}", "{}||x"]
    text = "\n".join(layouts[n % 4].format(phone(n)) for n in range(400))
    table = rows_of_texts(text)
    assert sorted((sorted(layout.fields), n) for layout, n in table.layouts(0).iter_counts()) == [
        (["ID", "PHONE"], 100), (["NAME", "PHONE"], 100), (["NAME", "PHONE"], 100), (["PHONE"], 100)
    ]  # fmt: skip
    odd = rows_of_texts("\n".join(f"{'张某' if n % 3 else 'x'}|{phone(n)}" for n in range(8)))
    assert {frozenset(odd.group(row)) for row in (0, 3, 6)} == {frozenset({"PHONE"})}
    assert all(odd.group(row) == fields_of(odd, row) for row in range(8))


def test_many_row_shapes_are_read_a_few_times() -> None:
    text = "\n".join("|".join(["x"] * (n % 100) + [phone(n)]) for n in range(2000))
    layouts = rows_of_texts(text).layouts(0)
    assert sum(n for _, n in layouts.iter_counts()) == 2000
    assert {layout.fields for layout, _ in layouts.iter_counts()} == {frozenset({"PHONE"})}


def test_rest_of_a_very_long_row_counts_by_candidates() -> None:
    text = f"张某,{phone(1)}" + ",x" * 40_000 + f",{ID},李某"
    [row] = range(len(table := rows_of_texts(text)))
    assert (fields_of(table, row), names_of(table, row)) == ({"NAME", "PHONE", "ID"}, ("张某",))


@pytest.mark.parametrize(
    ("lines", "separator"),
    [(["a|b", "c|d", "e,f"], "|"), (["a----b"], "----"), (["a--b"], "--"), (["a:b"], ":"),
    (["手机:b"], ""), (["a: b"], " "),
     (["abc"], ""), ([], "")],
)  # fmt: skip
def test_separator_is_the_one_in_most_lines(lines: list[str], separator: str) -> None:
    assert elect_separator([vote(line) for line in lines]) == separator
    assert elect_separator([vote_of(line.encode()) for line in lines]) == separator


@pytest.mark.parametrize("separator", OTHER_SEPARATORS)
@pytest.mark.parametrize("main", ["|", ",", "----"])
def test_rows_of_a_joined_list_are_cut_by_their_own_separator(main: str, separator: str) -> None:
    cells = [["7", "借款8万", "张某", phone(n)] for n in range(40)]
    lines = [(separator if n % 10 == 9 else main).join(row) for n, row in enumerate(cells)]
    table = rows_of_texts("\n".join(lines))
    assert {fields_of(table, row) for row in range(40)} == {frozenset({"LOAN", "NAME", "PHONE"})}
    assert {names_of(table, row) for row in range(40)} == {("张某",)}


def test_header_does_not_name_the_cells_of_another_separator() -> None:
    lines = ["姓名|手机|余额", *(f"张某|{phone(n)}|50000" for n in range(9))]
    table = rows_of_texts("\n".join([*lines, f"李某;{phone(9)};50000"]))
    assert fields_of(table, 0) == {"NAME", "PHONE", "BALANCE"}
    assert fields_of(table, 9) == {"NAME", "PHONE"}


def test_commas_of_prose_cut_no_cells() -> None:
    lines = [f"张某|{phone(n)}|x" for n in range(9)]
    sentence = f"昨天晚上有人给我打了电话,号码是{phone(9)},他说是银行的工作人员,李某,请大家当心"
    table = rows_of_texts("\n".join([*lines, sentence]))
    assert names_of(table, 9) == names_of(rows_of_texts(sentence.replace(",", " ")), 0)


def test_statements_are_read_up_to_a_bound() -> None:
    text = b"insert into t (phone) values (1);\n" * (MOST_STATEMENTS + 9)
    assert len(statements_of(text)) == MOST_STATEMENTS
    assert statements_of(b"insert " * 5000) == ()
    assert statements_of(b"INSERT INTO `t` VALUES (1)", 7) == ((7, ()),)


@pytest.mark.parametrize(
    ("line", "inner"),
    [("(1,'x'),", "1,'x'"), ("  (1),(2)", "1),(2"), ("INSERT INTO t (a) VALUES (1);", "1"),
    ("insert into t values(1", None),
     ("x (1)", None), (")(", None)],
)  # fmt: skip
def test_line_may_be_a_tuple(line: str, inner: str | None) -> None:
    bounds = tuple_in(line.encode())
    assert (line[bounds.start : bounds.end] if bounds else None) == inner
