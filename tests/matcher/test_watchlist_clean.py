"""Normalising a column at once gives what normalising cell by cell gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.columns.batch import MOST, Texts, concatenate, encode_hex
from matcher.watchlist.tagging import clean_references, normalise_column, normalise_value
from tests.matcher.bank import phone, resident_id
from ullage.identifiers import kinds

CELLS = {
    "phone": [
        "13800138000", "15400000001", "12800138000", "138001380001", "+8613800138000",
        "138-0013-8000",
        " 13800138000 ", "13800138000.0", "1380013800O", "１３８００１３８０００",
    ],
    "resident_id": [
        resident_id(1), "11010519491231002X", "11010519491231002x", "110105194912310021",
        "110105491231002",
        "110105194902300012", "110105199913310018", "990105194912310020", "11010518000229001X",
        "110105 19491231 002X",
    ],
    "card": [
        "6200000000000005", "6200000000000006", "4111111111111111", "378282246310005",
        "9999000000000005",
        "6205500000000000004", "6200 0000 0000 0005", "5555555555554444", "62000000000000051234567",
        "81000000000000",
    ],
    "email": [
        "test@example.com", "Test@Example.com", "a.b-c_d+x@mail.example.com", "a@b", "@example.com",
        "test@",
        "a@@example.com", "a..b@example.com", ".a@example.com", "a@-example.com", "a@example.c",
        "a@example.c0m",
        "a_b@exa_mple.com", "a+b@exam+ple.com", "test[at]example[dot]com", "a@1.2.3.4.5.6.com",
        "a-@example.com",
        "a@example.company", "a" * 60 + "@example.com", "测试@example.com", "a@例子.com", "a@b.co",
        "a@b.c.d.e.f.com",
        "x@y.z1",
    ],
    "name": [
        "张某", "张 某", "ZHANG Mou", "zhang", "Ａ某", "某\u3000某", "㐀某", "李", "é",
    ],
}  # fmt: skip


def by_cell(kind: str, cells: list[str]) -> tuple[dict[int, str], dict[int, str]]:
    normal_forms = {
        row: normalise_value(kind, cell) for row, cell in enumerate(cells) if cell.strip()
    }
    return {row: n for row, (n, fault) in normal_forms.items() if not fault}, {
        row: fault for row, (_, fault) in normal_forms.items() if fault
    }


def at_once(kind: str, cells: list[str]) -> tuple[dict[int, str], dict[int, str]]:
    rows, normals, faults = normalise_column(kind, Texts.pack([cell.encode() for cell in cells]))
    assert len(rows) == len(set(rows.tolist())) == len(normals)
    return dict(zip(rows.tolist(), normals.strings(), strict=True)), faults


@pytest.mark.parametrize("kind", CELLS)
def test_known_cells_are_normalised_alike_singly_and_together(kind: str) -> None:
    cells = [*CELLS[kind], "", "  ", "x", "0", "\0" * 11, "é", "张"]
    assert at_once(kind, cells) == by_cell(kind, cells)
    for cell in cells:
        assert at_once(kind, [cell]) == by_cell(kind, [cell])


ALPHABET = st.sampled_from("0123456789Xxab@.-_+% 张é１")
DIGITS = st.sampled_from("0123456789")
LIKE = st.one_of(
    st.text(ALPHABET, max_size=24),
    st.text(DIGITS, min_size=11, max_size=19),
    st.builds("62{}".format, st.text(DIGITS, min_size=10, max_size=18)),
    st.builds("1{}".format, st.text(DIGITS, min_size=10, max_size=10)),
    st.integers(0, 10**6).map(resident_id),
    st.builds("{}@{}.{}".format, *[st.text(st.sampled_from("ab1.-_+"), max_size=6)] * 3),
    st.builds(
        "{}.{}@{}.{}".format, *[st.text(st.sampled_from("abc1"), min_size=1, max_size=4)] * 4
    ),
)


@given(st.sampled_from([*kinds(), "name"]), st.lists(LIKE, max_size=12))
def test_any_column_is_normalised_alike_singly_and_together(kind: str, cells: list[str]) -> None:
    assert at_once(kind, cells) == by_cell(kind, cells)


@given(st.sampled_from(sorted(CELLS)), st.data())
def test_changed_cells_are_normalised_alike_singly_and_together(kind: str, data) -> None:
    cell = data.draw(st.sampled_from(CELLS[kind]))
    place = data.draw(st.integers(0, len(cell) - 1))
    changed = cell[:place] + data.draw(ALPHABET) + cell[place + data.draw(st.integers(0, 1)) :]
    assert at_once(kind, [changed, cell]) == by_cell(kind, [changed, cell])


def test_oversized_cell_is_a_fault_and_takes_no_memory() -> None:
    texts = Texts.pack([b"1" * 5_000_000, phone(1).encode()])
    assert texts.table.shape == (2, MOST)
    rows, normals, faults = normalise_column("phone", texts)
    assert (rows.tolist(), normals.strings(), faults) == ([1], [phone(1)], {0: "is too long"})


REFERENCES = ["C1", " C2 ", "", "  ", "C\n3", "客户4", "\u3000C5", "C 6", "C\u200b7", "x" * 600]


def test_references_are_stripped_and_invalid_ones_named() -> None:
    texts, faults = clean_references(Texts.pack([text.encode() for text in REFERENCES]))
    assert [texts.strings()[row] for row in (0, 1, 5, 6, 7)] == ["C1", "C2", "客户4", "C5", "C 6"]
    assert faults == {
        2: "is empty", 3: "is empty", 4: "contains a control character",
        8: "contains a control character", 9: "is too long",
    }  # fmt: skip


@given(st.lists(st.binary(max_size=20), max_size=10), st.lists(st.binary(max_size=5), max_size=10))
def test_texts_return_what_was_packed(first: list[bytes], second: list[bytes]) -> None:
    joined = concatenate([Texts.pack(first), Texts.pack(second)])
    assert joined.messages() == first + second
    rows = [i for i in range(len(joined)) if i % 2]
    assert joined.take(rows).messages() == [m for i, m in enumerate(first + second) if i % 2]
    assert [bytes(row).decode() for row in encode_hex(joined.table)] == [
        row.tobytes().hex() for row in joined.table
    ]


def test_texts_show_no_value() -> None:
    assert "table" not in repr(Texts.pack([b"13800138000"]))


def test_texts_of_only_spaces_are_empty() -> None:
    assert Texts.pack([b"", b"  ", b" a", "\u5f20".encode()]).are_filled().tolist() == [
        False,
        False,
        True,
        True,
    ]
