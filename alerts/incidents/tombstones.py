"""What was erased does not come back: findings without the customers who have a tombstone (`ullage.lookup.tombstones`).

Tombstones are claims: they are written once, found by id, and kept as long as incidents are, longer than the bus keeps anything.
One more claim a tenant, the marker, says that there are any and when the last was set, so that where nobody was ever erased a
batch asks for one document.

What a process had sent before it was killed or cut off may reach the store after the erasure, when nobody looks at the tombstones
any more. So for `SETTLED` there are claims as well, under a name of their own, that say what alert has to look for again: of a
handle its beginning, by which the store finds some few and which names nobody, and the ids of originals that were removed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from alerts.records import Background, Claim, Exposure, Incident, claim_id
from alerts.store import DocumentFilter, IncidentStore
from ullage.lookup.tombstones import EVERYBODY, MARK, SETTLED, tombstone
from ullage.records import Finding

OF = "erased"
LATE = "ullage:erased"
"""In the place of a tenant: the claims of what may come late, found together by it. No tenant is called so."""
BEGINNING = 4
"""Hex digits of a handle by which it is looked for: so begin 15 of a million."""


@dataclass(slots=True)
class Tombstone:
    """Of whom something may still come: whose handle begins so and has this tombstone, or everybody of the tenant."""

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
    """Set the tombstone of a handle, or of EVERYBODY, before anything is removed; returns its claim's id."""
    id_ = grave_id(tenant, handle)
    store.put([Claim(id=one, tenant=tenant, incident="", at=now) for one in (id_, marker_id(tenant))])
    wait_for(store, tenant, handle, now)
    return id_


def wait_for(store: IncidentStore, tenant: str, handle: str, now: datetime, originals: Collection[str] = ("",)) -> None:
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
    """`findings` as they are stored: no match of an erased customer, and none that would hold nothing else."""
    marked = last_set(store, {finding.tenant for finding in findings})
    if not marked:
        return list(findings)
    asked = {grave_id(f.tenant, handle) for f in findings if f.tenant in marked for handle in (EVERYBODY, *_handles(f))}
    graves = {id_: claim.at for id_, claim in store.mget(Claim, asked).items()}
    left = (_left(finding, graves) if finding.tenant in marked else finding for finding in findings)
    return [finding for finding in left if finding is not None]


def erased_meanwhile(store: IncidentStore, written: Collection[Exposure] | Collection[Background]) -> list[str]:
    """Ids of those just written whose customer has a tombstone by now: an erasure may come while a batch is at it."""
    if not last_set(store, {one.tenant for one in written}):
        return []
    asked = {one.id: grave_id(one.tenant, one.subject) for one in written}
    whole = {one.tenant: grave_id(one.tenant, EVERYBODY) for one in written}
    graves = {id_: claim.at for id_, claim in store.mget(Claim, {*asked.values(), *whole.values()}).items()}
    return [one.id for one in written for id_ in (asked[one.id], whole[one.tenant]) if _covers(graves.get(id_), _seen(one))]


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
    # What is sealed of the post may name them. Only of a finding in one part is it known what the numbers are without them.
    changed: dict[str, object] = {"matches": matches, "original": "", "original_key": ""}
    if finding.parts == 1:
        changed |= {"total_matches": len(matches), "total_subjects": len({match.subject for match in matches})}
    return finding.model_copy(update=changed)
