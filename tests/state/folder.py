"""A data folder with every file that ullage keeps, and what reads each: the subject of R13.

It is made as `init` makes one and gets something of everything: pages that were read, records on
every topic, incidents that people decided on, a list with a day's changes and an erased customer,
sealed evidence, the house's own rules, a spool, and writes that a killed process left in the logs
of its databases.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from alerts.accounts.accounts import Accounts
from alerts.grouping.replay import rule_kinds
from alerts.records import CLASSES, Claim, Decision, Incident, incident_id
from alerts.store import DocumentFilter, open_configured_store
from crawlers.collectors.channel_log import ChannelLedger
from crawlers.collectors.session import ChatMessage
from crawlers.frontier.database import open_frontier
from crawlers.intake.submission import CaptureLine
from crawlers.platforms import find_platform
from crawlers.sites.pages import PageAddress, PageContent, Post
from crawlers.sites.site import SiteFolder
from matcher.watchlist import installation, subjects
from matcher.watchlist.changes import Changes, erase_customer
from matcher.watchlist.file import join_halves
from matcher.watchlist.installation import Sizes, path_of
from matcher.watchlist.source import Source
from matcher.watchlist.tagging import handles
from matcher.watchlist.transfers import TransferReader, read_transfers, write_transfers
from matcher.watchlist.transfers import path_of as transfers_of
from tests.alerts.builders import finding, fold_all
from tests.conftest import HeldClock
from tests.contracts.test_incident_store import claim
from tests.factories import WHEN, outgoing, sign_finding_record
from tests.matcher.bank import customer, enrol
from tests.matcher.bank import to_csv as as_csv
from tests.ullage.custody.support import OFFICERS, PASSPHRASES, officers, seal
from ullage.audit import read_entries, walk_all
from ullage.audit.trail import FOLDER as AUDIT
from ullage.bus import CAPTURES, DEAD_LETTERS, FINDINGS, Bus, Retention, open_bus
from ullage.custody import decode, open_sealed, private_key
from ullage.custody.vault import Vault
from ullage.errors import CorruptError
from ullage.lookup.list_index import EnrolledLists, VerifiedList
from ullage.lookup.list_index import path_of as enrolled_at
from ullage.records.finding import Term
from ullage.security import keys
from ullage.settings import Context, load
from ullage.setup import initialise

SITES = ("demo-forum", "demo-pastes")
GROUPS = {CAPTURES: "match", FINDINGS: "alert", DEAD_LETTERS: "replay"}
MADE = 1_795_681_300.0
"""2026-11-26 08:21:40 UTC, when the folder is made: nothing in it has expired."""
SETTINGS = """\
[crawl]
user_agent = "ullage test (loopback only)"

[tenants.bank]
brands = ["云杉银行"]
domains = ["spruce-bank.example"]
bins = ["620000"]

[notify.channels.security-team]
kind = "webhook"

[notify.routes.all]
channels = ["security-team"]
severity = "notice"
"""
SITE = """\
platform = "spirit"
start = ["http://127.0.0.1:50215/"]
delay_seconds = 0.0
revisit_seconds = 30
allow_private = true
legal_basis = "synthetic people, on this machine"
owner = "a test"
"""


def open_folder(data: Path) -> Context:
    """Return the folder's context at the time when it was made."""
    return Context(data, HeldClock(MADE).as_clock())


def spool(data: Path) -> Bus:
    keep = {CAPTURES: Retention(3600.0, 60_000)}
    return open_bus("spool:///spool?wait=0", data, keep, HeldClock(MADE).as_clock())


def make(data: Path) -> Path:
    """Make the folder below `data`; returns it, as a killed process leaves it."""
    live = data / "live"
    context = _make_folder(live)
    _enrol(context)
    _fill(context)
    _seal(context)
    keys.load_signer(context.keys, "match")
    watchlists(context)
    keys.list_faults(context.keys)
    _account(context)
    for kind in rule_kinds().values():
        kind.install(live, kind.load_shipped().text)
    _carry(live)
    killed = data / "killed"
    store, bus = open_configured_store(context), context.bus()
    publishers = [bus.publisher(topic) for topic in GROUPS]
    opened_frontier, people = open_frontier(context), Accounts(live, context.clock)
    with (
        closing(opened_frontier) as frontier,
        closing(store),
        closing(ChannelLedger.of(context)) as chats,
        closing(people),
    ):
        for n in range(3):
            for publisher in publishers:
                publisher.append([outgoing(f"late {n}" * 300, n=str(n))])
            store.put([claim(f"late-{n}")])
            frontier.begin_visit(SITES[0], [PageAddress("list", f"http://127.0.0.1/{n}")])
            people.add(f"late {'abc'[n]}", ["agent"], ["bank"], digest="x" * 300, by="test")
            chats.note("loans", [_message(n)], ("matrix:reader", f"s{n}"), 1.0 + n)
        shutil.copytree(live, killed)
    for publisher in publishers:
        publisher.close()
    shutil.rmtree(live)
    return killed


