"""A signed log of every change of an incident, for programs that follow incidents.

    DIR/events.sqlite   mode 0600; each event as it is sent, by its number

Events follow from stored facts: an incident was opened, a finding joined it, a decision was made.
Each fact has an id and gives exactly one event, however often it is read. Before each answer the
log is brought up to date from the facts of the last hour. The last day and the last month are read
too if the store's count of facts differs from the log's, and once an hour in any case, because a
new fact may have replaced an old one. So no fact of the last month is missed; one that is written
late gets a later number. No event comes before the event that opened its incident.

An event is a JSON Web Signature (RFC 7515, EdDSA), made with `keys/sign/search.key`. Each tenant's
events are numbered `n` from 1 without gaps, so a reader that has `n` but not `n - 1` has lost one.
If the log is lost, a new log gets a new name (`feed`) and starts with the last month, under the
same ids.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import secrets
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

import apsw

from alerts.cases.decisions import TELLING
from alerts.deadlines.outstanding import RULINGS
from alerts.records import Decision, Incident, Sighting, incident_id
from alerts.records.document import Document, QueryError
from alerts.store import DocumentFilter, IncidentStore
from alerts.store.queries import CLOSED
from ullage.clock import Clock
from ullage.erasure import ErasureReport, ErasureStage, Order
from ullage.files.database import SCHEMAS, check_database, open_database, sqlite_errors, transaction
from ullage.phrase import Phrase
from ullage.security.keys import KeyStore, load_signer
from ullage.security.signing import Signer
from ullage.settings import Context

FILE, ROLE = "events.sqlite", "search"
SPANS = (timedelta(hours=1), timedelta(days=1), timedelta(days=31))
"""Time spans that are searched for missing facts; see the module for when."""
ANYWAY = 3600.0
"""Seconds after which all spans are searched, whatever the counts."""
MOST = 500
KINDS: tuple[type[Document], ...] = (Incident, Sighting, Decision)
"""Classes of facts, in the order of their events at the same moment."""
Type = Literal[
    "created",
    "grew",
    "acknowledged",
    "assigned",
    "decided",
    "reported",
    "closed",
    "reopened",
    "noted",
]
SCHEMA = """
create table feed (name text not null) strict;
create table events (
    seq integer primary key, id text not null unique, kind text not null, tenant text not null, \
n integer not null,
    at real not null, gone integer not null default 0, jws text not null, unique (tenant, n)
) strict;
create index events_by_time on events (kind, at);
"""
ID_DIGITS = 32
MARK = re.compile(rf"[0-9a-f]{{{ID_DIGITS}}}|[0-9]{{1,18}}|")
NO_MARK = Phrase("invalid page mark: start with the first page")
KNOWN = "select id from events where kind = ? and at >= ? and not gone"
LOGGED = "select seq from events where id = ?"
PLACED = "update events set at = ?, gone = 0 where id = ? returning 1"
"""Updates the time of a logged fact; `at` is the time by which the log counts."""


class IncidentEvent(NamedTuple):
    """One change of an incident.

    `id` is the same wherever the event is read; `what` gives details for some types.
    """

    id: str
    kind: str
    type: Type
    tenant: str
    incident: str
    at: datetime
    by: str = ""
    what: str = ""


class Events(NamedTuple):
    """A page of signed events; `after` is the next page's mark, `more` whether it has any now."""

    items: tuple[str, ...]
    after: str
    more: bool


