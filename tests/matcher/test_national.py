"""Numbers as dialled at home are looked up in the countries of a list's own customers; behind a
plain label only with evidence beside the number.
"""

from collections.abc import Sequence

import pytest

from matcher.detect.candidates import NATIONAL
from matcher.lexicon import Lexicon
from matcher.match import national
from matcher.match.batches import SearchResult, batches, list_enrolled_codes
from matcher.match.parts import Piece
from tests.matcher.bank import customer, enrol, matcher_of
from tests.matcher.test_match import matches
from ullage.settings import Context

INDIAN, SPANISH, VIETNAMESE, TURKISH = (
    "+919876500001",
    "+34600000001",
    "+84950000001",
    "+905000000001",
)
ABROAD = {"Priya Nair": INDIAN, "Ana Ruiz": SPANISH, "Lê Minh": VIETNAMESE, "Can Kaya": TURKISH}
CODES = ("34", "84", "90", "91")
LEXICON = Lexicon({})


def read(text: str, codes: tuple[str, ...] = CODES) -> SearchResult:
    """Return the search of a text for lists with customers behind `codes`."""
    return next(iter(batches([Piece(0, "", text.encode(), len(text))], LEXICON, codes=codes)))


def list_phones(searched: SearchResult, *, weak: bool) -> list[str]:
    """Return the normal forms of the phones that are weak, or that are not."""
    return [
        row[:length].tobytes().decode()
        for segment in searched.segments
        if segment.kind == "phone" and segment.weak is weak
        for row, length in zip(segment.normal, segment.length.tolist(), strict=True)
    ]


def load(context: Context, share: int = 0) -> None:
    """Enrol a customer of each country, and as many more of India as `share` says."""
    people = [
        customer(number, name=name, phone=phone)
        for number, (name, phone) in enumerate(ABROAD.items())
    ]
    others = (customer(100 + n, phone=f"+9198{n:08d}") for n in range(share))
    enrol(context, "bank", [*people, *others], "none")


def find_kinds(context: Context, text: str) -> Sequence[str]:
    """Return the kinds of the values that match in a post."""
    return [match[0] for match in matches(matcher_of(context), text)]


@pytest.mark.parametrize(
    "text",
    [
        "mobile: 9876500001",
        "phone no. 98765 00001",
        '"MobilePhone": "9876500001"',
        "BEGIN:VCARD\nTEL;type=CELL;type=pref:09876500001\n",
        "a|phone|b\n1|9876500001|2\n",
        "Phone Number\n9876500001\n",
        "msisdn=9876500001",
    ],
)
def test_plain_label_keeps_number_as_dialled(text: str) -> None:
    assert [number.lstrip("0") for number in list_phones(read(text), weak=True)] == ["9876500001"]
    assert list_phones(read(text), weak=False) in ([], ["+9876500001"])


@pytest.mark.parametrize(
    "text",
    [
        "Order no: 9876500001",
        "Aadhaar: 987650000112",
        "mobile: 9876500001321",
        "mobile: +1 9876500001",
        "phone: 2024-05-13",
        "phone\nx\n9876500001\n",
        "file_09876500001_final.mp4",
    ],
)
def test_number_without_label_or_of_no_plan_is_not_kept(text: str) -> None:
    assert list_phones(read(text), weak=True) == []


def test_list_of_china_alone_keeps_no_number_as_dialled() -> None:
    searched = read("mobile: 9876500001\n", codes=())
    assert [segment for segment in searched.segments if segment.form == NATIONAL] == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("mi teléfono es 600 000 001", SPANISH),
        ("telefon: 0500 000 00 01", TURKISH),
        ("pedido;telefono;cidade\n1;600000001;x\n", SPANISH),
    ],
)
def test_language_of_many_countries_is_read_where_customers_are(text: str, number: str) -> None:
    assert number in list_phones(read(text), weak=False)
    assert list_phones(read(text, codes=()), weak=False) == []


def test_list_knows_its_calling_codes(context: Context) -> None:
    load(context, 3)
    epoch = matcher_of(context).lists[0].epochs[-1]
    assert epoch.list.count_phones_abroad() == {"91": 4, "34": 1, "84": 1, "90": 1}
    assert list_enrolled_codes(matcher_of(context).lists)[0] == "91"


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("Name,Mobile,City\nPriya Nair,9876500001,Pune\n", ["phone"]),
        ("mobile: 9876500001, customer0@example.com\n", ["phone", "email"]),
        ("mobile: 9876500001\n", []),
        ("mobile: 9876500001, customer1@example.com\n", ["email"]),
        ("Name,Mobile,City\nPriya Rao,9876500001,Pune\n", []),
    ],
)
def test_plain_label_needs_name_or_another_value(
    context: Context, monkeypatch: pytest.MonkeyPatch, text: str, kinds: list[str]
) -> None:
    monkeypatch.setattr(national, "CLUSTERED", 10**6)
    load(context)
    assert find_kinds(context, text) == kinds


def test_more_matches_than_chance_explains_need_no_name(context: Context) -> None:
    load(context, 4000)
    customers = "".join(f"mobile: 98{number:08d}\n" for number in range(3))
    strangers = "".join(f"mobile: 97{number:08d}\n" for number in range(3000))
    assert find_kinds(context, customers.splitlines()[0]) == []
    assert find_kinds(context, customers) == ["phone"] * 3
    assert find_kinds(context, customers + strangers) == []


def test_repeated_number_is_one_match(context: Context) -> None:
    load(context, 4000)
    assert find_kinds(context, "mobile: 9800000001\n" * 5) == []
