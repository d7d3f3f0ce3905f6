"""One customer, or a tenant, is taken out of everything, provably, and nothing that is replayed
brings them back.
"""

import json
import shutil
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from alerts.records import CLASSES, Audit, Claim, Exposure, Incident
from alerts.store import DocumentFilter, open_configured_store
from tests.keylife.conftest import BANK, POSTS, House
from tests.matcher.bank import phone, to_csv
from tests.stores import on_server_too
from ullage.audit import read_entries, walk_all
from ullage.bus import CAPTURES, FINDINGS, Outgoing, Record, Subscription
from ullage.erasure import _find_erasable_tenants
from ullage.errors import ConfigError
from ullage.lookup.erased_customers import SETTLED
from ullage.runtime.dead_letters import DeadLetters
from ullage.security import keys
from ullage.settings import Context

WHY = ("--case", "R-17", "--reason", "asked to be forgotten (PIPL 47)")


def erase(house: House, handle: str, *more: str, answer: bytes | None = None) -> str:
    return house.done("erase", "--tenant", "bank", "--subject", handle, *WHY, *more, input=answer)


def proof_of(house: House) -> Path:
    return next((house.data / "erased").glob("*.json"))


def holding(data: Path, *needles: bytes) -> list[str]:
    """Files with one of these in them."""
    paths = (path for path in data.rglob("*") if path.is_file())
    return sorted(
        str(path.relative_to(data))
        for path in paths
        if any(needle in path.read_bytes() for needle in needles)
    )


@on_server_too
def test_customer_is_erased_from_lists_store_and_pseudonyms(
    house_with_leak: House,
) -> None:
    gone, remaining = (
        house_with_leak.handle(3),
        set(house_with_leak.count_exposures()) - {house_with_leak.handle(3)},
    )
    output = erase(house_with_leak, gone)
    assert "watchlists: 33 removed" in output
    assert "incident store, Exposure: 2 removed" in output
    assert "encrypted references: 1 removed" in output
    assert set(house_with_leak.count_exposures()) == remaining
    house_with_leak.post("\n".join(f"{phone(n)} {BANK[n]['resident_id']}" for n in (2, 3)))
    house_with_leak.work()
    assert set(house_with_leak.count_exposures()) == remaining
    resolved = house_with_leak.ask(
        "subjects", "resolve", "-", "--case", "R-17", "--reason", "a look", input=gone.encode()
    )
    assert "1 of 1 pseudonyms are not in this list" in resolved.output


def test_only_the_rolling_bus_still_contains_the_pseudonym(house_with_leak: House) -> None:
    gone = house_with_leak.handle(3)
    assert holding(house_with_leak.data, gone.encode(), bytes.fromhex(gone))
    erase(house_with_leak, gone)
    named = holding(house_with_leak.data, gone.encode(), bytes.fromhex(gone))
    assert [name for name in named if not name.startswith("bus/findings.sqlite")] == []


def test_erasure_proof_is_signed_and_states_what_remains(
    house_with_leak: House,
) -> None:
    erase(house_with_leak, house_with_leak.handle(3))
    proof = proof_of(house_with_leak)
    assert "as it was signed" in house_with_leak.done("audit", "verify", proof)
    proof_body = json.loads(proof.read_text())["proof"]
    assert (proof_body["erased"], proof_body["tenant"], proof_body["case"]) == (
        "customer",
        "bank",
        "R-17",
    )
    assert house_with_leak.handle(3) not in proof.read_text()
    places = {place["place"]: place for place in proof_body["looked_at"]}
    assert {
        "watchlists",
        "incident store, Exposure",
        "bus topic captures",
        "bus topic findings",
        "audit log",
    } <= places.keys()
    assert places["bus topic findings"]["stays"].startswith("2 findings contain the pseudonym")
    week = (house_with_leak.context.clock.now() + SETTLED + timedelta(days=7)).date().isoformat()
    assert (places["bus topic dead-letters"]["until"], proof_body["gone_by"]) == (week, week)
    assert any("backups" in place for place in proof_body["not_reached"])
    proof.write_text(proof.read_text().replace('"removed": 33', '"removed": 28'))
    assert "was changed after it was signed" in str(
        house_with_leak.ask("audit", "verify", proof).exception
    )


