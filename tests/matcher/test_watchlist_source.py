"""What banks export: read whatever its writing, and no fault names a value."""

import gzip
from pathlib import Path

import pytest

from matcher.watchlist.source import ROWS, Source
from tests.matcher.bank import customer, to_csv
from ullage.errors import ConfigError

PEOPLE = [customer(n) for n in range(3)]


def read(path: Path, **mapping: str) -> list[tuple[int, str, dict[str, str]]]:
    """(line, reference, cells by kind) of each row."""
    return [
        (
            line,
            batch.references.strings()[i],
            {column.kind: column.cells.strings()[i] for column in batch.columns},
        )
        for batch in Source(path, mapping).batches()
        for i, line in enumerate(batch.lines)
    ]


def put(tmp_path: Path, body: bytes, name: str = "list.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(body)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", "|", "\t", ";", "^"])
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_any_encoding_delimiter_line_end_and_compression_is_read(
    tmp_path: Path, encoding: str, delimiter: str, zipped: bool, end: str
) -> None:
    body = to_csv(PEOPLE, delimiter).replace("\r\n", end).encode(encoding)
    rows = read(put(tmp_path, gzip.compress(body) if zipped else body))
    assert [reference for _, reference, _ in rows] == [p["customer_ref"] for p in PEOPLE]
    assert [cells["name"] for *_, cells in rows] == [p["name"] for p in PEOPLE]
    assert [line for line, *_ in rows] == [2, 3, 4]


