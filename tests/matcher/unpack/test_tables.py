"""Tables in files of a program: each row becomes a line, values as a person reads them."""

import base64
import datetime as dt
import plistlib
from collections.abc import Callable

import pytest

from matcher.unpack.parent import UnpackRun
from tests.matcher.unpack import builders
from tests.matcher.unpack.conftest import QUICK, out_of

ROWS = [
    ["张某", "15400000001", 15400000003, 15400000005.0],
    ["李某", "15400000002", 15400000004, 1.5],
]
LINES = (
    "c0\tc1\tc2\tc3\n张某\t15400000001\t15400000003\t15400000005\n"
    "李某\t15400000002\t15400000004\t1.5\n"
)
TABLES: dict[str, Callable[[list[list[object]]], bytes]] = {
    "parquet": builders.parquet_of,
    "parquet, zstd": lambda rows: builders.parquet_of(rows, "zstd"),
    "parquet, plain": lambda rows: builders.parquet_of(rows, "none"),
    "orc": builders.orc_of,
    "arrow": builders.feather_of,
    "arrow, plain": lambda rows: builders.feather_of(rows, "uncompressed"),
    "arrow stream": builders.arrow_stream_of,
    "avro": builders.avro_of,
    "avro, plain": lambda rows: builders.avro_of(rows, "null"),
}


@pytest.mark.parametrize("kind", TABLES)
def test_rows_become_lines(kind: str) -> None:
    unpacked = out_of(TABLES[kind](ROWS))
    assert unpacked.texts == {"!/rows": LINES}
    assert unpacked.outcomes == []


@pytest.mark.parametrize("kind", TABLES)
def test_rows_are_read_inside_archives(kind: str) -> None:
    unpacked = out_of(
        builders.tar_of({"a": b"x", "b": builders.zip_of({"t": TABLES[kind](ROWS)}), "c": b"y"})
    )
    assert unpacked.texts == {"!/a": "x", "!/b!/t!/rows": LINES, "!/c": "y"}
    assert unpacked.outcomes == []


@pytest.mark.parametrize("kind", ["parquet", "arrow", "arrow stream", "orc"])
def test_timestamps_need_no_time_zone_file(kind: str) -> None:
    at = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    [text] = out_of(TABLES[kind]([["15400000001", at, at.date()]])).texts.values()
    assert text.startswith("c0\tc1\tc2\n15400000001\t2026-01-02 03:04:05.000000")
    assert text.endswith("\t2026-01-02\n")


@pytest.mark.parametrize("kind", ["parquet", "arrow", "avro"])
def test_binary_cells_are_reported(kind: str) -> None:
    unpacked = out_of(TABLES[kind]([["15400000001", b"\xff\0"]]))
    assert unpacked.texts == {"!/rows": "c0\tc1\n15400000001\t\n"}
    assert unpacked.outcomes == [("", "database")]


@pytest.mark.parametrize("kind", TABLES)
def test_truncated_table_is_reported_as_damaged(kind: str) -> None:
    whole = TABLES[kind]([["15400000001", n] for n in range(5000)])
    assert [reason for _, reason in out_of(whole[: len(whole) // 2]).outcomes] == ["damaged"]


def test_table_is_reported_when_its_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matcher.unpack.parent._folders", list)
    body = builders.zip_of(
        {"a.parquet": builders.parquet_of(ROWS, "none"), "a.avro": builders.avro_of(ROWS)}
    )
    unpacked = out_of(body, alone=True)
    assert unpacked.outcomes == [
        ("!/a.parquet!/parquet (needs pyarrow)", "unsupported"),
        ("!/a.avro!/avro (needs fastavro)", "unsupported"),
    ]
    assert b"15400000001" in unpacked.members["!/a.parquet"]


def test_tables_inside_an_archive_share_its_limits() -> None:
    files = {
        f"{n}.parquet": builders.parquet_of([["15400000001" * 9, n] for n in range(5000)])
        for n in range(5)
    }
    unpacked = out_of(
        builders.zip_of(files), limits=QUICK._replace(total_bytes=2 << 20, free_bytes=1 << 30)
    )
    assert 0 < sum(map(len, unpacked.members.values())) <= 2 << 20
    assert "too_large" in [reason for _, reason in unpacked.outcomes]


def test_child_of_a_table_starts_no_child() -> None:
    inner = UnpackRun(builders.zip_of({"a": builders.parquet_of(ROWS)}), "a", QUICK, "")
    inner._is_inner = True
    with inner as items:
        assert [item.reason for item in items if hasattr(item, "reason")] == ["damaged"]


BSON = builders.bson_of([{"name": "张某", "phone": 15400000001}, {"ids": ["15400000002", 1.5]}])
BSON_LINES = '{"name": "张某", "phone": 15400000001}\n{"ids": ["15400000002", "1.5"]}\n'


def test_bson_documents_become_json_lines() -> None:
    unpacked = out_of(BSON)
    assert unpacked.texts == {"!/rows": BSON_LINES}
    assert unpacked.outcomes == []


def test_cut_bson_is_read_up_to_its_damage() -> None:
    unpacked = out_of(BSON[:-3])
    assert unpacked.texts == {"!/rows": BSON_LINES.splitlines(keepends=True)[0]}
    assert [reason for _, reason in unpacked.outcomes] == ["damaged"]


def test_bson_with_other_length_is_not_bson() -> None:
    assert "!/rows" not in out_of(BSON[:8] + b"x" + BSON[8:]).members


def test_property_list_becomes_json_lines() -> None:
    body = plistlib.dumps(
        [{"name": "张某", "phone": 15400000001}, {"mail": b"\xff\0"}], fmt=plistlib.FMT_BINARY
    )
    unpacked = out_of(body)
    assert unpacked.texts == {"!/rows": '{"name": "张某", "phone": 15400000001}\n{"mail": ""}\n'}
    assert [reason for _, reason in unpacked.outcomes] == ["database"]


def test_file_named_as_base85_is_decoded() -> None:
    wrapped = b"\n".join(
        base64.b85encode("张某,15400000001".encode())[at : at + 8] for at in range(0, 40, 8)
    )
    assert out_of(wrapped, "list.csv.b85").texts == {"!/list.csv": "张某,15400000001"}
    assert out_of("不是".encode(), "list.b85").outcomes == [("", "damaged")]
    assert out_of(wrapped, "list.txt").texts == {"": wrapped.decode()}
