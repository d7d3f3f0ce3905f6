"""A mistyped value is asked for again and never "no record", on the page and in the API."""

import random
import re

import pytest

from alerts.cases.lookups.lookup import index_tags
from alerts.cases.lookups.typed_value import RECOGNISED, read_typed
from alerts.records import Exposure
from alerts.store import DocumentFilter
from tests.alerts.browser import ASKED, PHONE
from tests.alerts.builders import finding, fold_all, handle
from tests.alerts.test_person import record
from tests.factories import match
from ullage.identifiers.card import luhn
from ullage.identifiers.resident_id import check_character
from ullage.security.masking import Secret

SLIPS = ("dropped", "doubled", "swapped", "O for 0")
EACH = 25
HOSTS = (
    "qq.com",
    "163.com",
    "126.com",
    "foxmail.com",
    "139.com",
    "sina.com",
    "gmail.com",
    "hotmail.com",
    "outlook.com",
)


def slip(chance: random.Random, text: str, how: str, begin: int) -> str:
    """Return `text` with one slip at or behind `begin`; unchanged where there is no such slip."""
    if how == "O for 0":
        places = [n for n in range(begin, len(text)) if text[n] in "0o"]
        n = chance.choice(places) if places else begin
        look_alike = {"0": "O", "o": "0"}.get(text[n], text[n])
        return text[:n] + look_alike + text[n + 1 :]
    n = chance.randrange(begin, len(text) - 1)
    return {
        "dropped": text[:n] + text[n + 1 :],
        "doubled": text[:n] + text[n] + text[n:],
        "swapped": text[:n] + text[n + 1] + text[n] + text[n + 2 :],
    }[how]


def make(chance: random.Random, kind: str) -> str:
    """Return a valid, made-up value."""
    if kind == "phone":
        prefix = chance.choice(["", "", "+86", "0086", "86"])
        return f"{prefix}1{chance.choice('3456789')}{chance.randrange(10**9):09d}"
    if kind == "resident_id":
        region = chance.choice(["110105", "350211", "440301", "620102", "650102"])
        first = (
            f"{region}{chance.randrange(1950, 2005)}{chance.randrange(1, 13):02d}"
            f"{chance.randrange(1, 29):02d}"
        )
        first += f"{chance.randrange(1000):03d}"
        return first + check_character(first)
    if kind == "card":
        first, length = chance.choice(
            [("6222", 19), ("6217", 19), ("6222", 16), ("4111", 16), ("5200", 16), ("3530", 16)]
        )
        body = first + f"{chance.randrange(10**15):015d}"[: length - 5]
        return next(body + str(n) for n in range(10) if luhn(body + str(n)))
    return (
        f"{chance.choice(['li', 'wang.wei', 'zhang0'])}{chance.randrange(1000)}@"
        f"{chance.choice(HOSTS)}"
    )


def is_possible(kind: str, text: str) -> bool:
    """Return whether `text` could be another person's value.

    That is: another phone number, or a value with a valid check digit.
    """
    if kind == "phone":
        return re.fullmatch(r"(\+86|0086|86|0)?1[3-9][0-9]{9}", text) is not None
    if kind == "resident_id":
        return len(text) == 18 and text[:17].isdigit() and check_character(text[:17]) == text[17]
    if kind == "card":
        return len(text) in (16, 19) and text.isdigit() and luhn(text)
    return text.rpartition("@")[2] in HOSTS


def near_misses() -> list[tuple[str, str, str]]:
    chance, misses = random.Random(42), []
    for kind in RECOGNISED:
        for how in SLIPS:
            typed_values = set()
            while len(typed_values) < EACH:
                value = make(chance, kind)
                begin = value.index("@") if kind == "email" else 0
                typed = slip(chance, value, how, begin)
                if typed != value and not is_possible(kind, typed):
                    typed_values.add(typed)
            misses += [(kind, how, typed) for typed in sorted(typed_values)]
    return misses


def test_near_misses_are_not_looked_up():
    misses = near_misses()
    assert len(misses) == 400
    wrong = [
        (kind, how, [name for name, _ in read_typed(Secret(typed)).readings], typed)
        for kind, how, typed in misses
    ]
    assert [miss for miss in wrong if miss[2]] == []


def test_near_miss_is_questioned_on_the_page_and_in_the_api(browser, context, monkeypatch):
    misses = random.Random(1).sample(near_misses(), 12)
    for _, _, typed in misses:
        page = browser.post("/exposed", {**ASKED, "value": typed}).text
        api = browser.ask("POST", "/v1/exposed", json={**ASKED, "value": typed}).json()
        assert "No record" not in page
        assert "Nothing was looked up: please ask again" in page
        assert (api["answer"], api["kinds"], bool(api["check"]["zh"])) == ("refused", [], True)
        assert typed not in page


