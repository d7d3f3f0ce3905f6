"""Answer what several packages ask of the store: statuses, erased customers, keys of facts,
tenants, the last month.

Statuses are read from decisions each time, so nothing can get out of step with them; they are
counted by work items.

Tombstones are claims: they are written once, found by id, and kept as long as incidents are, longer
than the bus keeps anything. One more claim a tenant, the marker, says that there are any and when
the last was set, so that where nobody was ever erased a batch asks for one document.

What a process had sent before it was killed or cut off may reach the store after the erasure, when
nobody looks at the tombstones any more. So for `SETTLED` there are claims as well, under a name of
their own, that say what alert has to look for again: of a handle its beginning, by which the store
finds some few and which names nobody, and the ids of originals that were removed.

Findings carry the check values of match's keys (`ullage.security.keys`). Alert notes the first of
each index key, and takes no finding that was tagged under another: nobody would ever be found by
it. Search compares the keys that it asks with. The capture key decides what is the same capture, no
more: where it changes that is noted and said, for from then on a capture that comes again is a new
one. What is noted stays; it is a few bytes a key.

Counted in the store by the incidents' work items, which follow from facts and decisions: no
incident is read. Whoever asks has seen to it that there is an item of each (`Work.complete`). What
an analyst has marked as a false positive is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
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
    Sighting,
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
from ullage.security.keys import KeyStore, check_value
from ullage.settings import Context
from ullage.settings.tenants import require_tenant, tenants_here

UNDECIDED: Status = "open"
CLOSED: tuple[Status, ...] = ("resolved", "false_positive")


def _standing(decisions: Iterable[Decision]) -> Decision | None:
    """The last decision that is not a mere note; equal times are ordered by id."""
    return max(
        (d for d in decisions if d.status != "note"), key=lambda d: (d.at, d.id), default=None
    )


def _status(standing: Decision | None) -> Status:
    return standing.status if standing is not None and standing.status != "note" else UNDECIDED


def status_of(decisions: Iterable[Decision]) -> Status:
    """What these decisions add up to."""
    return _status(_standing(decisions))


def last_decisions(
    store: IncidentStore, incidents: Iterable[str] | None = None
) -> dict[str, Decision]:
    """The decision that gives an incident its status, of every one that a person has decided on;
    all others are open.
    """
    where = (
        DocumentFilter() if incidents is None else DocumentFilter({"incident": tuple(incidents)})
    )
    by_incident: dict[str, list[Decision]] = {}
    for decision in store.scroll(Decision, where):
        by_incident.setdefault(decision.incident, []).append(decision)
    found = {incident: _standing(decisions) for incident, decisions in by_incident.items()}
    return {incident: decision for incident, decision in found.items() if decision is not None}


def statuses(store: IncidentStore, incidents: Iterable[str] | None = None) -> dict[str, Status]:
    """The status of every incident that a person has decided on; all others are open."""
    return {
        incident: _status(decision)
        for incident, decision in last_decisions(store, incidents).items()
    }


def find_pending(store: IncidentStore, incidents: Iterable[str]) -> list[PendingDecision]:
    """Return what waits for a second person of these incidents, the oldest first."""
    ids = tuple(incidents)
    return (
        without_answered(store, store.scroll(PendingDecision, DocumentFilter({"incident": ids})))
        if ids
        else []
    )


def without_answered(
    store: IncidentStore, pending: Iterable[PendingDecision]
) -> list[PendingDecision]:
    """Return those of `pending` that nobody has confirmed or refused, the oldest first."""
    by_answer = {one.answer_id: one for one in pending}
    answered = store.mget(Decision, by_answer) if by_answer else {}
    waiting = (one for id_, one in by_answer.items() if id_ not in answered)
    return sorted(waiting, key=lambda one: (one.at, one.id))


def parts_in(store: IncidentStore) -> dict[str, Incident]:
    """The incidents that another one answers for, by id: lists and counts leave them out.

    They are few, see `fold`.
    """
    return {
        incident.id: incident
        for incident in store.scroll(Incident, DocumentFilter({"folded": (PART,)}))
    }


def tally(store: IncidentStore) -> Counter[tuple[str, str, Status]]:
    """How many incidents there are by tenant, severity and status as people see it, counted in the
    store by their work items.

    Whoever asks has seen to it that there is an item of each
    (`alerts.deadlines.schedule.Work.complete`).
    """
    found = store.tally(
        WorkItem, DocumentFilter({"stage": ("open", "closed")}), ("tenant", "severity", "status")
    )
    return Counter(
        {(one.values[0], one.values[1], cast("Status", one.values[2])): one.count for one in found}
    )


def narrowed(where: DocumentFilter, wanted: str, decided: Mapping[str, Status]) -> DocumentFilter:
    """`where`, for incidents of status `wanted` alone ("" for any)."""
    if not wanted:
        return where
    if wanted == UNDECIDED:
        return where.but(
            without=[incident for incident, status in decided.items() if status != UNDECIDED]
        )
    return where.but(ids=[incident for incident, status in decided.items() if status == wanted])


OF = "erased"
LATE = "ullage:erased"
"""In the place of a tenant: the claims of what may come late, found together by it.

