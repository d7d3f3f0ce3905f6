"""Deleted rows of a SQLite database are read from the free room of its file."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.unpack.deleted_rows import DeletedRows
from tests.matcher.unpack.conftest import out_of

NUMBERS = [15400000000 + number for number in range(400)]
MEMBER = "!/deleted rows"


def build(*statements: str, rows: Sequence[Sequence[object]]) -> bytes:
    """Return a database of `rows` after some statements, which overwrite nothing."""
    with contextlib.closing(sqlite3.connect(":memory:")) as opened:
        opened.execute("PRAGMA secure_delete = off")
        opened.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, phone, mail TEXT)")
        opened.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
        opened.commit()
        for statement in statements:
            opened.execute(statement)
            opened.commit()
        return opened.serialize()


TEXTS = [[n, f"张某{n}", str(phone), f"li{n}@example.com"] for n, phone in enumerate(NUMBERS)]
WHOLE = [[n, f"n{n}", phone, f"li{n}@example.com"] for n, phone in enumerate(NUMBERS)]


@pytest.mark.parametrize("rows", [TEXTS, WHOLE], ids=["texts", "integers"])
@pytest.mark.parametrize(
    "statements",
    [
        ("DELETE FROM t WHERE id % 3 = 0",),
        ("DELETE FROM t WHERE id > 1", "DELETE FROM t"),
        ("DELETE FROM t",),
        ("DELETE FROM t WHERE id BETWEEN 100 AND 140",),
    ],
    ids=["scattered", "in turn", "all at once", "neighbours"],
)
def test_deleted_rows_are_read_with_their_cells_apart(
    rows: Sequence[Sequence[object]], statements: tuple[str, ...]
) -> None:
    body = build(*statements, rows=rows)
    unpacked = out_of(body)
    live = {line.split("\t")[2] for line in unpacked.texts["!/t"].splitlines()}
    deleted = {tuple(line.split("\t")[1:]) for line in unpacked.texts[MEMBER].splitlines()}
    expected = {
        (str(name), str(phone), str(mail))
        for _, name, phone, mail in rows
        if str(phone) not in live and str(mail).encode() in body
    }
    # some were overwritten in part when pages were merged
    assert len(expected - deleted) <= len(expected) // 25
    assert {reason for _, reason in unpacked.outcomes} <= {"database"}


def test_database_without_deleted_rows_has_no_such_member() -> None:
    assert MEMBER not in out_of(build(rows=TEXTS)).members
    assert MEMBER not in out_of(build("DELETE FROM t", "VACUUM", rows=TEXTS)).members


def test_text_in_free_room_that_is_no_row_is_reported() -> None:
    body = bytearray(build(rows=WHOLE[:2]))
    body[4096 + 100 : 4096 + 111] = b"15400000099"
    unpacked = out_of(bytes(body))
    assert unpacked.texts[MEMBER] == "15400000099\n"
    assert unpacked.outcomes == [(MEMBER, "database")]


@given(st.binary(max_size=600), st.integers(0, 3500))
def test_any_bytes_in_free_room_raise_nothing(octets: bytes, place: int) -> None:
    body = bytearray(build("DELETE FROM t WHERE id % 2", rows=WHOLE[:60]))
    body[4096 + place : 4096 + place + len(octets)] = octets
    for row in DeletedRows(bytes(body), [4]).rows():
        assert all(value is None or isinstance(value, str | int) for value in row)
