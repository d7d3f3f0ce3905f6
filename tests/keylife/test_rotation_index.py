"""The index key turns over while posts come: no person and no seller is lost, and the old key
goes when nothing needs it.
"""

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alerts.cases.incident_list import find_history, find_tokens
from alerts.cases.lookups.lookup import Lookup, LookupRequest
from alerts.records import CLASSES, Exposure, Sighting
from alerts.service.upkeep import expire
from alerts.store import DocumentFilter, IncidentStore, open_configured_store
from matcher.cli.rotation import KeyRotation
from tests.alerts.builders import fold_all
from tests.factories import clocks_at
from tests.keylife.test_turning import run
from tests.matcher.bank import customer, enrol, phone
from tests.matcher.test_stage import MatchProcess, match_of
from ullage import clock as time_
from ullage.errors import ConfigError
from ullage.lookup.list_index import EnrolledLists
from ullage.security import keys
from ullage.security.keys import KeyStore, compute_check_value
from ullage.security.masking import Secret
from ullage.settings import Context

BANK = [customer(n) for n in range(10)]
SELLERS = ("darkseller", "老张", "Mr Lee")
OPEN, RETIRE, EARLY = (
    ("rotate-key", "--tenant", "bank", "--index", *more)
    for more in ((), ("--retire",), ("--retire", "--early"))
)
KEPT = 180.0


class Desk:
    """Match, alert and the desk over one data folder, all in this process and at a held time."""

    def __init__(self, match: MatchProcess, store: IncidentStore, clock) -> None:
        self.match, self.store, self.clock, self.context = match, store, clock, match.context
        lists = EnrolledLists(self.context.data, self.context.keys)
        self.lookup = Lookup(
            store,
            self.context.keys,
            ("bank",),
            self.context.clock,
            self.context.trail("search"),
            lists,
        )
        self.people, self.sellers = Counter[str](), Counter[str]()
        self.index_keys: set[str] = set()

    def work(self, number: int | None = None, seller: str = "") -> None:
        """Collect, match and group a post about a customer by a seller."""
        number = self.people.total() % len(BANK) if number is None else number
        seller = seller or SELLERS[self.people.total() % len(SELLERS)]
        text = f"{BANK[number]['name']}----{phone(number)}----{self.people.total()}"
        self.match.put(text, post_id=f"p{self.people.total()}", author=seller)
        [finding] = self.match.drain()
        fold_all(self.store, self.clock, [finding])
        self.people[phone(number)] += 1
        self.sellers[seller] += 1
        self.index_keys |= {name for name in finding.key_checks if "/index-" in name}

    def count_found(self, value: str) -> int:
        """Count the posts in which search finds the person on the phone."""
        answer = self.lookup.ask(LookupRequest(Secret(value), "Li Wei", "fraud_case", "C-1"))
        return sum(len(hit.exposure.sightings) for hit in answer.exposures)

    def count_sold(self, seller: str) -> int:
        """Count the posts that search finds of a seller."""
        tokens = find_tokens(self.store, self.context.keys, ["bank"], Secret(seller))
        history = find_history(self.store, tokens, "bank") if tokens else None
        return history.sightings if history else 0

    def everything_is_found(self) -> None:
        self.store.refresh(Exposure, Sighting)
        assert {value: self.count_found(value) for value in self.people} == dict(self.people)
        assert {seller: self.count_sold(seller) for seller in self.sellers} == dict(self.sellers)

    def after(self, days: float) -> Context:
        """Return the data folder's context so many days from now; key files have real times."""
        return Context(self.context.data, time_.Clock(wall=lambda: time.time() + days * 86400))

    def retire(self, days: float = 0.0, *, early: bool = False) -> list[str]:
        self._forget_clocks()  # those of the held time know nothing of the real one
        try:
            return list(KeyRotation(self.after(days), "bank", "index").retire(early=early))
        finally:
            self._forget_clocks()

    def _forget_clocks(self) -> None:
        """Begin a new record of the clocks, as a person does who accepts that the old one is
        lost.
        """
        self.context.inventory.strike("clock/record.json")
        shutil.rmtree(self.context.data / "clock", ignore_errors=True)


@pytest.fixture
def desk(context: Context, clock) -> Iterator[Desk]:
    enrol(context, "bank", BANK, recorded=True)
    with match_of(context) as running, closing(open_configured_store(context)) as store:
        yield Desk(running, store, clock)


def test_no_person_check_or_seller_is_lost_during_index_key_rotation(desk: Desk) -> None:
    """Posts come and questions are asked in every part of each step; match notices the new key
    by itself.
    """
    data = desk.context.data
    for _ in range(len(BANK)):
        desk.work()
    desk.everything_is_found()
    run(data, OPEN, desk.work)
    for _ in range(len(BANK)):
        desk.work()
        desk.everything_is_found()
    run(data, ("load", "-", "--tenant", "bank", "--enrolled"), desk.work)
    desk.work()
    desk.everything_is_found()
    assert desk.index_keys == {"bank/index-1.key", "bank/index-2.key"}
    assert desk.match.reasons() == []


