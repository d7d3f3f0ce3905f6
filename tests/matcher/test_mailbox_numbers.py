"""A customer who is enrolled with a mail address at QQ is found by the bare QQ number, and number
and address are one value.
"""

import pytest

from tests.matcher.bank import customer, enrol, matcher_of
from tests.matcher.test_match import matches
from ullage.settings import Context

NUMBER = "1234567890"
MAIL = f"{NUMBER}@qq.com"


@pytest.mark.parametrize(
    "text", [f"QQ: {NUMBER}", f"qq号：{NUMBER}", f"昵称,QQ号,备注\n张三,{NUMBER},老客户\n"]
)
def test_bare_number_finds_owner_of_mailbox(context: Context, text: str) -> None:
    enrol(context, "bank", [customer(1, email=MAIL)])
    assert matches(matcher_of(context), text) == [("qq", "plain", 60, ("QQ",))]


@pytest.mark.parametrize(
    "text", [f"order {NUMBER}", f"QQ: {NUMBER[:-1]}1", f"QQ群: {NUMBER}", f"微信: {NUMBER}"]
)
def test_number_without_label_finds_nobody(context: Context, text: str) -> None:
    enrol(context, "bank", [customer(1, email=MAIL)])
    assert matches(matcher_of(context), text) == []


def test_address_is_reported_one_time(context: Context) -> None:
    enrol(context, "bank", [customer(1, email=MAIL)])
    assert matches(matcher_of(context), MAIL) == [("email", "plain", 85, ("EMAIL",))]


def test_number_and_its_mailbox_are_one_field(context: Context) -> None:
    enrol(context, "bank", [customer(1, email=MAIL)])
    results = matches(matcher_of(context), f"QQ: {NUMBER}, mail {MAIL}\n")
    assert {own_fields for *_, own_fields in results} == {("EMAIL",)}


def test_number_corroborates_another_value(context: Context) -> None:
    enrol(context, "bank", [customer(1, email=MAIL)])
    results = matches(matcher_of(context), f"{customer(1)['phone']}, QQ: {NUMBER}\n")
    assert {own_fields for *_, own_fields in results} == {("PHONE", "QQ")}