def test_parquet_with_numbers_dates_and_gaps_is_read(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table(
        {
            "x": [1, 2],
            "tel": [13800138000, None],
            "customer_ref": [7, 8],
            "card": [None, "6200000000000005"],
        }
    )
    parquet.write_table(table, tmp_path / "list.parquet")
    assert read(tmp_path / "list.parquet", tel="phone") == [
        (1, "7", {"phone": "13800138000", "card": ""}),
        (2, "8", {"phone": "", "card": "6200000000000005"}),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_chinese_header_is_mapped(tmp_path: Path, encoding: str) -> None:
    kinds = {
        "name": ["姓名"], "phone": ["电话", "手机", "手机号", "手机号码"],
        "resident_id": ["身份证", "身份证号", "证件号码"],
        "card": ["卡号", "银行卡号"], "email": ["邮箱", "电子邮箱"], "wechat": ["微信"],
        "qq": ["QQ"],
    }  # fmt: skip
    words = [word for kind_words in kinds.values() for word in kind_words]
    path = put(
        tmp_path,
        (",".join(["编号", *words]) + "\n" + "C1" + ",x" * len(words) + "\n").encode(encoding),
    )
    [batch] = Source(path, {}).batches()
    assert batch.references.strings() == ["C1"]
    assert [(c.kind, c.name) for c in batch.columns] == [
        (kind, word) for kind, kind_words in kinds.items() for word in kind_words
    ]


@pytest.mark.parametrize(
    ("header", "mapping", "column"),
    [
        ("编号,客户号,手机", {}, 1),
        ("編號, 客戶號,手機", {}, 1),
        ("编号,customer_ref,手机", {}, 1),
        ("编号,Customer_Ref,手机", {}, 1),
        (" CUSTOMER_REF ,编号,手机", {}, 0),
        ("编号,客户号,手机", {"编号": "customer_ref"}, 0),
    ],
)
def test_one_of_several_reference_columns_is_read(
    tmp_path: Path, header: str, mapping: dict[str, str], column: int
) -> None:
    [batch] = Source(put(tmp_path, f"{header}\n0,1,2\n".encode()), mapping).batches()
    assert batch.references.strings() == [str(column)]


def test_column_mapped_to_a_dash_is_left_out(tmp_path: Path) -> None:
    [batch] = Source(put(tmp_path, "客户号,手机,电话\nC1,1,2\n".encode()), {"电话": "-"}).batches()
    assert [column.name for column in batch.columns] == ["手机"]


def test_unread_columns_get_a_suggested_mapping(tmp_path: Path) -> None:
    source = Source(
        put(tmp_path, "客户号,手机,mobile,手机号2,账号,备注,idcrad_no\nC1,1,2,3,4,5,6\n".encode()),
        {},
    )
    list(source.batches())
    assert source.suggestions == {
        "mobile": "phone",
        "手机号2": "phone",
        "账号": "card",
        "idcrad_no": "resident_id",
    }


def test_line_numbers_count_blank_and_quoted_lines(tmp_path: Path) -> None:
    body = b'customer_ref,name,phone\n\nC1,"a\nb",1\n\n"C2",c,2\n'
    assert [line for line, *_ in read(put(tmp_path, body))] == [3, 6]


def test_two_columns_of_one_kind_are_both_read(tmp_path: Path) -> None:
    path = put(tmp_path, b"customer_ref,phone,tel\nC1,1,2\n")
    [batch] = Source(path, {"tel": "phone"}).batches()
    assert [(c.kind, c.name, c.cells.strings()) for c in batch.columns] == [
        ("phone", "phone", ["1"]),
        ("phone", "tel", ["2"]),
    ]


def test_long_list_is_read_in_batches_with_right_line_numbers(tmp_path: Path) -> None:
    path = put(tmp_path, b"customer_ref,phone\n" + b"".join(b"%d,1\n" % n for n in range(ROWS + 2)))
    first, second = Source(path, {}).batches()
    assert (len(first.lines), list(second.lines), second.references.strings()) == (
        ROWS,
        [ROWS + 2, ROWS + 3],
        [str(ROWS), str(ROWS + 1)],
    )


SECRET = "13800138000"
FAULTS = {
    "empty": (b"", "is empty"),
    "no reference": (b"phone\n13800138000\n", "line 1: no column customer_ref"),
    "reference called otherwise": (
        b"custno,phone\n1,13800138000\n",
        "map one with --map custno=customer_ref",
    ),
    "identifier called otherwise": (
        b"customer_ref,mobile\n1,13800138000\n",
        "map one with --map mobile=phone",
    ),
    "no identifier": (b"customer_ref,name\n1,13800138000\n", "line 1: no identifier column"),
    "two references": (
        b"customer_ref,customer_ref,phone\n1,2,3\n",
        "line 1: more than one column is mapped to customer_ref",
    ),
    "headless": (b"13800138000,C1\n13800138000,C2\n", "line 1 has values instead of column names"),
    "ragged": (b"customer_ref,phone\nC1,1\n\nC2,13800138000,x\n", "line 4: 3 columns instead of 2"),
    "quotes": (
        b'customer_ref,phone\nC1,1\nC2,"13800138000"x\n',
        "line 3 cannot be read: not a row of CSV",
    ),
    "open quote": (
        b'customer_ref,phone\nC1,"13800138000\n',
        "line 2 cannot be read: not a row of CSV",
    ),
    "header": (b'customer_ref,"phone"13800138000\n', "line 1 cannot be read: not a row of CSV"),
    "bytes": (
        b"customer_ref,phone\nC1,13800138000\xff\xff\xff\n",
        "cannot be read: not text in UTF-8, UTF-16 or GB18030",
    ),
    "cut gzip": (
        gzip.compress(b"customer_ref,phone\nC1,13800138000\n" * 99)[:-20],
        "cannot be read: the gzip data is damaged or truncated",
    ),
    "bad gzip": (
        b"\x1f\x8b\x08\x00" + b"13800138000" * 9,
        "line 1 cannot be read: the gzip data is damaged or truncated",
    ),
    "nul": (b"customer_ref,phone\nC1,138\x0000138000\n\x00", "line 3: 1 columns instead of 2"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_error_names_the_place_but_not_the_value(tmp_path: Path, fault: str) -> None:
    body, message = FAULTS[fault]
    path = put(tmp_path, body)
    with pytest.raises(ConfigError, match=message) as error:
        read(path)
    assert str(path) in str(error.value)
    assert SECRET not in str(error.value)


@pytest.mark.parametrize("name", ["gone.csv", "gone.parquet"])
def test_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} cannot be read"):
        read(tmp_path / name)


def test_invalid_parquet_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a readable Parquet file"):
        read(put(tmp_path, b"customer_ref,phone\n", "list.parquet"))


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ({"phone": "fax"}, "'fax' is not a kind"),
        ({"phone": "phon"}, "did you mean phone"),
        ({"tel": "phone"}, "has no column 'tel': correct --map$"),
        ({"phne": "phone"}, "has no column 'phne': correct --map .did you mean 'phone'"),
    ],
)
def test_mapping_that_fits_no_column_is_rejected(
    tmp_path: Path, mapping: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        read(put(tmp_path, b"customer_ref,phone\nC1,1\n"), **mapping)


def test_several_files_are_read_each_with_its_own_format(tmp_path: Path) -> None:
    first = put(tmp_path, b"customer_ref,phone\nC1,1\n", "a.csv")
    second = put(
        tmp_path,
        gzip.compress("phone|name|customer_ref\n2|张某|C2\n".encode("gb18030")),
        "b.csv.gz",
    )
    batches = list(Source([first, second], {}).batches())
    assert [(b.path.name, list(b.lines), b.references.strings()) for b in batches] == [
        ("a.csv", [2], ["C1"]), ("b.csv.gz", [2], ["C2"]),
    ]  # fmt: skip
    assert str(Source([first, second], {})) == f"{first} and 1 more"


def test_concatenated_gzip_files_are_read_to_the_end(tmp_path: Path) -> None:
    path = put(
        tmp_path,
        b"".join(
            gzip.compress(part) for part in (b"customer_ref,phone\nC1,1\n", b"C2,2\n", b"C3,3\n")
        ),
    )
    assert [reference for _, reference, _ in read(path)] == ["C1", "C2", "C3"]


@pytest.mark.parametrize("delimiter", ["----", "|@|", "|!|", "||", "\x01", "~", "\t"])
def test_unusual_delimiters_are_recognised(tmp_path: Path, delimiter: str) -> None:
    body = "customer_ref,phone,name\nC1,13800138000,张某\n\nC2,13800138001,\n".replace(
        ",", delimiter
    )
    assert read(put(tmp_path, body.encode())) == [
        (2, "C1", {"phone": "13800138000", "name": "张某"}),
        (4, "C2", {"phone": "13800138001", "name": ""}),
    ]  # fmt: skip


def test_given_delimiter_is_not_guessed(tmp_path: Path) -> None:
    path = put(tmp_path, b"customer_ref phone\nC1 1\n")
    [batch] = Source(path, {}, delimiter=" ").batches()
    assert batch.references.strings() == ["C1"]


@pytest.mark.parametrize("delimiter", [",", "|", "||", "\t"])
def test_file_without_a_header_is_read(tmp_path: Path, delimiter: str) -> None:
    path = put(tmp_path, "C1,,13800138000\nC2,x,13800138001\n".replace(",", delimiter).encode())
    [batch] = Source(path, {}, ["customer_ref", "-", "phone"]).batches()
    assert (list(batch.lines), batch.references.strings()) == ([1, 2], ["C1", "C2"])
    assert [(c.kind, c.cells.strings()) for c in batch.columns] == [
        ("phone", ["13800138000", "13800138001"])
    ]
    with pytest.raises(ConfigError, match="line 1: 3 columns instead of 2"):
        list(Source(path, {}, ["customer_ref", "phone"], delimiter=delimiter).batches())


def test_list_with_one_identifier_on_each_row_is_read(tmp_path: Path) -> None:
    path = put(
        tmp_path, "id,what,value\nC1,phone,1\nC1,邮箱,a@example.com\nC2, phone ,2\n".encode()
    )
    batches = list(Source(path, {"邮箱": "email"}, long=["id", "what", "value"]).batches())
    read_batches = {
        b.columns[0].kind: (b.references.strings(), list(b.lines), b.columns[0].cells.strings())
        for b in batches
    }
    assert read_batches == {
        "phone": (["C1", "C2"], [2, 4], ["1", "2"]),
        "email": (["C1"], [3], ["a@example.com"]),
    }


@pytest.mark.parametrize(
    ("long", "said"),
    [
        (["id", "what", "text"], "no column 'text': correct --long"),
        (["id", "value", "what"], "line 2: the kind must be one of"),
    ],
)
def test_invalid_long_list_is_rejected(tmp_path: Path, long: list[str], said: str) -> None:
    path = put(tmp_path, b"id,what,value\nC1,phone,13800138000\n")
    with pytest.raises(ConfigError, match=said) as error:
        list(Source(path, {}, long=long).batches())
    assert SECRET not in str(error.value)


def test_parquet_columns_of_every_type_become_text(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    values = ["13800138000", None, "", "x" * 700, "张某"]
    columns_ = {
        "customer_ref": pa.array([1, 2, 3, 4, 5], pa.int64()),
        "phone": pa.array(values),
        "email": pa.array(values, pa.large_string()),
        "name": pa.array(values).dictionary_encode(),
        "card": pa.array([1.5, None, 2.0, 3.0, 4.0]),
        "other": pa.array(values),
    }
    parquet.write_table(pa.table(columns_), tmp_path / "list.parquet")
    [batch] = Source(tmp_path / "list.parquet", {}).batches()
    cells = {column.kind: column.cells for column in batch.columns}
    assert batch.references.strings() == ["1", "2", "3", "4", "5"]
    assert list(cells) == ["phone", "email", "name", "card"]
    for kind in ("phone", "email", "name"):
        assert cells[kind].lengths.tolist() == [11, 0, 0, 700, 6]
        assert [cells[kind].strings()[row] for row in (0, 1, 2, 4)] == [
            "13800138000",
            "",
            "",
            "张某",
        ]
    assert cells["card"].strings() == ["1.5", "", "2.0", "3.0", "4.0"]