def test_erasure_is_audited_without_pseudonym_or_reference(house_with_leak: House) -> None:
    erase(house_with_leak, "-", answer=f"{BANK[3]['customer_ref']}\n".encode())
    entries = [
        entry
        for _, entry in read_entries(house_with_leak.data / "audit")
        if entry.action.startswith("subject.")
    ]
    assert [(entry.action, entry.reason) for entry in entries] == [
        ("subject.erase", "case R-17: asked to be forgotten (PIPL 47)"),
        ("subject.erased", "case R-17"),
    ]
    assert not [
        entry
        for entry in entries
        if house_with_leak.handle(3) in entry.object or BANK[3]["customer_ref"] in entry.object
    ]
    assert house_with_leak.handle(3) not in house_with_leak.count_exposures()
    assert not walk_all(house_with_leak.data / "audit", house_with_leak.context.keys)[0].faults


def again(house: House, topic: str) -> None:
    """Send what was on a topic once more, as after a restored position."""
    with (
        closing(house.context.bus()) as bus,
        closing(bus.subscribe(topic, "test")) as all_,
        closing(bus.publisher(topic)) as put,
    ):
        put.append(
            [Outgoing(record.key, record.value, record.headers) for record in everything(all_)]
        )


def everything(subscription: Subscription) -> list[Record]:
    """Return all that is on a topic, once a broker has given it to us."""
    waiting, records = subscription.lag().records, list[Record]()
    while len(records) < waiting:
        records += subscription.poll(1000, 1.0)
    assert records
    return records


@on_server_too
@pytest.mark.parametrize("topic", [CAPTURES, FINDINGS])
def test_replay_of_the_bus_does_not_restore_an_erased_customer(
    house_with_leak: House, topic: str
) -> None:
    erase(house_with_leak, house_with_leak.handle(3))
    exposures = house_with_leak.count_exposures()
    again(house_with_leak, topic)
    house_with_leak.work()
    assert house_with_leak.count_exposures() == exposures
    again(house_with_leak, topic)
    store = open_configured_store(
        house_with_leak.context
    )  # nor where the incidents themselves are new
    for kind in (kind for kind in CLASSES if "tenant" in kind.columns):
        store.delete(
            kind,
            [
                document.id
                for document in store.scroll(kind, DocumentFilter())
                if ":erased:" not in document.id
            ],
        )
    store.close()
    house_with_leak.work()
    assert set(house_with_leak.count_exposures()) == set(exposures)


def test_replayed_dead_letter_does_not_restore_an_erased_customer(house_with_leak: House) -> None:
    bus, sealer = house_with_leak.context.bus(), keys.load_sealer(house_with_leak.context.keys)
    with (
        closing(bus.subscribe(FINDINGS, "test")) as all_,
        closing(DeadLetters(bus, sealer, "alert")) as letters,
    ):
        records = all_.poll(1000, 0.0)
        for record in records:
            letters.put(record, "rejected")
    erase(house_with_leak, house_with_leak.handle(3))
    exposures = house_with_leak.count_exposures()
    assert f"{len(records)} replayed" in house_with_leak.done("dead-letters", "--replay")
    house_with_leak.work()
    assert house_with_leak.count_exposures() == exposures


@on_server_too
def test_records_in_flight_during_an_erasure_are_not_stored(house: House) -> None:
    house.post(*POSTS)
    house.done("match", "--once")
    erase(house, house.handle(3))
    house.done("alert", "--once")
    assert set(house.count_exposures()) == {house.handle(n) for n in (0, 1, 2, 5)}