@pytest.mark.parametrize(
    "typed", ["O15438001380", "INC-ABCDEFGHIJ", "C0000001", "12345678", "github666", "E12345678"]
)
def test_values_of_other_kinds_are_not_guessed(typed):
    assert read_typed(Secret(typed)).readings == ()


@pytest.mark.parametrize(
    "typed", ["O15438001380", "l3800138000", "INC-ABCDEFGHIJ", "inc-abcdefghij", "C0000001"]
)
def test_number_or_reference_is_not_a_wechat_id(typed):
    assert read_typed(Secret(typed), "wechat").readings == ()


@pytest.mark.parametrize(
    ("kind", "typed"),
    [
        *(
            ("qq", "12345678"),
            ("wechat", "github666"),
            ("wechat", "z13800138000"),
            ("passport", "E12345678"),
        ),
        *(
            ("resident_id", "110105491231002"),
            ("card", "62000000000000003"),
            ("email", "li@gmial.com"),
            ("phone", PHONE),
        ),
    ],
)
def test_chosen_kind_is_the_only_one_read(kind, typed):
    typed = (
        next(typed[:-1] + str(n) for n in range(10) if luhn(typed[:-1] + str(n)))
        if kind == "card"
        else typed
    )
    assert [name for name, _ in read_typed(Secret(typed), kind).readings] == [kind]


@pytest.mark.parametrize(
    "typed", [PHONE, "+86 138-0013-8000", "+14155552671", "6200 0000 0000 0005", "378282246310005"]
)
def test_valid_values_are_read(typed):
    assert read_typed(Secret(typed)).problem is None


def test_unknown_kind_or_pseudonym_is_rejected(browser):
    assert browser.post("/exposed", {**ASKED, "kind": "address"}).status_code == 400
    assert browser.post("/exposed", {**ASKED, "pseudonym": "Li Wei"}).status_code == 400
    assert browser.ask("POST", "/v1/exposed", json={**ASKED, "pseudonym": "zz"}).status_code == 400


def leak(store, clock, context, subject: str, kind: str, value: str) -> None:
    """Store an exposure of `subject` by one value."""
    tag = index_tags(context.keys.read("bank/index-1.key"), "bank", kind, Secret(value))[0]
    leak_finding = finding(f"f{kind}", [f"{kind}{n}" for n in range(10)])
    leak_match = match(kind=kind, subject=subject, index_tag=tag)
    fold_all(
        store, clock, [leak_finding.model_copy(update={"matches": (leak_match,), "alarm": False})]
    )
    store.refresh()


def ask(browser, **more):
    page = browser.post("/exposed", {**ASKED, **more}).text
    return page, browser.ask("POST", "/v1/exposed", json={**ASKED, **more}).json()


ID = "11010519491231002X"
BOTH = "This number: not found. This customer: affected."


def test_answer_for_a_pseudonym_is_about_the_customer(store, browser, clock, context):
    leak(store, clock, context, handle("a"), "resident_id", ID)
    page, api = ask(browser)
    assert (api["answer"], api["about"]) == ("no_record", "value")
    assert "This is about this number or address alone" in page
    page, api = ask(browser, pseudonym=handle("a").upper())
    assert (api["answer"], api["about"], api["value_found"]) == ("exposed", "person", False)
    assert BOTH in page
    page, api = ask(browser, pseudonym=handle("b"))
    assert (api["answer"], api["about"]) == ("no_record", "person")
    assert "No record of this value or of this customer" in page
    page, api = ask(browser, value=ID)
    assert (api["answer"], api["about"], api["value_found"]) == ("exposed", "person", True)
    assert BOTH not in page


def test_registry_makes_the_answer_about_the_customer(store, browser, clock, context):
    record(context, PHONE, subject=handle("a"))
    assert ask(browser)[1]["answer"] == "recorded"
    leak(store, clock, context, handle("a"), "resident_id", ID)
    page, api = ask(browser)
    assert (api["answer"], api["about"], api["value_found"], api["listed_on"]) == (
        "exposed",
        "person",
        False,
        None,
    )
    assert BOTH in page


def test_owners_of_a_shared_number_learn_nothing_of_each_other(store, browser, clock, context):
    leak(store, clock, context, handle("a"), "phone", PHONE)
    for exposure in list(store.scroll(Exposure, DocumentFilter())):
        second_owner = exposure.model_copy(update={"id": f"{exposure.id}x", "subject": handle("b")})
        store.put([second_owner])
    leak(store, clock, context, handle("b"), "resident_id", ID)
    assert len(ask(browser)[1]["found"]) == 1
