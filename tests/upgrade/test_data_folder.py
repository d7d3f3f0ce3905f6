"""A data folder as an earlier version left it: crawled, matched, folded, decided on. Every later version opens or migrates it.

`tests/data/data_832bf64.tar.xz` is the demo's folder at that commit: 11 sightings in 10 incidents of synthetic people, five
decisions, a hold, a suppression, a report; besides, a capture that is not matched, a finding that is not folded, a dead letter.
"""

import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from alerts.read.query import Filters, listed, whole
from alerts.records import Decision, Exposure, Hold, Sighting, Suppression
from alerts.records.document import Document
from alerts.stage.authentic import Authentic
from alerts.stage.pipeline import decode
from alerts.store import IncidentStore, Where, configured_store
from alerts.store.older import KINDS
from crawlers.frontier.database import Frontier
from matcher.cli.authentic import Reception
from matcher.cli.loading import build_matcher
from tests.conftest import HeldClock
from tests.upgrade.checksums import add_checksums
from ullage.audit.trail import FOLDER as AUDIT
from ullage.audit.verify import walk_all
from ullage.bus import CAPTURES, DEAD_LETTERS, FINDINGS
from ullage.records import Finding
from ullage.records.heartbeat import is_heartbeat
from ullage.runtime.cutover import Cutover
from ullage.security import keys
from ullage.settings import Context
from ullage.vocabulary.kept import terms_in

FOLDER = Path(__file__).parents[1] / "data" / "data_832bf64.tar.xz"
FIRST_STORE = Path(__file__).parents[1] / "alerts" / "store_1.sql"
MADE = 1_795_681_300.0
"""2026-11-26 08:21:40 UTC, when the folder was made: nothing in it has expired."""


@pytest.fixture
def older(tmp_path: Path) -> Context:
    """The folder, opened at the time when it was made."""
    with tarfile.open(FOLDER) as archive:
        archive.extractall(tmp_path / "data", filter="data")
    for file in (tmp_path / "data").rglob("*.sqlite"):
        add_checksums(file)
    return Context(tmp_path / "data", HeldClock(MADE).as_clock())


@pytest.fixture
def store(older: Context) -> Iterator[IncidentStore]:
    with closing(configured_store(older)) as opened:
        yield opened


def test_incidents_keep_their_people_and_what_was_decided(store: IncidentStore) -> None:
    rows = listed(store, Filters(), 50).rows
    assert len(rows) == 10
    statuses = Counter(status for _, status in rows)
    assert statuses == {"open": 5, "acknowledged": 1, "confirmed": 1, "resolved": 1, "false_positive": 1, "reported": 1}
    assert store.count(Exposure, Where()) == 157
    assert [store.count(kind, Where()) for kind in (Sighting, Hold, Suppression)] == [11, 1, 1]
    found = [whole(store, incident.id) for incident, _ in rows]
    assert sum(len(one.decisions) for one in found if one) == store.count(Decision, Where())


def test_a_store_of_the_first_schema_in_such_a_folder_is_opened(older: Context) -> None:
    for file in older.data.glob("incidents.sqlite*"):
        file.unlink()
    with closing(apsw.Connection(str(older.data / "incidents.sqlite"))) as made:
        made.execute(FIRST_STORE.read_text(encoding="utf-8"))
    add_checksums(older.data / "incidents.sqlite")
    with closing(configured_store(older)) as opened:
        assert [status for _, status in listed(opened, Filters(), 50).rows] == ["confirmed"]


def test_the_audit_log_is_as_it_was_written(older: Context) -> None:
    chains = walk_all(older.data / AUDIT, older.keys)
    assert [(chain.name, chain.faults) for chain in chains] == [("command", [])]


def test_watchlists_are_live(older: Context) -> None:
    lists = {one.tenant: (one.customers, [epoch.number for epoch in one.epochs]) for one in build_matcher(older).lists}
    assert lists == {"spruce-bank": (2000, [1]), "ullage-canary": (5, [1])}


