"""Masked values: found as the plain search finds them, and a phone and a resident ID of one row
tell who it is about.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.columns.batch import Batch
from matcher.detect.marked_values import find_masked
from matcher.lexicon import Lexicon
from matcher.match import corroborate as corroborated
from matcher.match.pipeline import Matcher
from matcher.text import fold
from tests.matcher.bank import customer, enrol, matcher_of
from tests.matcher.conftest import BANK
from tests.matcher.test_match import find
from ullage.identifiers import masked_value
from ullage.identifiers.resident_id import check_character
from ullage.settings import Context

ONE, TWO = BANK[1], BANK[2]
PRESCAN = Lexicon({}).prescan
MASKS = (
    "138****8000",
    "139xxxx8001",
    "138××××8000",
    "4403**********1234",
    "440301********123x",
    "440301●●●●●●●●123X",
)
PIECES = (*MASKS, *"*xX●×1a张,\n ", "138", "****", "8000", "440301", "********", "1234")


def hidden(value: str, head: int, sign: str = "*") -> str:
    return value[:head] + sign * (len(value) - head - 4) + value[-4:]


def masks_of(person: dict[str, str], sign: str = "*", head: int = 6) -> dict[str, str]:
    return {
        "phone": hidden(person["phone"], 3, sign),
        "id": hidden(person["resident_id"], head, sign),
        "name": person["name"],
        "surname": f"{person['name'][0]}*",
    }


def agreeing(matcher: Matcher, body: str) -> tuple[int, int]:
    """Return how many customers were found, by chance or not, and how many match in two fields."""
    findings = find(matcher, body)
    corroborated = {m.subject for f in findings for m in f.matches if len(m.own_fields) >= 2}
    return findings[0].total_subjects if findings else 0, len(corroborated)


@given(
    st.lists(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), min_size=1, max_size=3)
)
def test_masks_agree_with_the_reference_search(pieces: list[str]) -> None:
    texts = [fold(text).text for text in pieces]
    batch = Batch.join([text.encode() for text in texts])
    segments = find_masked(batch, PRESCAN.find(batch.data).masked)
    ours = {
        (s.kind, start, end, normal[:length].tobytes().decode(), s.weak)
        for s in segments
        for start, end, normal, length in zip(
            s.start.tolist(), s.end.tolist(), s.normal, s.length.tolist(), strict=True
        )
    }
    plain = {
        (
            c.kind,
            begin + len(text[: c.start].encode()),
            begin + len(text[: c.end].encode()),
            c.normal,
            c.weak,
        )
        for text, begin in zip(texts, batch.starts.tolist(), strict=True)
        for c in masked_value.find(text)
    }
    assert ours == plain


@pytest.mark.parametrize(
    "row",
    [
        *(
            "{surname} {phone} {id}", "{id},{phone},{surname}", "{phone}----{id}----{name}",
            "{name}|{id}|{phone}",
            "{phone}\t{id}",
        ),
        *("姓名:{surname} 手机:{phone} 身份证:{id}", "{name}{phone}，{id}",
        '{{"name":"{name}","phone":"{phone}","id":"{id}"}}'),
        *("姓名：{surname}\n手机：{phone}\n身份证：{id}\n",
        "INSERT INTO t VALUES ('{surname}','{phone}','{id}');"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("sign", "head"), [("*", 6), ("x", 6), ("＊", 4), ("●", 4)])
def test_row_of_masks_counts_as_one_customer_in_two_fields(
    bank: Context, row: str, sign: str, head: int
) -> None:
    body = "\n".join(row.format(**masks_of(person, sign, head)) for person in (ONE, TWO))
    [finding] = find(matcher_of(bank), body)
    assert (finding.total_subjects, finding.verified) == (2, 2)
    fields = ("ID", "NAME", "PHONE") if "{name}" in row else ("ID", "PHONE")
    assert {(m.kind, m.form, m.own_fields) for m in finding.matches} == {
        (k, "masked", fields) for k in ("phone", "resident_id")
    }
    assert (finding.statistics.rows, finding.statistics.candidates) == (2, {"masked": 4})
    assert [(g.rows, g.matched, g.corroborated) for g in finding.statistics.groups] == [(2, 2, 2)]
    assert {"ID", "PHONE"} <= {*finding.statistics.groups[0].fields}


def test_masks_of_two_people_or_rows_match_nobody(bank: Context) -> None:
    first, second, matcher = masks_of(ONE), masks_of(TWO), matcher_of(bank)
    for body in (
        f"{first['phone']},{second['id']}",
        f"{first['name']},{first['id']}",
        f"{first['name']},{first['phone']}",
        f"{first['phone']}\n{first['id']}",
        f"{first['id']},{second['phone']}\n{second['id']},{first['phone']}",
        "138****8000,110101********1234",
    ):
        assert find(matcher, body) == [], body


def test_masks_match_with_and_without_another_customer_in_the_row(bank: Context) -> None:
    first, second = masks_of(ONE), masks_of(TWO)
    assert agreeing(matcher_of(bank), f"{ONE['email']},{second['phone']},{second['id']}") == (2, 1)
    assert agreeing(matcher_of(bank), f"{ONE['email']},{first['phone']},{second['id']}") == (1, 1)
    assert agreeing(
        matcher_of(bank), f"{first['phone']},{second['phone']},{first['id']},{second['id']}"
    ) == (
        2,
        2,
    )


def test_list_without_resident_ids_matches_no_masks(context: Context) -> None:
    enrol(context, "bank", [{**ONE, "resident_id": ""}])
    assert find(matcher_of(context), "{phone},{id}".format(**masks_of(ONE))) == []


@pytest.mark.parametrize("head", [4, 6])
def test_shared_mask_is_resolved_by_the_second_mask(
    context: Context, monkeypatch: pytest.MonkeyPatch, head: int
) -> None:
    monkeypatch.setattr(corroborated, "MOST_ROWS", 3)
    ids = [
        first17 + check_character(first17)
        for first17 in (f"11010518990101{order:03d}" for order in range(10))
    ]
    people = [
        customer(n, phone=f"154{n:04d}{n // 10:04d}", resident_id=ids[n % 10]) for n in range(300)
    ]
    enrol(context, "bank", people, "none")
    rows = ["{phone},{id}".format(**masks_of(person, head=head)) for person in people]
    assert agreeing(matcher_of(context), "\n".join(rows)) == (300, 300)


def test_mask_in_prose_is_found(bank: Context) -> None:
    body = "（中奖名单）：{surname}，{phone}，{id}。".format(**masks_of(ONE))
    assert agreeing(matcher_of(bank), body) == (1, 1)


def test_line_with_very_many_masks_matches_nobody(bank: Context) -> None:
    masks = masks_of(ONE)
    row = "{phone},{id},".format(**masks)
    assert agreeing(matcher_of(bank), row * 100) == (1, 1)
    assert find(matcher_of(bank), row * 20_000) == []