@dataclass(slots=True)
class EventFeed:
    """The event log of one data folder.

    Threads and processes share it. It is opened on first use.
    """

    data: Path
    store: IncidentStore
    keys: KeyStore
    clock: Clock
    _connection: apsw.Connection | None = None
    _looked: float | None = None
    """When all spans were last searched."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def page(self, tenants: Collection[str] | None, after: str, limit: int) -> Events:
        """Add new events to the log, then return at most `limit` events of `tenants` after a mark.

        `after` is the mark that the page before returned, "" for the beginning; `tenants` is None
        for all. Readers of all tenants get marks with event numbers; others get marks with event
        ids, because a number would reveal how many events other tenants have. An invalid mark
        raises QueryError.
        """
        with self._lock, sqlite_errors(self.data / FILE):
            log = self._open_log()
            name = str(log.execute("select name from feed").get)
            whose = "true" if tenants is None else "tenant in (select value from json_each(?))"
            bound = [] if tenants is None else [json.dumps(sorted(tenants))]
            event = _read_mark(name, after)
            last = _number(log, event, tenants)
            self._bring_up(log, name)
            sql = (  # the values are bound
                f"select seq, id, jws from events where seq > ? and {whose}"  # noqa: S608
                " order by seq limit ?"
            )
            rows: list[Any] = log.execute(sql, (last, *bound, limit + 1)).fetchall()
        items, more = rows[:limit], len(rows) > limit
        behind = (
            items[-1][tenants is not None] if items else event or (0 if tenants is None else "")
        )
        return Events(tuple(jws for *_, jws in items), f"{name}.{behind}", more)

    def public_key(self) -> dict[str, str]:
        """Return the public key that verifies events, as a JSON Web Key (RFC 8037).

        If keys are files, the signing key is created at its first use. Raises ConfigError if a
        command or credentials should provide the key but do not.
        """
        signer = load_signer(self.keys, ROLE)
        return {
            "kty": "OKP",
            "crv": "Ed25519",
            "kid": signer.name,
            "x": _text(signer.private.public_key().public_bytes_raw()),
        }

    def _open_log(self) -> apsw.Connection:
        if self._connection is None:
            self._connection = open_database(
                self.data / FILE, SCHEMA, SCHEMAS["events"], inventory=self.keys.inventory
            )
            with transaction(self._connection):
                if self._connection.execute("select name from feed").get is None:
                    self._connection.execute("insert into feed values (?)", (secrets.token_hex(4),))
        return self._connection

    def _bring_up(self, log: apsw.Connection, name: str) -> None:
        """Append all missing events, in one transaction.

        Facts of any age are compared at the first call and every ANYWAY (3600) seconds. An event
        whose incident has no opening event yet waits for it. The batch is signed.
        """
        now = self.clock.monotonic()
        is_due = self._looked is None or now - self._looked >= ANYWAY
        with transaction(log):
            missing = [
                event for kind in KINDS for event in self._missing(log, kind, everywhere=is_due)
            ]
            if ready := self._select_with_opening(log, missing):
                _append(log, name, sorted(ready, key=_place), load_signer(self.keys, ROLE))
        self._looked = now if is_due else self._looked

    def _select_with_opening(
        self, log: apsw.Connection, missing: Sequence[IncidentEvent]
    ) -> list[IncidentEvent]:
        """Return the events whose incident is in the log or opens with them.

        Events of an incident that is not yet visible in the store are left out; they follow with
        the incident next time.
        """
        opened = {event.incident for event in missing if event.type == "created"}
        unopened, oldest = (
            {event.incident for event in missing} - opened,
            self.clock.now() - SPANS[-1],
        )
        for id_, incident in self.store.mget(Incident, unopened).items():
            if (
                incident.opened_at < oldest
                or log.execute(LOGGED, (event_of(incident).id,)).get is not None
            ):
                opened.add(id_)
        return [event for event in missing if event.incident in opened]

    def _missing(
        self, log: apsw.Connection, kind: type[Document], *, everywhere: bool
    ) -> list[IncidentEvent]:
        """Return the events that are not in the log, for the facts of one class.

        Logged facts that the store no longer has are marked as gone and not counted again.
        """
        events, now = dict[str, IncidentEvent](), self.clock.now()
        for span in SPANS:
            since = now - span
            rows: list[Any] = log.execute(KNOWN, (kind.__name__, since.timestamp())).fetchall()
            logged_ids = {id_ for (id_,) in rows}
            logged = len(logged_ids) + sum(event.at >= since for event in events.values())
            if (
                span != SPANS[0]
                and not everywhere
                and self.store.count(kind, DocumentFilter(since=since)) == logged
            ):
                continue
            stored = {
                event.id: event
                for event in map(event_of, self.store.scroll(kind, DocumentFilter(since=since)))
            }
            log.executemany(
                "update events set gone = 1 where id = ?",
                [(id_,) for id_ in logged_ids - stored.keys()],
            )
            for event in [stored[id_] for id_ in stored.keys() - logged_ids]:
                if log.execute(PLACED, (event.at.timestamp(), event.id)).get is None:
                    events[event.id] = event
        return [*events.values()]


def _place(event: IncidentEvent) -> tuple[datetime, int, str]:
    """Return the key by which events that are appended together are sorted."""
    return event.at, [kind.__name__ for kind in KINDS].index(event.kind), event.id


def _append(log: apsw.Connection, name: str, events: Sequence[IncidentEvent], by: Signer) -> None:
    last: list[Any] = log.execute("select tenant, max(n) from events group by tenant").fetchall()
    numbers = dict[str, int](last)
    for event in events:
        n = numbers[event.tenant] = numbers.get(event.tenant, 0) + 1
        payload = {"feed": name, "n": n, **event._asdict(), "at": event.at.isoformat()}
        del payload["kind"]
        row = (event.id, event.kind, event.tenant, n, event.at.timestamp(), sign_event(by, payload))
        log.execute(
            "insert into events (id, kind, tenant, n, at, jws) values (?, ?, ?, ?, ?, ?)", row
        )


def sign_event(by: Signer, payload: dict[str, Any]) -> str:
    """Return `payload` as a signed JSON Web Signature, in compact form `head.payload.signature`."""
    head = {"alg": "EdDSA", "kid": by.name, "typ": "ullage-event+json"}
    text = ".".join(
        _text(json.dumps(part, separators=(",", ":"), ensure_ascii=False).encode())
        for part in (head, payload)
    )
    return f"{text}.{_text(by.private.sign(text.encode()))}"


def _text(data: bytes) -> str:
    """Encode bytes in base64 as RFC 7515 requires: URL-safe, without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _number(log: apsw.Connection, event: str, tenants: Collection[str] | None) -> int:
    """Return the number of the event in a mark, 0 for the beginning.

    Raises QueryError if there is no such event, or if it belongs to none of `tenants`.
    """
    if not event:
        return 0
    if tenants is None:
        if len(event) == ID_DIGITS:
            raise QueryError(NO_MARK, "after")
        return int(event)
    sql = "select seq from events where id = ? and tenant in (select value from json_each(?))"
    number = log.execute(sql, (event, json.dumps(sorted(tenants)))).get
    if number is None:
        raise QueryError(NO_MARK, "after")
    return int(number)


