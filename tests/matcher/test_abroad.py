"""Numbers of other countries without a plus sign, behind a label or beside their country, are
looked up as E.164.
"""

import random

import pytest

from matcher.lexicon import Lexicon
from matcher.match.batches import batches
from matcher.match.parts import Piece
from tests.matcher.bank import customer, enrol, matcher_of
from tests.matcher.test_contested import PLANS, as_cards, mobiles
from tests.matcher.test_match import matches
from ullage.settings import Context

GERMAN, BRITISH, AMERICAN, SPANISH = (
    "+491709625982",
    "+447400123456",
    "+14155552671",
    "+34612345678",
)
CARD_LIKE = "4917096259826"
LEXICON = Lexicon({})


def look_up_keys(text: str) -> set[str]:
    """Return the phone and card numbers that would be looked up in a customer list."""
    searched = next(iter(batches([Piece(0, "", text.encode(), len(text.encode()))], LEXICON)))
    return {
        row[:length].tobytes().decode()
        for segment in (*searched.segments, *searched.unlikely)
        if segment.kind in ("phone", "card") and not segment.weak
        for row, length, valid in zip(
            segment.normal, segment.length.tolist(), segment.valid.tolist(), strict=True
        )
        if valid
    }


@pytest.mark.parametrize(
    "before",
    [
        *("phone: ", "Tel. ", "手机 ", "手机：", "电话", "tel:", '"mobile":"', "Telefon: ",
        "Handy ", "手机号码是", "Tel.: "),
        *("Mobile No. ", "Teléfono: ", "Téléphone : ", "WhatsApp ", "phone_number=",
        "Telefonnummer: (", "联系电话："),
    ],
)  # fmt: skip
def test_calling_code_after_label_needs_no_plus_sign(before: str) -> None:
    assert look_up_keys(f"{before}{CARD_LIKE}") == {f"+{CARD_LIKE}", CARD_LIKE}
    assert look_up_keys(f"x\n{before}49 170 9625982, y") == {GERMAN}
    assert look_up_keys(f"{before}49-170-9625982\n") == {GERMAN}


@pytest.mark.parametrize("code", PLANS)
def test_foreign_mobile_after_label_is_found(code: str) -> None:
    numbers = [
        number
        for number in mobiles(code, 40)
        if not (len(number) == 11 and number[0] == "1" and number[1] > "2")
    ]
    assert {f"+{number}" for number in numbers} - look_up_keys(
        "".join(f"phone: {number}\n" for number in numbers)
    ) == set()


@pytest.mark.parametrize("code", ["49", "43", "44"])
def test_phone_column_header_counts_as_label(code: str) -> None:
    numbers = [*as_cards((code,)), *mobiles(code, 20)]
    text = "name,phone\n" + "".join(f"Anna,{number}\n" for number in numbers)
    assert {f"+{number}" for number in numbers} - look_up_keys(text) == set()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("DE | 0170 9625982", GERMAN),
        ("Anna Müller;DE;Berlin;0170 9625982", GERMAN),
        ("country,phone\nDE,01709625982\n", GERMAN),
        ("name;Land;Telefon\nAnna;Deutschland;0170/9625982\n", GERMAN),
        ("Land;Telefon\nD;170 9625982\n", GERMAN),
        ("phone\tname\tnationality\n0170-9625982\tAnna\tDEU\n", GERMAN),
        ("姓名,国家代码,手机\n安娜,49,1709625982\n", GERMAN),
        ("姓名,国籍,手机号\n安娜,德国,01709625982\n", GERMAN),
        ("vorwahl,telefon\n+49,170 9625982\n", GERMAN),
        ("0049;0170 9625982", GERMAN),
        ("+49 | 170 9625982", GERMAN),
        ('{"country":"DE","phone":"01709625982"}', GERMAN),
        ('{"phone":"1709625982","country_code":"49"}', GERMAN),
        ('{"phone":"0170 9625982","name":"Anna","nationality":"German"}', GERMAN),
        ("Country: Germany\nPhone: 0170 9625982\n", GERMAN),
        ("国家：德国，电话：0170 9625982", GERMAN),
        ("DE 0170 9625982", GERMAN),
        ("(DE) 0170/9625982", GERMAN),
        ("UK,07400 123456", BRITISH),
        ("GB\t07400123456", BRITISH),
        ("US | (415) 555-2671", AMERICAN),
        ("country,phone\nUS,4155552671\n", AMERICAN),
        ("country,phone\nUSA,14155552671\n", AMERICAN),
        ("Spain;612 34 56 78", SPANISH),
        ("country;phone\nES;612345678\n", SPANISH),
        ("country;phone\nEspaña;612345678\n", SPANISH),
        ('"DE";"0170 9625982"', GERMAN),
        ("0170 9625982,DE", GERMAN),
        ("INSERT INTO u VALUES (1,'DE','01709625982');", GERMAN),
    ],
)  # fmt: skip
def test_national_number_beside_country_gets_calling_code(text: str, number: str) -> None:
    assert number in look_up_keys(text)