def test_writes_after_the_erasure_are_removed_by_alert(
    house_with_leak: House,
) -> None:
    gone = house_with_leak.handle(3)
    with closing(open_configured_store(house_with_leak.context)) as store:
        sent = [
            exposure
            for exposure in store.scroll(Exposure, DocumentFilter())
            if exposure.subject == gone
        ]
        erase(house_with_leak, gone)
        store.put(sent)
    assert gone in house_with_leak.count_exposures()
    house_with_leak.done("alert", "--once")
    assert gone not in house_with_leak.count_exposures()
    *_, last = [entry for _, entry in read_entries(house_with_leak.data / "audit")]
    assert (last.actor, last.action, last.object.rpartition(": ")[2]) == (
        "alert",
        "subject.erased",
        "2 that came after it are removed",
    )


def test_later_list_containing_an_erased_customer_gives_a_warning(house_with_leak: House) -> None:
    erase(house_with_leak, house_with_leak.handle(3))
    assert "were erased" not in house_with_leak.load(
        [customer_ for customer_ in BANK if customer_ is not BANK[3]]
    )
    output = house_with_leak.load()
    assert "bank: 1 customers of this list were erased, the last on" in output
    assert BANK[3]["customer_ref"] not in output


def test_warning_counts_each_erased_customer_of_the_changed_list_once(
    house_with_leak: House, tmp_path: Path
) -> None:
    for number in (3, 4):
        erase(house_with_leak, house_with_leak.handle(number))
    house_with_leak.load()
    changes, removed = tmp_path / "changes.csv", tmp_path / "removed.csv"
    changed = {**BANK[4], "phone": "13800138000"}
    changes.write_text(to_csv([changed]), encoding="utf-8")
    removed.write_text(f"customer_ref\n{BANK[3]['customer_ref']}\n", encoding="utf-8")
    output = house_with_leak.done(
        "watchlist", "update", str(changes), "--remove", str(removed), "--tenant", "bank"
    )
    assert "bank: 1 customers of this list were erased, the last on" in output


def test_hold_prevents_an_erasure_and_nothing_is_touched(house_with_leak: House) -> None:
    with closing(open_configured_store(house_with_leak.context)) as store:
        incidents = [incident.id for incident in store.scroll(Incident, DocumentFilter())]
    for incident in incidents:
        house_with_leak.done("incidents", "hold", incident, "--case", "C-9", "--reason", "court")
    before = house_with_leak.count_exposures()
    for words in (("--subject", house_with_leak.handle(3)), ("--all", "--confirm", "bank")):
        refused = house_with_leak.ask("erase", "--tenant", "bank", *words, *WHY)
        assert "is held for case C-9" in str(refused.exception)
        assert "so nothing was erased" in str(refused.exception)
    assert (
        house_with_leak.count_exposures(),
        list((house_with_leak.data / "erased").glob("*")),
    ) == (
        before,
        [],
    )
    for incident in incidents:
        house_with_leak.done(
            "incidents", "hold", incident, "--end", "--case", "C-9", "--reason", "it is over"
        )
    assert house_with_leak.count_exposures() == before
    erase(house_with_leak, house_with_leak.handle(3))
    for incident in incidents:
        house_with_leak.done("incidents", "hold", incident, "--case", "C-9", "--reason", "court")
    house_with_leak.post(f"{phone(3)}")
    erase(house_with_leak, house_with_leak.handle(7))  # another customer is in none of them


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--tenant", "bank", *WHY),
            "either a customer with --subject or everything with --all",
        ),
        (
            ("--tenant", "bank", "--subject", "C000003", *WHY),
            "a reference on the command line is visible",
        ),
        (
            ("--tenant", "bank", "--subject", "5" * 32),
            "--case and --reason must not be empty",
        ),
        (("--tenant", "bnak", "--subject", "5" * 32, *WHY), "tenant bnak is unknown"),
        (
            ("--tenant", "bank", "--all", *WHY),
            "repeat its name with --confirm bank",
        ),
        (
            ("--tenant", "bank", "--all", "--confirm", "shop", *WHY),
            "repeat its name with --confirm",
        ),
    ],
)
def test_invalid_request_is_a_one_line_error(
    house: House, words: tuple[str, ...], said: str
) -> None:
    refused = house.ask("erase", *words)
    assert isinstance(refused.exception, ConfigError)
    assert said in str(refused.exception)
    assert "C000003" not in str(refused.exception)


