"""Answer questions about the incident store that several packages ask.

Each group of functions below answers one kind of question; all take an open store and raise
UnavailableError while it is down.

*Statuses* (`statuses`, `compute_status`) are read from decisions each time, so nothing can get out
of step with them; `count_incidents` counts them by work items, rows that alert derives from them.

*Tombstones* mark erased customers. They are claims: written one time, found by id, and stored as
long as incidents are, longer than the bus stores anything. One more claim per tenant, the marker,
has the time of the latest tombstone, so that a batch asks for one document where nobody was ever
erased.

    T:erased:<digest of a pseudonym>          this customer was erased
    T:erased:last                             the marker: when a customer of T was last erased
    ullage:erased:T:<digest><first digits>:…  a late write may still arrive

A write that a process sent before it was killed or cut off may reach the store after the erasure,
when nobody reads the tombstones any more. So for `SETTLED` further claims, under a name of their
own, list what alert has to look for again: the first digits of a pseudonym, by which the store
finds a few customers and which identify nobody, and the ids of removed originals.

*Keys*: findings carry the check values of match's keys (`ullage.security.keys`). Alert stores the
first value of each index key, and refuses a finding that was tagged under another key: no lookup
would ever find it. Search compares its keys with the stored values. The capture key only decides
what is the same capture; a change of it is stored and logged, because a repeated capture counts as
a new one from then on. The stored values stay; they are a few bytes per key.

*Recent counts* come from the work items, so no incident is read. The caller ensures that each
incident has an item (`alerts.deadlines.schedule.Work.complete`). False positives are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import cast

from alerts.records import (
    STATUSES,
    Background,
    Claim,
    Decision,
    Exposure,
    Incident,
    KeyCheck,
    PendingDecision,
    Status,
    Suppression,
    WorkItem,
    claim_id,
)
from alerts.records.incident import PART
from alerts.store import DocumentFilter, IncidentStore
from ullage import log
from ullage.errors import ConfigError, RecordError
from ullage.lookup.erased_customers import EVERYBODY, MARK, SETTLED, tombstone
from ullage.records import Finding
from ullage.security.keys import KeyStore, compute_check_value
from ullage.settings import Context
from ullage.settings.tenants import find_tenants, require_tenant

UNDECIDED: Status = "open"
CLOSED: tuple[Status, ...] = ("resolved", "false_positive")


def _find_deciding(decisions: Iterable[Decision]) -> Decision | None:
    """Return the last decision that is not a mere note; equal times are ordered by id."""
    return max(
        (d for d in decisions if d.status != "note"), key=lambda d: (d.at, d.id), default=None
    )


def _to_status(decision: Decision | None) -> Status:
    return decision.status if decision is not None and decision.status != "note" else UNDECIDED


def compute_status(decisions: Iterable[Decision]) -> Status:
    """Return the status that results from the decisions on one incident; open for none."""
    return _to_status(_find_deciding(decisions))


def last_decisions(
    store: IncidentStore, incidents: Iterable[str] | None = None
) -> dict[str, Decision]:
    """Return, by incident id, the decision that determines the incident's status.

    `incidents` limits the search, None means all. An incident without such a decision is missing:
    its status is open.
    """
    where = (
        DocumentFilter() if incidents is None else DocumentFilter({"incident": tuple(incidents)})
    )
    by_incident: dict[str, list[Decision]] = {}
    for decision in store.scroll(Decision, where):
        by_incident.setdefault(decision.incident, []).append(decision)
    deciding = {incident: _find_deciding(decisions) for incident, decisions in by_incident.items()}
    return {incident: decision for incident, decision in deciding.items() if decision is not None}


def statuses(store: IncidentStore, incidents: Iterable[str] | None = None) -> dict[str, Status]:
    """Return the status of every incident that a person has decided on, by id.

    `incidents` limits the search, None means all. The remaining ones are open.
    """
    return {
        incident: _to_status(decision)
        for incident, decision in last_decisions(store, incidents).items()
    }


def find_pending(store: IncidentStore, incidents: Iterable[str]) -> list[PendingDecision]:
    """Return the acts on these incidents that still wait for a second person, oldest first."""
    ids = tuple(incidents)
    return (
        without_answered(store, store.scroll(PendingDecision, DocumentFilter({"incident": ids})))
        if ids
        else []
    )


def without_answered(
    store: IncidentStore, pending: Iterable[PendingDecision]
) -> list[PendingDecision]:
    """Return those of `pending` that nobody has confirmed or refused, oldest first."""
    by_answer = {decision.answer_id: decision for decision in pending}
    answered = store.mget(Decision, by_answer) if by_answer else {}
    waiting = (decision for id_, decision in by_answer.items() if id_ not in answered)
    return sorted(waiting, key=lambda decision: (decision.at, decision.id))


def find_merged_incidents(store: IncidentStore) -> dict[str, Incident]:
    """Return the incidents that were merged into another one, by id.

    Lists and counts leave them out. They are few.
    """
    return {
        incident.id: incident
        for incident in store.scroll(Incident, DocumentFilter({"folded": (PART,)}))
    }


def count_incidents(store: IncidentStore) -> Counter[tuple[str, str, Status]]:
    """Return the number of incidents by (tenant, severity, status), from their work items.

    Incidents merged into another are left out. The caller ensures that each incident has an item
    (`alerts.deadlines.schedule.Work.complete`).
    """
    groups = store.tally(
        WorkItem, DocumentFilter({"stage": ("open", "closed")}), ("tenant", "severity", "status")
    )
    return Counter(
        {
            (group.values[0], group.values[1], cast("Status", group.values[2])): group.count
            for group in groups
        }
    )


def narrow_to_status(
    where: DocumentFilter, status: str, decided: Mapping[str, Status]
) -> DocumentFilter:
    """Return a filter that also requires this status; `where` itself for "".

    `decided` are the statuses of all incidents that a person has decided on; others are open.
    """
    if not status:
        return where
    if status == UNDECIDED:
        return where.but(
            without=[
                *where.without,
                *(
                    incident
                    for incident, decided_status in decided.items()
                    if decided_status != UNDECIDED
                ),
            ]
        )
    ids = [
        incident
        for incident, decided_status in decided.items()
        if decided_status == status and (where.ids is None or incident in where.ids)
    ]
    return where.but(ids=ids)


OF = "erased"
LATE = "ullage:erased"
"""Used instead of a tenant in the claims of expected late writes, so that a query finds them.

