"""State one source in the demo from the victims of fraud alone, without any post.

Three recipients have data of the bank's customers, and callers defrauded 60 of these: 54 come from
one partner's list. Who has which customers and who was called are the same each time.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from deploy.demo.drive import PERSON, TENANT, Ullage
from deploy.demo.people import Person

SEED = 20261125
PARTNER = "Demo Loan Partner"
"""The partner that lost its copy."""
RECEIVED = (
    (PARTNER, "partner", "NAME PHONE LOAN", 200),
    ("Demo Courier", "partner", "NAME PHONE ADDRESS", 400),
    ("Demo SMS Gateway", "supplier", "PHONE", 700),
)
"""Who received customers: name, kind, fields, and how many."""
FROM_PARTNER, FROM_ANYWHERE = 54, 6
"""Numbers of victims: of the partner's customers, and of all others."""
PURPOSE = "who lost the data of these victims"


def state_source(ullage: Ullage, customers: Sequence[Person], today: date) -> dict[str, Any]:
    """Enrol transfers and import fraud cases, and return what `ullage source` states.

    Both files are deleted afterwards. The customer list must be loaded, and the incident store must
    exist.
    """
    random_ = random.Random(SEED)  # noqa: S311  reproducible, not secret
    references = [person.reference for person in customers]
    lists = [random_.sample(references, size) for *_, size in RECEIVED]
    other_references = sorted(set(references) - set(lists[0]))
    victims = [*lists[0][:FROM_PARTNER], *random_.sample(other_references, FROM_ANYWHERE)]
    random_.shuffle(victims)
    folder = ullage.data.parent
    transfers, cases = folder / "transfers.csv", folder / "fraud-cases.csv"
    given_on = (today - timedelta(days=90)).isoformat()
    _write_rows(
        transfers,
        ("customer_ref", "recipient", "kind", "fields", "from", "to"),
        (
            (reference, name, kind, fields, given_on, given_on)
            for (name, kind, fields, _), received in zip(RECEIVED, lists, strict=True)
            for reference in received
        ),
    )
    _write_rows(
        cases,
        ("customer_ref", "first_contact", "knew"),
        (
            (reference, (today - timedelta(days=1 + number % 30)).isoformat(), "NAME LOAN")
            for number, reference in enumerate(victims)
        ),
    )
    with ThreadPoolExecutor() as pool:
        loads = [
            pool.submit(ullage, "watchlist", "transfers", str(transfers), "--tenant", TENANT),
            pool.submit(ullage, "fraud-cases", "import", str(cases), "--tenant", TENANT),
        ]
    for load in loads:
        load.result()
    transfers.unlink()
    cases.unlink()
    statement: dict[str, Any] = json.loads(ullage(*_list_words(), "--json"))
    return statement


def _list_words() -> tuple[str, ...]:
    return ("source", "--tenant", TENANT, "--purpose", PURPOSE, "--names", "--by", PERSON)


def _write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def faults(statement: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line unless a statement names the partner that lost its copy, or indicates it."""
    first = next(iter(statement["candidates"]), {"name": "nobody"})
    stated, count = (statement["verdict"], first["name"]), statement["victims"]
    if stated not in (("named", PARTNER), ("indication", PARTNER)):
        yield f"differs: {count} victims came from {PARTNER}; stated was {' '.join(stated)}"


def describe(statement: Mapping[str, Any], data: Path) -> tuple[str, str]:
    """Return a statement in two lines: what it says, and the command that shows it whole.

    The candidate is called by its name, which the demo permits (`--names`).
    """
    first, count = statement["candidates"][0], statement["victims"]
    stated = (
        f"from {count} victims of fraud alone, without any post: {statement['verdict']}:"
        f" {first['id']} ({first['name']}), probability {first['probability']:.3f}"
    )
    words = [f'"{word}"' if " " in word else word for word in _list_words()]
    return stated, f"`ullage --data {data} {' '.join(words)}`"