def _make_folder(data: Path) -> Context:
    """Make the folder as `init` and an operator leave it."""
    for _ in initialise(open_folder(data)):
        pass
    (data / "ullage.toml").write_text(SETTINGS, encoding="utf-8")
    (data / "keys" / "notify" / "security-team").write_text(
        "http://127.0.0.1:9/\nsecret\n", encoding="utf-8"
    )
    (data / "keys" / "notify" / "security-team").chmod(0o600)
    for name in SITES:
        (data / "sites.d" / f"{name}.toml").write_text(SITE, encoding="utf-8")
    return open_folder(data)


def _fill(context: Context) -> None:
    """Pages that were read, records on the bus, incidents and what was decided of them, entries
    in the audit log.
    """
    with closing(open_frontier(context)) as frontier:
        for site in SITES:
            began = frontier.begin_visit(site, [PageAddress("http://127.0.0.1/list", "list")])
            items = tuple(PageAddress(f"http://127.0.0.1/{n}", "item") for n in range(60))
            for parsed in (
                PageContent(pages=items),
                *(
                    PageContent(posts=(Post(str(n), item.url, b"text"),))
                    for n, item in enumerate(items[:40])
                ),
            ):
                leased = frontier.lease(site)
                assert leased
                frontier.finish(leased, parsed, began)
    with closing(context.bus()) as bus:
        for topic, group in GROUPS.items():
            bus.publisher(topic).append(
                [
                    sign_finding_record(context.keys, f"{n}".encode() * 900, id_=str(n))
                    for n in range(60)
                ]
            )
            with closing(bus.subscribe(topic, group)) as subscription:
                subscription.commit(subscription.poll(20, 0.0)[-1])
    with closing(open_configured_store(context)) as store:
        offer_terms = {"terms": [Term(id="四件套", category="FRAUD", weight=5, count=1)]}
        findings = [
            finding(
                f"f{n}",
                range(40 * n, 40 * n + 30),
                range(10 * n, 10 * n + 9),
                ("phone", "card"),
                statistics=offer_terms,
            )
            for n in range(12)
        ]
        fold_all(store, HeldClock(MADE), findings)
        store.create([_decision(incident_id(f"f{n}"), context) for n in range(5)])
    for n in range(12):
        context.trail().append(
            "test.append", f"incident {n}", actor="Li", tenant="bank", reason="a test"
        )


def _decision(incident: str, context: Context) -> Decision:
    now = context.clock.now()
    return Decision(
        id=f"{incident}:1",
        tenant="bank",
        incident=incident,
        at=now,
        by="Li",
        status="confirmed",
        note="seen",
    )


def _message(number: int) -> ChatMessage:
    return ChatMessage(f"event {number}", CaptureLine(site="loans", text=f"text {number}"))


def _account(context: Context) -> None:
    with closing(Accounts(context.data, context.clock)) as people:
        people.add("Wang Fang", ["analyst"], ["bank"], digest="d" * 97, by="test")
        people.add_token("crm", ["incident.read"], ["bank"], purpose="a test", days=30, by="test")


def _enrol(context: Context) -> None:
    """Enrol a tenant of twelve customers.

    Since then one came, one went and one was erased.
    """
    data, store = context.data, context.keys
    (data / "building").mkdir(mode=0o700)
    enrol(context, "bank", [customer(n) for n in range(12)], recorded=True)
    (data / "bank.watchlist").unlink(missing_ok=True)
    (data / "bank.subjects").rename(data / "building" / "bank.subjects")
    added, went = data / "came.csv", data / "went.csv"
    added.write_text(as_csv([customer(20)]), encoding="utf-8")
    went.write_text(as_csv([{"customer_ref": "C000004"}]), encoding="utf-8")
    main, delta = path_of(data, "bank", 1), data / "bank.delta"
    changes = Changes(store, "bank", main, main.with_suffix(".delta"))
    changes.build(
        Source(added, {}),
        Source(went, {}),
        delta,
        data / "building" / "bank.subjects",
        context.clock.now(),
    )
    installation.install(data, store, "bank", delta, context.clock.now(), move=True)
    erased = handles(store, "bank", ["C000007"]).tobytes()
    assert erase_customer(data, store, "bank", erased.hex())
    assert VerifiedList(enrolled_at(data, "bank"), store, "bank").erase(erased)
    transfer_file = data / "transfer_file.csv"
    transfer_file.write_text(
        "customer_ref,recipient\n" + "".join(f"C{n:06d},Courier\n" for n in range(5)),
        encoding="utf-8",
    )
    reader = TransferReader(store, "bank")
    reader.read(transfer_file)
    transfers = transfers_of(data, "bank")
    write_transfers(
        transfers, store, "bank", reader.build(read_transfers(transfers, store, "bank"))
    )
    context.inventory.enter(transfers)
    for file in (added, went, transfer_file):
        file.unlink()