No tenant has this name.
"""
BEGINNING = 4
"""Hex digits of a pseudonym to search by: about 15 of a million customers share them."""


@dataclass(slots=True)
class Tombstone:
    """An erased customer of whom a late write may still arrive, or everybody of a tenant.

    The pseudonym begins with `beginning` and has the tombstone `mark`.
    """

    tenant: str
    mark: str
    beginning: str
    """"" for everybody."""
    at: datetime
    """When they were last erased."""
    originals: list[str] = field(default_factory=list)
    """Ids of the originals that were removed with them."""
    claims: list[str] = field(default_factory=list)


def marker_id(tenant: str) -> str:
    """Return the id of the claim with the time of a tenant's latest tombstone."""
    return claim_id(tenant, OF, "last")


def tombstone_id(tenant: str, handle: str) -> str:
    """Return the id of the claim that is the tombstone of a pseudonym, or of EVERYBODY."""
    return claim_id(tenant, OF, tombstone(tenant, handle))


def set_tombstone(store: IncidentStore, tenant: str, handle: str, now: datetime) -> str:
    """Store a mark that a customer is erased, and return its id; nothing else is removed yet.

    `handle` is the customer's pseudonym, or EVERYBODY for the whole tenant.
    """
    id_ = tombstone_id(tenant, handle)
    _put_claims(store, tenant, (id_, marker_id(tenant)), now)
    expect_late_writes(store, tenant, handle, now)
    return id_


def expect_late_writes(
    store: IncidentStore,
    tenant: str,
    handle: str,
    now: datetime,
    originals: Collection[str] = ("",),
) -> None:
    """Have alert look again for writes about an erased pseudonym, or EVERYBODY, that arrive late.

    `originals` are the ids of the originals that were removed with it.
    """
    whose = f"{tombstone(tenant, handle)}{handle[:BEGINNING].lower()}"
    ids = [claim_id(LATE, tenant, f"{whose}:{original}") for original in originals]
    _put_claims(store, LATE, ids, now)


def _put_claims(store: IncidentStore, tenant: str, ids: Collection[str], now: datetime) -> None:
    """Write claims with the time `now`; one with a later time keeps it.

    The clock may have been set back since, and a customer who was erased must stay erased.
    """
    before = store.mget(Claim, ids)
    times = {id_: max(now, before[id_].at) if id_ in before else now for id_ in ids}
    store.put([Claim(id=id_, tenant=tenant, incident="", at=at) for id_, at in times.items()])