def test_unknown_pseudonym_is_reported(house_with_leak: House) -> None:
    result = house_with_leak.ask("erase", "--tenant", "bank", "--subject", "5" * 32, *WHY)
    assert result.exit_code == 0
    assert "nothing on this host belongs to this customer" in result.stderr
    assert (
        "nothing on this host belongs to this customer"
        not in house_with_leak.ask(
            "erase", "--tenant", "bank", "--subject", house_with_leak.handle(3), *WHY
        ).stderr
    )


def test_host_without_store_and_list_says_so(house: House) -> None:
    handle = house.handle(3)
    shutil.rmtree(house.data / "watchlists")
    shutil.rmtree(house.data / "building")
    (house.data / "keys" / "bank" / "handle.key").unlink()
    output = erase(house, handle)
    assert "watchlists: 0 removed; this host has no customer list of the tenant" in output
    assert "incident store: 0 removed; none is on this host" in output
    assert not (house.data / "incidents.sqlite").exists()
    refused = house.ask("erase", "--tenant", "bank", "--subject", "-", *WHY, input=b"C000003\n")
    assert "only the build host of" in str(refused.exception)


@on_server_too
def test_tenant_is_erased_with_its_keys_for_good(
    house_with_leak: House,
) -> None:
    output = house_with_leak.done("erase", "--tenant", "bank", "--all", "--confirm", "bank", *WHY)
    assert "watchlists: 1 removed" in output
    assert "remove [tenants.bank] yourself" in output
    assert not (house_with_leak.data / "keys" / "bank").exists()
    assert not list((house_with_leak.data / "building").iterdir())
    for topic in (CAPTURES, FINDINGS):
        again(house_with_leak, topic)
    house_with_leak.work()
    with closing(open_configured_store(house_with_leak.context)) as store:
        remaining = {
            kind
            for kind in CLASSES
            if "tenant" in kind.columns and store.count(kind, DocumentFilter({"tenant": ("bank",)}))
        }
        assert remaining <= {Claim, Audit}
        assert store.count(Claim, DocumentFilter({"tenant": ("bank",)})) == 2
    assert "as it was signed" in house_with_leak.done("audit", "verify", proof_of(house_with_leak))
    # doing it again is possible
    house_with_leak.done("erase", "--tenant", "bank", "--all", "--confirm", "bank", *WHY)


def test_erasure_is_repeated_after_a_store_outage(house_with_leak: House) -> None:
    gone = house_with_leak.handle(3)
    settings = (house_with_leak.data / "ullage.toml").read_text()
    (house_with_leak.data / "ullage.toml").write_text(
        settings.replace("[tenants", '[store]\nurl = "sqlite:///ullage.toml"\n[tenants', 1)
    )
    assert house_with_leak.ask("erase", "--tenant", "bank", "--subject", gone, *WHY).exit_code
    (house_with_leak.data / "ullage.toml").write_text(settings)
    assert gone in house_with_leak.count_exposures()
    erase(house_with_leak, gone)
    assert gone not in house_with_leak.count_exposures()


def test_damaged_tombstones_are_rejected(house_with_leak: House) -> None:
    erase(house_with_leak, house_with_leak.handle(3))
    path = house_with_leak.data / "erased" / "bank.tombstones"
    path.write_bytes(path.read_bytes()[:-8])
    refused = house_with_leak.ask(
        "watchlist",
        "load",
        "-",
        "--tenant",
        "bank",
        "--shrink",
        input=b"customer_ref,phone\nC1,15400000001\n",
    )
    assert "bank.tombstones is damaged" in str(refused.exception)
    assert Context(house_with_leak.data).keys.exists("bank/match-1.key")


def test_tenant_name_ending_in_a_number_is_recognised_in_its_proof(house_with_leak: House) -> None:
    folder = house_with_leak.data / "erased"
    folder.mkdir(mode=0o700)
    (folder / "bank-2-20261127T101500Z-0123abcd.json").write_text("{}")
    assert _find_erasable_tenants(house_with_leak.context) >= {"bank-2"}
