"""Tables with odd cells and odd padding: no cell costs the customers beside it, and one row is a
table too.
"""

import pytest

from matcher.match.pipeline import Matcher
from tests.conftest import HeldClock
from tests.factories import capture
from tests.matcher.bank import customer, enrol, matcher_of
from tests.matcher.test_abroad import look_up_keys
from ullage import setup
from ullage.settings import Context

CUSTOMERS = [customer(number) for number in range(20)]
CELLS = (
    *(
        "",
        " ",
        "none given",
        "unknown",
        "n/a",
        "-",
        "()",
        "+",
        "(",
        "0",
        "00",
        "+0",
        "?",
        "未登记电话",
        "见附件",
        "a@b.example",
    ),
    *(
        "138****8000",
        "+84912345678",
        "84912345678",
        "٠١٢٣٤٥٦٧٨٩",
        "²³",
        "1.2.3.4",
        "2024-05-13 18:22:31",
        "0" * 40,
        "7" * 25,
    ),
)
HEADERS = (
    "name,phone",
    "name,country,phone",
    "姓名,国家代码,手机",
    "Name;Land;Telefon",
    "phone\tname",
    "country|phone|name",
)
ROWS = (
    "1584           983          1581",
    "15400000001           983          1581",
    "1         54          0000          0001",
    "154          0000           0001            2",
    "0154\u3000\u3000\u3000\u3000 0000\u3000\u3000\u3000\u3000\u30000001",
    "1 5 4          0 0 0          0 0 0 0 1",
    "62000000          00000001           00000002          0003",
    "154空格空格空空0000空格空格空格0001",
)


@pytest.fixture(scope="module")
def matcher(tmp_path_factory: pytest.TempPathFactory) -> Matcher:
    context = Context(tmp_path_factory.mktemp("odd") / "data", HeldClock().as_clock())
    list(setup.initialise(context))
    enrol(context, "bank", CUSTOMERS)
    return matcher_of(context)


def count_customers(matcher: Matcher, text: str) -> int:
    """Return how many customers are found in `text`."""
    [reading] = matcher.read([capture(body=text.encode(), media_type="text/plain")])
    matches = reading.find_best_matches("bank")
    return len(matches.subjects) if matches else 0


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("header", HEADERS)
def test_odd_phone_cell_loses_no_other_customer(matcher: Matcher, header: str, cell: str) -> None:
    separator = next(sign for sign in ",;\t|" if sign in header)
    names = header.split(separator)
    rows = [[{"phone": person["phone"], "手机": person["phone"],
        "Telefon": person["phone"]}.get(name, "x") for name in names]
            for person in CUSTOMERS]  # fmt: skip
    rows.insert(7, [cell] * len(names))
    text = "".join(f"{separator.join(row)}\n" for row in (names, *rows))
    assert count_customers(matcher, text) == len(CUSTOMERS)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("header", HEADERS)
def test_table_of_one_odd_row_is_searched(header: str, cell: str) -> None:
    separator = next(sign for sign in ",;\t|" if sign in header)
    odd = separator.join([cell] * len(header.split(separator)))
    assert len(look_up_keys(f"{header}\n{odd}\n")) <= 2


@pytest.mark.parametrize("row", ROWS)
def test_padded_row_loses_no_customer(matcher: Matcher, row: str) -> None:
    assert count_customers(matcher, row) <= 1
    lines = [f"{person['name']}  {person['phone']}\n" for person in CUSTOMERS]
    assert count_customers(matcher, "".join([*lines[:7], f"{row}\n", *lines[7:]])) == len(CUSTOMERS)