def _seal(context: Context) -> None:
    folder = context.data.parent / "officers"
    folder.mkdir()
    pair = officers(folder, context.keys)
    for n in range(3):
        seal(
            Vault(context.data / "evidence"), pair, f"f1d{n}", sealed_at=WHEN + timedelta(minutes=n)
        )
    Vault(context.data / "evidence").hold(["f1d1"])


def _carry(data: Path) -> None:
    """Four files on a spool: the first has expired, the second was read."""
    with closing(spool(data)) as bus:
        for n in range(4):
            bus.publisher(CAPTURES).append([outgoing(f"{n}" * 9000, n=str(n)) for _ in range(2)])
        assert bus.expire() == 2
        subscription = bus.subscribe(CAPTURES, "match")
        subscription.commit(subscription.poll(2, 0.0)[-1])
        subscription.close()


@dataclass
class Told:
    """What a reader says of damage without refusing: counters, faults of a chain."""

    words: list[str] = field(default_factory=list)


Read = Callable[[Context], Any]
"""Everything that is in a file, or an error of ours; `Told` where it says what is wrong and goes
on.
"""


def settings(context: Context) -> Any:
    return load(context.data).model_dump()


def sites(context: Context) -> Any:
    definitions, faults = SiteFolder(context.data / "sites.d", find_platform).read()
    if faults:
        raise faults[0]
    return definitions


def rules(context: Context) -> Any:
    return {kind.name: kind.load_current(context.data).text for kind in rule_kinds().values()}


def secret(context: Context) -> Any:
    return context.keys.read_lines("notify/security-team")


def keys_and_their_use(context: Context) -> Any:
    """Compare every key with its check value and its other half."""
    if faults := keys.list_faults(context.keys):
        return Told(faults)
    signers = [keys.load_verifier(context.keys, topic) for topic in (CAPTURES, FINDINGS)]
    return {name: context.keys.read(name) for name in keys.list_files(context.keys)}, len(signers)


def clocks(context: Context) -> Any:
    reading = context.running_time.look()
    return reading.spans or Told([str(reading)])


def sizes(context: Context) -> Any:
    tenant_sizes = Sizes(context.data, context.keys)
    return {tenant: tenant_sizes.count_customers(tenant) for tenant in tenant_sizes.tenants()}


def watchlists(context: Context) -> Any:
    """Return who is found by every tag of every list, and what `check` reads."""
    hits_by_list = {}
    for lists in installation.load(context):
        for epoch in lists.epochs:
            epoch.list.check()
            for index in filter(None, (epoch.list.main, epoch.list.delta)):
                tags = join_halves(index.arrays["high"], index.arrays["low"])
                hits, rows = epoch.list.look_up(tags)
                hits_by_list[lists.tenant, index.path.suffix] = sorted(
                    zip(hits.tolist(), epoch.list.handles(rows), strict=True)
                )
    return hits_by_list


def way_back(context: Context) -> Any:
    (lists,) = installation.load(context)
    pseudonyms = {row.tobytes().hex() for row in lists.epochs[0].list.main.arrays["handle"]}
    return subjects.resolve(
        context.data / "building" / "bank.subjects", context.keys, "bank", pseudonyms
    )


def read_recipients(context: Context) -> Any:
    """Return each recipient with the pseudonyms of its customers."""
    table = read_transfers(transfers_of(context.data, "bank"), context.keys, "bank")
    return [
        (recipient, table.pseudonyms[rows].tobytes())
        for recipient, rows in zip(table.recipients, table.customers, strict=True)
    ]