def find_expected(store: IncidentStore) -> list[Tombstone]:
    """Return the erasure marks after which late writes may still arrive.

    The result is as of the store's last refresh; late writes are deleted by `remove_late`.
    """
    expected = dict[str, Tombstone]()
    for claim in store.scroll(Claim, DocumentFilter({"tenant": (LATE,)})):
        tenant, whose, original = claim.id.removeprefix(f"{LATE}:").split(":", 2)
        mark, beginning = whose[:MARK], whose[MARK:]
        entry = expected.setdefault(
            f"{tenant}:{mark}", Tombstone(tenant, mark, beginning, claim.at)
        )
        entry.at = max(entry.at, claim.at)
        entry.claims.append(claim.id)
        entry.originals += filter(None, [original])
    return [*expected.values()]


def find_last_erasures(store: IncidentStore, tenants: Collection[str]) -> dict[str, datetime]:
    """Return the time of each tenant's latest tombstone, for tenants that have one."""
    markers = store.mget(Claim, [marker_id(tenant) for tenant in tenants])
    return {claim.tenant: claim.at for claim in markers.values()}


def without_erased(store: IncidentStore, findings: Sequence[Finding]) -> list[Finding]:
    """Return `findings` without matches of erased customers, in order.

    A finding of which nothing else would remain is left out.
    """
    last_erasures = find_last_erasures(store, {finding.tenant for finding in findings})
    if not last_erasures:
        return list(findings)
    ids = {
        tombstone_id(f.tenant, handle)
        for f in findings
        if f.tenant in last_erasures
        for handle in (EVERYBODY, *_subjects(f))
    }
    graves = {id_: claim.at for id_, claim in store.mget(Claim, ids).items()}
    remaining = (
        _without_erased_matches(finding, graves) if finding.tenant in last_erasures else finding
        for finding in findings
    )
    return [finding for finding in remaining if finding is not None]


def find_erased_meanwhile(
    store: IncidentStore, written: Collection[Exposure] | Collection[Background]
) -> list[str]:
    """Return ids of documents just written whose customer has a tombstone by now.

    An erasure may take place while a batch is being processed.
    """
    if not find_last_erasures(store, {document.tenant for document in written}):
        return []
    by_document = {
        document.id: tombstone_id(document.tenant, document.subject) for document in written
    }
    by_tenant = {document.tenant: tombstone_id(document.tenant, EVERYBODY) for document in written}
    graves = {
        id_: claim.at
        for id_, claim in store.mget(Claim, {*by_document.values(), *by_tenant.values()}).items()
    }
    return [
        document.id
        for document in written
        if any(
            _is_erased(graves.get(id_), _fetch_time(document))
            for id_ in (by_document[document.id], by_tenant[document.tenant])
        )
    ]


def is_customer_erased(store: IncidentStore, tenant: str, subject: str, at: datetime) -> bool:
    """Return whether a customer (a pseudonym) or the whole tenant was erased, for data of `at`."""
    if tenant not in find_last_erasures(store, (tenant,)):
        return False
    graves = store.mget(
        Claim, [tombstone_id(tenant, handle) for handle in (EVERYBODY, subject)]
    ).values()
    return any(_is_erased(claim.at, at) for claim in graves)


def find_deleted_tenants(store: IncidentStore, incidents: Collection[Incident]) -> set[str]:
    """Return the ids of those `incidents` that were first seen before their tenant was deleted."""
    if not find_last_erasures(store, {incident.tenant for incident in incidents}):
        return set()
    by_tenant = {
        incident.tenant: tombstone_id(incident.tenant, EVERYBODY) for incident in incidents
    }
    graves = {claim.tenant: claim.at for claim in store.mget(Claim, by_tenant.values()).values()}
    return {
        incident.id
        for incident in incidents
        if _is_erased(graves.get(incident.tenant), incident.first_seen)
    }


def _fetch_time(document: Exposure | Background) -> datetime:
    return document.first_seen if isinstance(document, Exposure) else document.fetched_at


def _is_erased(at: datetime | None, collected_at: datetime) -> bool:
    """Return whether a tombstone set at `at` applies to data collected at `collected_at`."""
    return at is not None and collected_at <= at + SETTLED


def _subjects(finding: Finding) -> set[str]:
    return {match.subject for match in finding.matches}