@pytest.mark.parametrize(
    "text",
    [
        "DE | 0170 96259", "phone: 20240513", "Tel. 110", "phone: 2024-05-13 18:22:31",
        "Deutschland 2024", "DE;12.05.2024;0,17",
        "DE,0170.96", "order DE 4512345678", "Version DE 01.70.96", "phone: 99999999999999",
        "IT, 192.168.100.200",
        "tel 138-0013-80", "country,phone\nDE,\nUS,n/a\n", "phones: 01709625982",
        "a,DE,b\nx,01709625982",
        "mobile: 13800138", "country,phone\nXX,01709625982\n",
    ],
)  # fmt: skip
def test_text_that_is_not_a_number_of_that_country_is_ignored(text: str) -> None:
    assert look_up_keys(text) == set()


def test_national_number_matches_its_customer(context: Context) -> None:
    enrol(context, "bank", [customer(1, phone=GERMAN), customer(2, phone=f"+{CARD_LIKE}")])
    text = f"country;phone\nDE;0170 9625982\n\nphone: {CARD_LIKE}\n"
    assert [match[:2] for match in matches(matcher_of(context), text)] == [("phone", "plain")] * 2


def test_table_of_national_numbers_is_read_row_by_row() -> None:
    rng = random.Random(1)
    numbers = [f"+49{number[2:]}" for number in mobiles("49", 200)]
    rows = [f"{rng.randrange(999)},DE,0{number[3:]}" for number in numbers]
    assert look_up_keys("id,country,phone\n" + "\n".join(rows)) >= set(numbers)
    assert look_up_keys("\n".join(rows)) >= set(numbers)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("SĐT: 0912.345.678", "+84912345678"),
        ("sđt 0912 345 678", "+84912345678"),
        ("số điện thoại: 84912345678", "+84912345678"),
        ("手機：0912-345-678", "+886912345678"),
        ("行動電話 0912 345 678", "+886912345678"),
        ("電話：6123 4567", "+85261234567"),
        ("Тел.: 8-916-123-45-67", "+79161234567"),
        ("моб. телефон 067 123 45 67", "+380671234567"),
        ("โทร 081-234-5678", "+66812345678"),
        ("携帯電話: 090-1234-5678", "+819012345678"),
        ("휴대폰 010-2345-6789", "+821023456789"),
        ("No HP : 0812-3456-7890", "+6281234567890"),
        ("Handynummer: 0170 9625982", "+491709625982"),
        ("Mã,SĐT\nDH1,0912345678\n", "+84912345678"),
        ("氏名,携帯電話\n山田,090-1234-5678\n", "+819012345678"),
    ],
)
def test_label_language_decides_country_of_national_number(text: str, number: str) -> None:
    assert number in look_up_keys(text)


@pytest.mark.parametrize(
    "text",
    ["手机：0912-345-678", "SĐT: 1234.567.890", "đơn hàng 0912345678", "concept 0532 123 45 67"],
)
def test_label_in_wrong_language_sets_no_country(
    text: str,
) -> None:
    assert look_up_keys(text) == set()