def read_registry(context: Context) -> Any:
    """Return every pair of every registry; check that each is found."""
    lists, pairs = EnrolledLists(context.data, context.keys), {}
    for tenant in lists.tenants():
        opened = lists.of(tenant, context.clock.now())
        assert opened
        pairs[tenant] = [row.tobytes() for block in opened.pairs() for row in block]
        assert all(opened.has(pair[:16]) for pair in pairs[tenant])
    return pairs


def topic(context: Context, name: str) -> Any:
    with closing(context.bus()) as bus:
        bus.check(name)
        places = bus.places(name, GROUPS[name])
        subscription = bus.subscribe(name, "reads-all")
        with closing(subscription):
            records = []
            while batch := subscription.poll(50, 0.0):
                records += batch
    return places, records


def store(context: Context) -> Any:
    with closing(open_configured_store(context)) as store:
        store.check()
        documents = {
            kind: sorted(store.scroll(kind, DocumentFilter()), key=lambda d: d.id)
            for kind in CLASSES
        }
        assert store.count(Claim, DocumentFilter()) == len(documents[Claim])
        filters = (
            DocumentFilter(),
            DocumentFilter(text="四件套"),
            DocumentFilter({"kinds": ("card",)}),
        )
        return documents, [store.search(Incident, where, 50).items for where in filters]


def frontier(context: Context) -> Any:
    with closing(open_frontier(context)) as opened:
        opened.check()
        rows = opened._database.execute(
            "select site, name, sealed, state from pages order by rowid"
        ).fetchall()
        pages = [
            (opened._cipher.open(site, name, sealed), state) for site, name, sealed, state in rows
        ]
        posts_seen = opened._database.execute("select * from seen").fetchall()
        site_states = [
            (opened.count_pages(s), opened.visits(s), opened.history.load(s)) for s in SITES
        ]
        return pages, posts_seen, site_states, opened.lease(SITES[0]) is not None


def chats(context: Context) -> Any:
    with closing(ChannelLedger.of(context)) as opened:
        opened.check()
        unseen = [
            message.event for message in opened.unseen("loans", [_message(n) for n in range(5)])
        ]
        return opened.standing("loans"), opened.cursor("matrix:reader"), unseen


def accounts(context: Context) -> Any:
    with closing(Accounts(context.data, context.clock)) as opened:
        opened.check()
        return opened.users(), opened.tokens(), opened.user("Wang Fang")


def audit(context: Context) -> Any:
    faults = [
        f"{fault.file}: {fault.what}"
        for chain in walk_all(context.data / AUDIT, context.keys)
        for fault in chain.faults
    ]
    audit_entries = [entry for _, entry in read_entries(context.data / AUDIT)]
    if faults:
        with_faults = Told(faults)
        try:
            context.trail().append("test.append", "nothing", actor="Li")
        except CorruptError as error:
            with_faults.words.append(str(error))
        # appending heals nothing
        assert any(chain.faults for chain in walk_all(context.data / AUDIT, context.keys))
        return with_faults
    return audit_entries


def evidence(context: Context) -> Any:
    vault = Vault(context.data / "evidence")
    private_keys = [
        private_key(context.data.parent / "officers" / f"{name}.pem", PASSPHRASES.__getitem__)
        for name in OFFICERS
    ]
    decrypted = []
    for item in vault.items():
        decrypted.append(
            (
                item.head,
                item.held,
                decode(
                    open_sealed(
                        vault.read_sealed(item), item.head.place, item.head.officers, private_keys
                    )
                ),
            )
        )
    return decrypted


def read_spool(context: Context) -> Any:
    bus = spool(context.data)
    with closing(bus):
        subscription = bus.subscribe(CAPTURES, "match")
        with closing(subscription):
            records = []
            while batch := subscription.poll(50, 0.0):
                records += batch
            faults = subscription.damaged + subscription.missing
        lag = bus.lag(CAPTURES, "match")
    if faults:
        return Told([f"{faults} files of the spool were set aside or are missing"])
    return records, lag


def publishes(context: Context) -> Any:
    """Check that the outer side goes on and never uses a number twice."""
    with closing(spool(context.data)) as bus:
        bus.publisher(CAPTURES).append([outgoing("after")])
    return sorted(path.name for path in (context.data / "spool" / CAPTURES).iterdir())


def inventory(context: Context) -> Any:
    return context.inventory.parts()