def _without_erased_matches(finding: Finding, graves: dict[str, datetime]) -> Finding | None:
    """Return the finding as it is stored, None where nothing of it is.

    `graves` are the moments of erasures by tombstone id; those after the finding was fetched count.
    A finding that loses matches loses its sealed original too. It stays without matches only if it
    is an alarm.
    """

    def has_tombstone(handle: str) -> bool:
        return _is_erased(
            graves.get(tombstone_id(finding.tenant, handle)), finding.capture.fetched_at
        )

    if has_tombstone(EVERYBODY):
        return None
    gone = {handle for handle in _subjects(finding) if has_tombstone(handle)}
    if not gone:
        return finding
    matches = tuple(match for match in finding.matches if match.subject not in gone)
    if not matches and not finding.alarm:
        return None
    # The encrypted original may name them. The numbers without them are only known for a finding
    # in one part.
    changed: dict[str, object] = {"matches": matches, "original": "", "original_key": ""}
    if finding.parts == 1:
        changed |= {
            "total_matches": len(matches),
            "total_subjects": len({match.subject for match in matches}),
        }
    return finding.model_copy(update=changed)


INDEX = "/index-"
"""Part of the name of every index key."""


def check_keys(
    store: IncidentStore, findings: Sequence[Finding], now: datetime, known: dict[str, str]
) -> None:
    """Compare the check values of the keys behind `findings` with the stored ones.

    New values are stored. `known` caches stored values by key name and is added to. Raises
    RecordError `another_key` if a finding was made under a key with another value.
    """
    for finding in findings:
        for name, value in finding.key_checks.items():
            if known.get(name) != value:
                tenant = finding.tenant if INDEX in name else ""
                known[name] = _store_check(
                    store, KeyCheck(id=name, tenant=tenant, value=value, at=now)
                )
            if known[name] != value:
                raise RecordError("another_key")


def _store_check(store: IncidentStore, check: KeyCheck) -> str:
    """Return the check value that the store has for the key from now on.

    A value that is stored already stays for keys of the index; for other keys the new one replaces
    it, which is logged.
    """
    if store.create([check])[0]:
        return check.value
    existing = store.get(KeyCheck, check.id)
    if existing is not None and (existing.value == check.value or INDEX in check.id):
        return existing.value
    log.get("alert").warning("capture_key_changed", path=check.id)
    store.put([check])
    return check.value


def require_same_keys(store: IncidentStore, keys: KeyStore, names: Sequence[str]) -> None:
    """Raise ConfigError if one of the keys `names` is not that of the stored facts.

    Keys of which the store has no value are accepted.
    """
    checks = store.mget(KeyCheck, names)
    for name in names:
        value = compute_check_value(keys.read(name), name)
        if name in checks and checks[name].value != value:
            raise ConfigError(
                f"key {keys.root / name} is not the one that the incident store was written with:"
                " restore it from a backup"
            )


LOOKED_AT = 1_000
"""Incidents to read for tenant names, where the given name is unknown."""


def require_known_tenant(context: Context, store: IncidentStore, tenant: str) -> None:
    """Raise UnknownTenantError if neither this machine's settings nor the store has `tenant`.

    "" stands for all tenants and is accepted.
    """
    tenants = find_tenants(context)
    if (
        not tenant
        or tenant in tenants
        or any(
            store.count(kind, _tenant_filter(tenant))
            for kind in (Incident, Background, Suppression)
        )
    ):
        return
    require_tenant(
        tenant,
        tenants
        | {
            incident.tenant
            for incident in islice(store.scroll(Incident, DocumentFilter()), LOOKED_AT)
        },
    )


def _tenant_filter(tenant: str) -> DocumentFilter:
    return DocumentFilter({"tenant": (tenant,)})


WINDOW = timedelta(days=30)
NO_SCENARIO = "none"
REAL = tuple(status for status in STATUSES if status != "false_positive")


@dataclass(slots=True)
class Recent:
    """Counts of the incidents that were opened recently.

    `customers` is by (tenant, scenario, severity), `incidents` by (tenant, origin, severity); a
    customer in two incidents counts in both.
    """

    customers: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    incidents: Counter[tuple[str, str, str]] = field(default_factory=Counter)


def count_recent(store: IncidentStore, now: datetime) -> Recent:
    """Return the counts of incidents opened in the `WINDOW` (30 days) before `now`.

    False positives are left out.
    """
    recent, begins = Recent(), (now - WINDOW, now + timedelta(days=1))
    where = DocumentFilter({"stage": ("open", "closed"), "status": REAL})
    by = ("tenant", "scenario", "origin", "severity")
    for group in store.tally(WorkItem, where, by, "customers", begins):
        whose, scenario, origin, severity = group.values
        recent.customers[whose, scenario or NO_SCENARIO, severity] += group.total
        recent.incidents[whose, origin, severity] += group.count
    return recent


def _optional_tenant(tenant: str) -> dict[str, tuple[str, ...]]:
    return {"tenant": (tenant,)} if tenant else {}