No tenant is called so.
"""
BEGINNING = 4
"""Hex digits of a handle by which it is looked for: so begin 15 of a million."""


@dataclass(slots=True)
class Tombstone:
    """Of whom something may still come: whose handle begins so and has this tombstone, or
    everybody of the tenant.
    """

    tenant: str
    mark: str
    beginning: str
    """"" for everybody."""
    at: datetime
    """When they were erased last."""
    originals: list[str] = field(default_factory=list)
    """Ids of those that were removed with them."""
    claims: list[str] = field(default_factory=list)


def marker_id(tenant: str) -> str:
    """The id of the claim that says when the last tombstone of a tenant was set."""
    return claim_id(tenant, OF, "last")


def grave_id(tenant: str, handle: str) -> str:
    """The id of the claim that is the tombstone of a handle, or of EVERYBODY."""
    return claim_id(tenant, OF, tombstone(tenant, handle))


def bury(store: IncidentStore, tenant: str, handle: str, now: datetime) -> str:
    """Set the tombstone of a handle, or of EVERYBODY, before anything is removed; returns its
    claim's id.
    """
    id_ = grave_id(tenant, handle)
    store.put(
        [Claim(id=one, tenant=tenant, incident="", at=now) for one in (id_, marker_id(tenant))]
    )
    wait_for(store, tenant, handle, now)
    return id_


def wait_for(
    store: IncidentStore,
    tenant: str,
    handle: str,
    now: datetime,
    originals: Collection[str] = ("",),
) -> None:
    """Have alert look again for a handle, or EVERYBODY, and for the originals of these ids."""
    whose = f"{tombstone(tenant, handle)}{handle[:BEGINNING].lower()}"
    ids = [claim_id(LATE, tenant, f"{whose}:{original}") for original in originals]
    store.put([Claim(id=id_, tenant=LATE, incident="", at=now) for id_ in ids])


def awaited(store: IncidentStore) -> list[Tombstone]:
    """All of whom something may still come, as the last `refresh` shows it."""
    found = dict[str, Tombstone]()
    for claim in store.scroll(Claim, DocumentFilter({"tenant": (LATE,)})):
        tenant, whose, original = claim.id.removeprefix(f"{LATE}:").split(":", 2)
        mark, beginning = whose[:MARK], whose[MARK:]
        one = found.setdefault(f"{tenant}:{mark}", Tombstone(tenant, mark, beginning, claim.at))
        one.at = max(one.at, claim.at)
        one.claims.append(claim.id)
        one.originals += filter(None, [original])
    return [*found.values()]


def last_set(store: IncidentStore, tenants: Collection[str]) -> dict[str, datetime]:
    """When the last tombstone of each of these tenants was set, of those that have any."""
    found = store.mget(Claim, [marker_id(tenant) for tenant in tenants])
    return {claim.tenant: claim.at for claim in found.values()}


def without_erased(store: IncidentStore, findings: Sequence[Finding]) -> list[Finding]:
    """`findings` as they are stored: no match of an erased customer, and none that would hold
    nothing else.
    """
    marked = last_set(store, {finding.tenant for finding in findings})
    if not marked:
        return list(findings)
    asked = {
        grave_id(f.tenant, handle)
        for f in findings
        if f.tenant in marked
        for handle in (EVERYBODY, *_handles(f))
    }
    graves = {id_: claim.at for id_, claim in store.mget(Claim, asked).items()}
    left = (_left(finding, graves) if finding.tenant in marked else finding for finding in findings)
    return [finding for finding in left if finding is not None]


def erased_meanwhile(
    store: IncidentStore, written: Collection[Exposure] | Collection[Background]
) -> list[str]:
    """Ids of those just written whose customer has a tombstone by now: an erasure may come while
    a batch is at it.
    """
    if not last_set(store, {one.tenant for one in written}):
        return []
    asked = {one.id: grave_id(one.tenant, one.subject) for one in written}
    whole = {one.tenant: grave_id(one.tenant, EVERYBODY) for one in written}
    graves = {
        id_: claim.at
        for id_, claim in store.mget(Claim, {*asked.values(), *whole.values()}).items()
    }
    return [
        one.id
        for one in written
        for id_ in (asked[one.id], whole[one.tenant])
        if _covers(graves.get(id_), _seen(one))
    ]


def buried(store: IncidentStore, incidents: Collection[Incident]) -> set[str]:
    """Ids of those of these incidents whose tenant was deleted after they were seen first."""
    if not last_set(store, {one.tenant for one in incidents}):
        return set()
    whole = {one.tenant: grave_id(one.tenant, EVERYBODY) for one in incidents}
    graves = {claim.tenant: claim.at for claim in store.mget(Claim, whole.values()).values()}
    return {one.id for one in incidents if _covers(graves.get(one.tenant), one.first_seen)}


def _seen(one: Exposure | Background) -> datetime:
    return one.first_seen if isinstance(one, Exposure) else one.fetched_at


def _covers(at: datetime | None, seen: datetime) -> bool:
    """Whether a tombstone of that time holds for what was collected then."""
    return at is not None and seen <= at + SETTLED


def _handles(finding: Finding) -> set[str]:
    return {match.subject for match in finding.matches}


def _left(finding: Finding, graves: dict[str, datetime]) -> Finding | None:
    """What is stored of it, None where that is nothing."""

    def is_erased(handle: str) -> bool:
        return _covers(graves.get(grave_id(finding.tenant, handle)), finding.capture.fetched_at)

    if is_erased(EVERYBODY):
        return None
    gone = {handle for handle in _handles(finding) if is_erased(handle)}
    if not gone:
        return finding
    matches = tuple(match for match in finding.matches if match.subject not in gone)
    if not matches and not finding.alarm:
        return None
    # What is sealed of the post may name them. Only of a finding in one part is it known what the
    # numbers are without them.
    changed: dict[str, object] = {"matches": matches, "original": "", "original_key": ""}
    if finding.parts == 1:
        changed |= {
            "total_matches": len(matches),
            "total_subjects": len({match.subject for match in matches}),
        }
    return finding.model_copy(update=changed)


INDEX = "/index-"
"""What the names of index keys hold."""


def admit(
    store: IncidentStore, findings: Sequence[Finding], now: datetime, known: dict[str, str]
) -> None:
    """Note the keys of findings; RecordError `another_key` for one whose index tags are not under
    the key of those before.

    `known` is what was seen of the store so far, and is added to.
    """
    for finding in findings:
        for name, value in finding.key_checks.items():
            if known.get(name) != value:
                tenant = finding.tenant if INDEX in name else ""
                known[name] = _noted(store, KeyCheck(id=name, tenant=tenant, value=value, at=now))
            if known[name] != value:
                raise RecordError("another_key")


def _noted(store: IncidentStore, check: KeyCheck) -> str:
    """The value that the store has for the key from now on."""
    if store.create([check])[0]:
        return check.value
    held = store.get(KeyCheck, check.id)
    if held is not None and (held.value == check.value or INDEX in check.id):
        return held.value
    log.get("alert").warning("capture_key_changed", path=check.id)
    store.put([check])
    return check.value


def compare(store: IncidentStore, keys: KeyStore, names: Sequence[str]) -> None:
    """ConfigError for an index key that is not the one under which the facts in the store are
    tagged.
    """
    held = store.mget(KeyCheck, names)
    for name in names:
        value = check_value(keys.read(name), name)
        if name in held and held[name].value != value:
            raise ConfigError(
                f"key {keys.root / name} is not the one that the incident store was written with:"
                " restore it from a backup"
            )


LOOKED_AT = 1_000
"""Incidents that are asked for more names, where the one that was given is not known."""


def require_known(context: Context, store: IncidentStore, tenant: str) -> None:
    """UnknownTenantError for a tenant of whom neither this machine nor the store knows; "" is
    any.
    """
    here = tenants_here(context)
    if (
        not tenant
        or tenant in here
        or any(
            store.count(kind, _tenants_of(tenant)) for kind in (Incident, Background, Suppression)
        )
    ):
        return
    require_tenant(
        tenant,
        here
        | {
            incident.tenant
            for incident in islice(store.scroll(Incident, DocumentFilter()), LOOKED_AT)
        },
    )


def _tenants_of(tenant: str) -> DocumentFilter:
    return DocumentFilter({"tenant": (tenant,)})


WINDOW = timedelta(days=30)
NO_SCENARIO = "none"
REAL = tuple(status for status in STATUSES if status != "false_positive")


@dataclass(slots=True)
class Recent:
    """Counts by (tenant, scenario, severity) and (tenant, origin, severity); a customer in two
    incidents counts in both.
    """

    customers: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    incidents: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    opened: Counter[tuple[date, str]] = field(default_factory=Counter)
    """By the day, in the zone that was asked for, and severity."""


def recent(store: IncidentStore, now: datetime, zone: tzinfo = UTC, tenant: str = "") -> Recent:
    """The counts of the incidents, of one tenant or of all, that were opened in the `WINDOW`
    before `now`.
    """
    found, days = Recent(), _days(now, zone, whole=False)
    begins = [now - WINDOW, *(_begins(day, zone) for day in days[1:]), now + timedelta(days=1)]
    where = DocumentFilter({**_of(tenant), "stage": ("open", "closed"), "status": REAL})
    by = ("tenant", "scenario", "origin", "severity")
    for one in store.tally(WorkItem, where, by, "customers", begins):
        whose, scenario, origin, severity = one.values
        found.customers[whose, scenario or NO_SCENARIO, severity] += one.total
        found.incidents[whose, origin, severity] += one.count
        found.opened[days[one.span], severity] += one.count
    return found


def days_of(now: datetime, zone: tzinfo) -> list[date]:
    """The days of the `WINDOW`, the present one last."""
    return _days(now, zone, whole=True)


def seen_on(
    store: IncidentStore, days: Sequence[date], zone: tzinfo, tenant: str = ""
) -> list[int]:
    """How many sightings each of `days`, which follow one another, has, of one tenant or of all."""
    edges = [_begins(day, zone) for day in (*days, days[-1] + timedelta(days=1))]
    found = {
        one.span: one.count
        for one in store.tally(Sighting, DocumentFilter(_of(tenant)), (), "", edges)
    }
    return [found.get(n, 0) for n in range(len(days))]


def _of(tenant: str) -> dict[str, tuple[str, ...]]:
    return {"tenant": (tenant,)} if tenant else {}


def _begins(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _days(now: datetime, zone: tzinfo, *, whole: bool) -> list[date]:
    """The days that the `WINDOW` has; of the first, unless it is to be `whole`, a part."""
    today = now.astimezone(zone).date()
    first = (now - WINDOW).astimezone(zone).date()
    count = WINDOW.days if whole else (today - first).days + 1
    return [today - timedelta(days=back) for back in reversed(range(count))]