def test_old_index_key_is_destroyed_when_its_tags_are_gone(desk: Desk) -> None:
    desk.work(0)
    old, rights = desk.context.keys.read("bank/index-1.key"), desk.context
    list(KeyRotation(rights, "bank", "index").open())
    desk.work(1)
    enrol(desk.context, "bank", BANK, recorded=True)
    with pytest.raises(
        ConfigError,
        match=r"values hashed with the old index key of bank are kept until 20\d\d-.* UTC",
    ):
        desk.retire(KEPT - 1)
    assert keys.list_generations(rights.keys, "bank", "index") == [1, 2]
    expire(
        desk.store,
        rights.settings.store,
        clocks_at(datetime.fromtimestamp(desk.clock.seconds, UTC) + timedelta(days=KEPT + 1)),
    )
    desk.store.refresh(*CLASSES)
    assert desk.store.count(Exposure, DocumentFilter()) == 0
    assert desk.retire(KEPT + 1) == ["bank: index key generation 1 is destroyed"]
    desk.work(0)
    desk.store.refresh(Exposure)
    assert (desk.count_found(phone(0)), keys.list_generations(rights.keys, "bank", "index")) == (
        1,
        [2],
    )
    written = {path: path.read_bytes() for path in rights.data.rglob("*") if path.is_file()}
    assert [
        path for path, body in written.items() if old in body or old.hex().encode() in body
    ] == []


def test_data_of_a_key_retired_early_is_found_by_pseudonym(
    desk: Desk,
) -> None:
    """The drill: open, retire early.

    Who posts or stands in a post again is found again, a seller with the whole history.
    """
    for number, seller in ((0, "darkseller"), (1, "老张"), (2, "Mr Lee")):
        desk.work(number, seller)
    run(desk.context.data, OPEN)
    enrol(desk.context, "bank", BANK, recorded=True)
    desk.work(0, "darkseller")
    run(desk.context.data, EARLY)
    desk.store.refresh(Exposure, Sighting)
    # by the registry
    assert [desk.count_found(phone(number)) for number in range(3)] == [desk.people[phone(0)], 1, 1]
    assert [desk.count_sold(seller) for seller in SELLERS] == [2, 0, 0]
    subjects = {
        exposure.subject
        for exposure in desk.store.scroll(Exposure, DocumentFilter({"tenant": ("bank",)}))
    }
    assert len(subjects) == 3  # which incidents, letters and `POST /v1/exposure` go by
    desk.work(1, "老张")
    desk.store.refresh(Exposure, Sighting)
    assert (desk.count_found(phone(1)) > 0, desk.count_sold("老张")) == (True, 2)


def test_stolen_index_key_reveals_nothing_tagged_later(desk: Desk, tmp_path: Path) -> None:
    stolen = KeyStore(tmp_path / "stolen")
    # tried as the key of the new epoch
    stolen.write("bank/index-2.key", desk.context.keys.read("bank/index-1.key"))
    list(KeyRotation(desk.context, "bank", "index").open())
    desk.work(4)
    desk.store.refresh(Exposure)
    thief = Lookup(desk.store, stolen, ("bank",), desk.context.clock, desk.context.trail("search"))
    request = LookupRequest(Secret(phone(4)), "nobody", "fraud_case", "C-1")
    assert (thief.ask(request).exposures, desk.count_found(phone(4))) == ((), 1)
    with pytest.raises(
        ConfigError, match="is not the one that the incident store was written with"
    ):
        thief.check_keys()
    assert compute_check_value(
        stolen.read("bank/index-2.key"), "bank/index-2.key"
    ) != compute_check_value(desk.context.keys.read("bank/index-2.key"), "bank/index-2.key")


def test_registry_keeps_answering_and_keeps_its_key_during_rotation(
    desk: Desk,
) -> None:
    def ask_recorded(number: int) -> bool | None:
        return desk.lookup.ask(
            LookupRequest(Secret(phone(number)), "Li Wei", "fraud_case", "C-1")
        ).recorded

    assert (ask_recorded(3), ask_recorded(11)) == (True, False)
    list(KeyRotation(desk.context, "bank", "index").open())
    assert (ask_recorded(3), ask_recorded(11)) == (True, False)
    with pytest.raises(
        ConfigError,
        match=(
            r"bank\.enrolled needs the old key bank/index-1\.key: run"
            r" `ullage watchlist load --enrolled` first"
        ),
    ):
        desk.retire(early=True)
    enrol(desk.context, "bank", BANK, recorded=True)
    assert (ask_recorded(3), ask_recorded(11)) == (True, False)
    desk.retire(early=True)
    assert (ask_recorded(3), ask_recorded(11)) == (True, False)