KEYS, LISTS, INVENTORY = "keys/**/*", "watchlists/*/*", "inventory/*"
READERS: dict[str, tuple[Read, tuple[str, ...]]] = {
    "ullage.toml": (settings, ()),
    "sites.d/*.toml": (sites, ("sites.d/*",)),
    "rules/*": (rules, ("rules/*",)),
    "keys/notify/*": (secret, (KEYS,)),
    "keys/frontier.key": (frontier, (KEYS, "frontier.sqlite*")),
    "keys/audit/*": (audit, (KEYS, INVENTORY, "audit/*/*")),
    "keys/*": (keys_and_their_use, (KEYS, INVENTORY)),
    "clock/*": (clocks, ("clock/*",)),
    "watchlist-sizes/*": (sizes, (KEYS, "watchlist-sizes/*")),
    "watchlists/*": (watchlists, (KEYS, LISTS)),
    "enrolled/*": (read_registry, (KEYS, "enrolled/*")),
    "building/bank.transfers": (read_recipients, (KEYS, "building/*")),
    "building/bank.subjects": (way_back, (KEYS, LISTS, "building/*")),
    **{f"bus/{name}.sqlite*": (partial(topic, name=name), (f"bus/{name}.*",)) for name in GROUPS},
    "incidents.sqlite*": (store, ("incidents.sqlite*", KEYS)),
    "frontier.sqlite*": (frontier, ("frontier.sqlite*", "keys/frontier.*")),
    "accounts.sqlite*": (accounts, ("accounts.sqlite*",)),
    "collect.sqlite*": (chats, ("collect.sqlite*", "keys/frontier.*")),
    "audit/*.json*": (audit, ("audit/*/*", KEYS, INVENTORY)),
    "inventory/*.json": (inventory, (KEYS, INVENTORY)),
    "evidence/*": (evidence, ("evidence/*/*",)),
    "spool/captures/*": (read_spool, ("spool/*/*",)),
    "spool/positions/*.json": (read_spool, ("spool/*/*",)),
    "spool/streams/captures.expired.json": (read_spool, ("spool/*/*",)),
    "spool/streams/captures.json": (publishes, ("spool/*/*",)),
}
"""What reads which files, and what it needs beside `ullage.toml`; of several patterns the first
that fits.
"""
CHANGEABLE = ("ullage.toml", "sites.d/*", "rules/*", "keys/notify/*")
"""Texts that people write: with another letter in it such a text may be right and say something
else, which nobody can tell.
"""


def reader_of(name: str) -> tuple[Read, tuple[str, ...]] | None:
    """Return what reads the file of that name and what it needs, or None."""
    return next(
        (reader for pattern, reader in READERS.items() if fnmatch.fnmatch(name, pattern)), None
    )


Standing = tuple[int, int, int]
"""What changes when somebody writes to a file: the time of its last change in ns, its size in
bytes, its mode.
"""


class Copy:
    """The parts of a folder that a reader needs, in a folder of their own that is brought back to
    what it was, again and again.

    Only what differs is copied anew: a file that was written, replaced or removed, as its time,
    size or mode tells, and shared memory (`-shm`), whose writing tells no time. What lies there
    beside goes.
    """

    def __init__(self, data: Path, parts: tuple[str, ...], target: Path) -> None:
        present = (
            file
            for pattern in ("ullage.toml", *parts)
            for file in data.glob(pattern)
            if file.is_file()
        )
        self.path = target
        self._files = {
            str(target / file.relative_to(data)): (file, _standing(file)) for file in present
        }
        self._folders = {str(folder) for file in self._files for folder in Path(file).parents}

    def restore(self) -> None:
        """Make it what it was."""
        self.path.mkdir(exist_ok=True, mode=0o700)
        missing = dict(self._files)
        self._tidy(self.path, missing)
        for path, (file, _) in missing.items():
            Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            shutil.copy2(file, path)

    def _tidy(self, folder: Path | str, missing: dict[str, tuple[Path, Standing]]) -> None:
        """Remove what does not belong below `folder`, and from `missing` what is as it was."""
        for entry in list(os.scandir(folder)):
            if entry.path in self._folders:
                self._tidy(entry.path, missing)
            elif entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            elif entry.path not in missing:
                Path(entry.path).unlink()
            elif _standing(entry) == missing[entry.path][1] and not entry.name.endswith("-shm"):
                del missing[entry.path]


def _standing(file: Path | os.DirEntry[str]) -> Standing:
    stat = os.lstat(file)
    return stat.st_mtime_ns, stat.st_size, stat.st_mode


def is_one_of(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def files(data: Path) -> Iterator[str]:
    """Yield every file of the folder by its relative name."""
    yield from sorted(str(path.relative_to(data)) for path in data.rglob("*") if path.is_file())
