"""The labelled cases of the recall table: every kind in every disguise, a customer each, so that
a subject names its case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from harness.bench.corpus.disguise import IN_TEXT, LAST_X, MARKUP, add_label, disguises
from harness.bench.corpus.people import Person
from ullage.identifiers.resident_id import check_character

FIRST = 1_000_000
"""Numbers of the customers of cases."""
ORGANISATION = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""GB 32100: no I, O, S, V, Z."""


def iban(person: Person) -> str:
    """Return a British IBAN of a fictitious bank with a valid ISO 13616 check."""
    body = f"TEST{person.number % 10**6:06d}{person.number * 7919 % 10**8:08d}"
    number = "".join(str(int(c, 36)) for c in body + "GB00")
    return f"GB{98 - int(number) % 97:02d}{body}"


def uscc(person: Person) -> str:
    """Return a company's number with both checks of GB 32100 and GB 11714.

    Such low organisation codes were never assigned.
    """
    code = f"0000{person.number % 10_000:04d}"
    check = -sum(int(c) * w for c, w in zip(code, (3, 7, 9, 10, 5, 8, 4, 2), strict=True)) % 11
    body = f"91110000{code}{'0123456789X'[check]}"
    return (
        body
        + ORGANISATION[-sum(ORGANISATION.index(c) * pow(3, n, 31) for n, c in enumerate(body)) % 31]
    )


VALUES: dict[str, Callable[[Person], str]] = {
    "phone": lambda p: p.phone,
    "resident_id": lambda p: p.resident_id,
    "card": lambda p: p.card,
    "email": lambda p: p.email,
    "iban": iban,
    "uscc": uscc,
    "passport": lambda p: f"E000{p.number % 100_000:05d}",
    "home_return_permit": lambda p: f"H000{p.number % 100_000:05d}",
    "qq": lambda p: f"100{p.number % 10**8:08d}",
    "wechat": lambda p: f"wxid_test{p.number}x",
}


@dataclass(frozen=True)
class Case:
    """One customer with one enrolled value, and what stands in a file for it."""

    kind: str
    disguise: str
    reference: str
    enrolled: str
    text: str
    markup: bool = False


def cases(people_a_case: int = 1) -> list[Case]:
    """Return every case, each with customers of its own."""
    numbers = count(FIRST)
    planted = [
        case for _ in range(people_a_case) for kind in VALUES for case in _make_cases(kind, numbers)
    ]
    return planted + [case for _ in range(people_a_case) for case in _special(numbers)]


def _make_cases(kind: str, numbers: Iterator[int]) -> Iterator[Case]:
    for ways, markup in ((IN_TEXT, False), (MARKUP, True)):
        for name in ways:
            person = Person(next(numbers))
            while name in LAST_X and kind == "resident_id" and not person.resident_id.endswith("X"):
                person = Person(next(numbers))
            value = VALUES[kind](person)
            for _, text in disguises(kind, value, {name: ways[name]}):
                if text != value or name == "plain":
                    yield Case(kind, name, person.reference, value, text, markup)


def _special(numbers: Iterator[int]) -> Iterator[Case]:
    """Yield cases whose values are enrolled in another form than the file has."""
    for kind, name, enrolled, text in _pairs(numbers):
        yield Case(kind, name, Person(next(numbers)).reference, enrolled, text)


def _pairs(numbers: Iterator[int]) -> Iterator[tuple[str, str, str, str]]:
    """(kind, disguise, enrolled, text)."""
    person = Person(next(numbers))
    old = f"110105 {person.number % 100:02d} 0{1 + person.number % 9} 17 998".replace(" ", "")
    first17 = f"{old[:6]}18{old[6:]}"
    yield "resident_id", "fifteen digits", first17 + check_character(first17), old
    card = Person(next(numbers)).card
    wrong = card[:-1] + str((int(card[-1]) + 1) % 10)
    yield "card", "bad check, labelled", wrong, f"卡号：{wrong}"
    mail = Person(next(numbers)).email
    yield "email", "enrolled with a tag, written without", mail.replace("@", "+bank@"), mail
    mail = Person(next(numbers)).email.replace("@", "+bank@")
    yield "email", "enrolled with a tag, written with it", mail, mail
    unicode, ascii_ = "客服@例子.测试", "@xn--fsqu00a.xn--0zwm56d"
    yield (
        "email",
        "enrolled in Unicode, written in ASCII",
        f"{next(numbers)}{unicode[2:]}",
        f"{next(numbers) - 1}{ascii_}",
    )
    yield (
        "email",
        "enrolled in ASCII, written in Unicode",
        f"{next(numbers)}{ascii_}",
        f"{next(numbers) - 1}{unicode[2:]}",
    )
    permit = VALUES["home_return_permit"](Person(next(numbers)))
    yield (
        "home_return_permit",
        "with renewals",
        permit,
        add_label("home_return_permit", f"{permit}01"),
    )
    for sign in "-.":
        last = f"{200 + next(numbers) % 100}"
        yield (
            "phone",
            f"foreign, pairs, {sign}",
            f"+493023125{last}",
            sign.join(("+49", "30", "23", "12", f"5{last[0]}", last[1:])),
        )
    # of the ranges that regulators keep for fiction
    first, second, third = (next(numbers) % 100 for _ in range(3))
    yield "phone", "foreign, German", f"+493023125{first:03d}", f"+49 30 23125{first:03d}"
    yield "phone", "foreign, plain", f"+493023125{second:03d}", f"+493023125{second:03d}"
    yield "phone", "foreign, American", f"+120255501{third:02d}", f"+1 202-555-01{third:02d}"


def lists(made: Sequence[Case]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Header and rows of the customer list that the cases need."""
    header = ("customer_ref", *VALUES)
    return header, [
        [c.reference, *(c.enrolled if c.kind == kind else "" for kind in VALUES)] for c in made
    ]