def _read_mark(name: str, after: str) -> str:
    """Return the event in a mark, "" for the beginning.

    Raises QueryError if the mark is malformed or from another log.
    """
    feed, _, event = after.partition(".")
    if after and not MARK.fullmatch(event):
        raise QueryError(NO_MARK, "after")
    if after and feed != name:
        raise QueryError(
            "the page mark belongs to another event log: start with the first page", "after"
        )
    return event


def event_of(fact: Document) -> IncidentEvent:
    """Return the event that a stored incident, sighting or decision stands for.

    The event's id is a digest of the document's type and id, so the same document always gives the
    same event. Any other type of document is a programming error.
    """
    id_ = hashlib.sha256(
        f"ullage event\x1f{type(fact).__name__}\x1f{fact.id}".encode()
    ).hexdigest()[:ID_DIGITS]
    kind = type(fact).__name__
    if isinstance(fact, Incident):
        return IncidentEvent(id_, kind, "created", fact.tenant, fact.id, fact.opened_at)
    if isinstance(fact, Sighting):
        is_first = incident_id(fact.id) == fact.incident
        return IncidentEvent(
            id_,
            kind,
            "grew",
            fact.tenant,
            fact.incident,
            fact.grouped_at,
            "",
            "first finding" if is_first else "",
        )
    assert isinstance(fact, Decision)
    type_, what = _classify_decision(fact)
    return IncidentEvent(id_, kind, type_, fact.tenant, fact.incident, fact.at, fact.by, what)


def _classify_decision(decision: Decision) -> tuple[Type, str]:
    """Return the type of a decision's event and its details, "" for none.

    An act that has no type of its own is `noted`, with its name.
    """
    if decision.act:
        acts: dict[str, Type] = {
            "assigned": "assigned",
            "excused": "closed",
            "returned": "reopened",
        }
        return acts.get(decision.act, "noted"), decision.act if decision.act not in acts else ""
    if decision.stage in (*RULINGS, *TELLING):
        return "decided", " ".join(filter(None, (decision.regime, decision.stage)))
    if decision.regime or decision.status == "reported":
        return "reported", " ".join(filter(None, (decision.regime, decision.stage)))
    if decision.status in CLOSED:
        return "closed", decision.status
    plain: dict[str, tuple[Type, str]] = {
        "acknowledged": ("acknowledged", ""),
        "note": ("noted", ""),
    }
    return plain.get(decision.status, ("decided", decision.status))


def parts(context: Context) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the name of the event log and a function that verifies it, for `ullage check`.

    Yields nothing if there is no log. The function returns the number of events as text; a damaged
    log raises an error.
    """
    path = context.data / FILE

    def look() -> str:
        with contextlib.closing(open_database(path, SCHEMA, SCHEMAS["events"])) as log:
            check_database(log, path)
            count = log.execute("select count(*) from events").get
            return f"{count} events"

    if path.exists():
        yield "events", look


def erasing(context: Context) -> Iterator[ErasureStage]:
    """Yield the one stage by which `ullage erase` deletes events (see `ullage.erasure`).

    Events name no customer, so they are deleted only when a whole tenant is erased.
    """

    def erase(order: Order) -> Iterator[ErasureReport]:
        path = context.data / FILE
        if order.is_whole and path.exists():
            with (
                contextlib.closing(open_database(path, SCHEMA, SCHEMAS["events"])) as log,
                sqlite_errors(path),
                transaction(log),
            ):
                log.execute("delete from events where tenant = ?", (order.tenant,))
                yield ErasureReport("events", log.changes())

    yield ErasureStage(lambda _: (), erase)