def test_what_lies_on_the_bus_is_read(older: Context) -> None:
    with closing(older.bus()) as bus:
        held = {}
        for topic in (CAPTURES, FINDINGS, DEAD_LETTERS):
            subscription = bus.subscribe(topic, "upgrade")
            held[topic] = len(subscription.poll(1000, 0.0))
            subscription.close()
    assert held == {CAPTURES: 107, FINDINGS: 17, DEAD_LETTERS: 1}


def test_what_lies_there_without_a_signature_is_still_taken(older: Context) -> None:
    with closing(older.bus()) as bus:
        captures = Cutover.of(older.data, bus, CAPTURES, "match", older.clock.now())
        findings = Cutover.of(older.data, bus, FINDINGS, "alert", older.clock.now())
        reception = Reception(keys.opener(older.keys), keys.verifier(older.keys, CAPTURES), captures)
        with closing(bus.subscribe(CAPTURES, "match")) as waiting:
            sites = [reception.capture(record).site for record in waiting.poll(9, 0.0)]
        authentic = Authentic(keys.verifier(older.keys, FINDINGS), findings)
        with closing(bus.subscribe(FINDINGS, "alert")) as waiting:
            found = [record for record in waiting.poll(9, 0.0) if authentic.check(record) is None]
    assert (sites, len(found)) == (["other"], 1)
    assert decode(found[0]).total_subjects == 12


def test_the_frontier_knows_its_pages(older: Context) -> None:
    with closing(Frontier(older.data, older.keys.read("frontier.key"), older.clock)) as frontier:
        pages = {site: frontier.counts(site)["done"] for site in ("demo-forum", "demo-pastes")}
    assert pages == {"demo-forum": 25, "demo-pastes": 33}


def texts(document: Document) -> list[str]:
    """What stands in a document where an earlier version kept what strangers wrote."""
    found = [getattr(document, name, "") for name in ("title", "author", "url", "post_id", "channel", "thread")]
    return [*found, *getattr(document, "titles", ()), *getattr(document, "authors", ())]


def test_nothing_of_what_was_cleaned_only_is_kept(older: Context) -> None:
    with closing(apsw.Connection(str(older.data / "incidents.sqlite"))) as file:
        rows = file.execute("select doc from sighting union all select doc from background union all select doc from incident")
        former = [json.loads(doc) for (doc,) in rows]
    cleaned = {text for doc in former for name in ("title", "author", "url", "post_id") for text in (doc.get(name, ""),)}
    cleaned |= {title for doc in former for title in doc.get("titles", ())}
    with closing(configured_store(older)) as store:
        kept = {text for kind in KINDS for document in store.scroll(kind, Where()) for text in texts(document) if text}
        assert {s.site for s in store.scroll(Sighting, Where())} <= {"demo-forum", "demo-pastes"}
    allowed = re.compile(r"@[0-9a-f]{8}|…|" + "|".join(map(re.escape, {terms_in(text) for text in cleaned if terms_in(text)})))
    assert len(cleaned) > 10
    assert [text for text in kept if not allowed.fullmatch(text)] == []
    written = b"".join(path.read_bytes() for path in older.data.glob("incidents.sqlite*"))
    gone = [text for text in cleaned if len(text) > 6 and text not in kept]
    assert gone
    assert [text for text in gone if text.encode() in written] == []


def test_findings_on_the_bus_are_read_without_what_was_cleaned_only(older: Context) -> None:
    with closing(older.bus()) as bus, closing(bus.subscribe(FINDINGS, "upgrade")) as subscription:
        records = [record for record in subscription.poll(1000, 0.0) if not is_heartbeat(record.headers)]
    read = [Finding.decode(record.value, int(record.headers["schema"])).capture for record in records]
    assert len(read) > 10
    assert {(facts.post_id, facts.thread, facts.channel) for facts in read} == {("", "", "")}
    assert {facts.url for facts in read} <= {"", "…"}
    assert all(re.fullmatch("(@[0-9a-f]{8})?", facts.author) for facts in read)
