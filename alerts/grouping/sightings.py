"""Replace sightings of incomplete findings, and record whether posts are still there.

The id of an incomplete finding is what the whole one has in `served`. So a second incomplete one is a repeat like any other. A
whole one takes its sighting's place: same incident, same time, its own numbers. Each whole one leaves a claim on `served`, so
that an incomplete one that comes late, even after its sighting was replaced, is known to be no news.

A deletion or an edit comes as a finding without anything in it, possibly before the finding of what was posted. So of each post
a `Presence` is kept, which is the same in whatever order its news comes: the first and the last time it was seen with what it
leaked, the earliest times at which it was found gone and the last one. What follows is written into its sightings. Severity and
clocks do not follow from it: who bought a copy has it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from alerts.records import Exposure, Original, PostRemoval, Presence, Sighting, claim_id, presence_id
from alerts.store import DocumentFilter, IncidentStore, Merge
from ullage.records import Finding


def claim_of(finding: Finding) -> str:
    """The id of the claim that a whole finding leaves, or an incomplete one asks for; "" for a whole one that names none."""
    return claim_id(finding.tenant, "served", finding.served or finding.id) if finding.served or finding.incomplete else ""


def current(findings: Iterable[Finding], claimed: Collection[str]) -> list[Finding]:
    """`findings` but for incomplete ones behind the whole one of their capture; `claimed` are the claims that there are."""
    whole, kept = set(claimed), list[Finding]()
    for finding in findings:
        claim = claim_of(finding)
        if not finding.incomplete:
            whole.add(claim)
        elif claim in whole:
            continue
        kept.append(finding)
    return kept


def without_sightings(exposure: Exposure, replaced: Collection[str]) -> Exposure | None:
    """`exposure` without the sightings that are replaced; None if it has no other.

    What else one of several sightings added to it cannot be told from the rest, and stays.
    """
    left = tuple(sighting for sighting in exposure.sightings if sighting not in replaced)
    return exposure.model_copy(update={"sightings": left}) if left else None


def without_replaced(sightings: Sequence[Sighting]) -> list[Sighting]:
    """Those that no other of them replaces: until the last part of a whole finding is there, both are."""
    whole = {sighting.served for sighting in sightings if not sighting.incomplete}
    return [sighting for sighting in sightings if not (sighting.incomplete and sighting.id in whole)]


def remove_replaced(store: IncidentStore, replaced: Iterable[Sighting]) -> None:
    """Take away what is left of sightings that are replaced, themselves last: a crash before that and it is done again.

    ConflictError, as in a crash, where another process writes the same exposures.
    """
    gone, merging = {sighting.id: sighting.incident for sighting in replaced}, Merge(store)
    for incident in set(gone.values()):
        found = store.scroll(Exposure, DocumentFilter({"incident": (incident,)}))
        ids = {exposure.id for exposure in found if not gone.keys().isdisjoint(exposure.sightings)}
        left = {id_: without_sightings(exposure, gone) for id_, exposure in merging.mget(Exposure, ids).items()} if ids else {}
        merging.put(exposure for exposure in left.values() if exposure)
        merging.delete(Exposure, [id_ for id_, exposure in left.items() if exposure is None])
    if gone:
        store.delete(Original, gone)
        store.delete(Sighting, gone)


MOST_GONE, MOST_SIGHTINGS = 8, 200
"""Of one post: times at which it was gone, and versions of it, which are told; somebody may edit one without end."""


def presence_in(finding: Finding) -> Presence | None:
    """What a finding tells of its post; None where nothing lasts by which the post is known again."""
    where, at = finding.capture, finding.capture.fetched_at
    if not where.post:
        return None
    gone = (PostRemoval(at=at, how="deleted" if where.deleted else "edited"),) if where.deleted or finding.withdrawn else ()
    return Presence(
        id=presence_id(finding.tenant, where.post),
        tenant=finding.tenant,
        at=at,
        first_shown=None if gone else at,
        last_shown=None if gone else at,
        gone=gone,
        sightings=() if finding.withdrawn else (finding.id,),
    )


def merged_presence(one: Presence, other: Presence) -> Presence:
    """What both tell of one post, in whatever order."""
    gone = sorted({*one.gone, *other.gone}, key=lambda gone: (gone.at, gone.how))
    shown = [at for at in (one.first_shown, other.first_shown, one.last_shown, other.last_shown) if at]
    return one.model_copy(
        update={
            "at": max(one.at, other.at),
            "first_shown": min(shown, default=None),
            "last_shown": max(shown, default=None),
            "gone": (*gone[: MOST_GONE - 1], *gone[-1:]) if len(gone) > MOST_GONE else tuple(gone),
            "sightings": tuple(sorted({*one.sightings, *other.sightings})[:MOST_SIGHTINGS]),
        }
    )


def with_presence(sighting: Sighting, presence: Presence) -> Sighting:
    """`sighting` with what is known of its post."""
    last = presence.last_shown
    since = next((gone for gone in presence.gone if last is None or gone.at > last), None)
    back = since is None and any(presence.first_shown and gone.at > presence.first_shown for gone in presence.gone)
    told = {"gone_at": since and since.at, "gone_how": since.how if since else "", "back_at": last if back else None}
    is_known = all(getattr(sighting, name) == value for name, value in told.items())
    return sighting if is_known else sighting.model_copy(update=told)


@dataclass(slots=True)
class Presences:
    """The posts of a batch: as they are `stored`, as they stand `now`, and the stored sightings of them."""

    stored: dict[str, Presence] = field(default_factory=dict)
    sightings: dict[str, Sighting] = field(default_factory=dict)
    now: dict[str, Presence] = field(default_factory=dict)

    @classmethod
    def of(cls, merging: Merge, findings: Iterable[Finding]) -> Presences:
        """With what `findings` tell; each that is told again changes nothing."""
        told = [presence for finding in findings if (presence := presence_in(finding))]
        stored = merging.mget(Presence, {one.id for one in told})
        now = dict(stored)
        for one in told:
            now[one.id] = merged_presence(now[one.id], one) if one.id in now else merged_presence(one, one)
        return cls(stored, merging.mget(Sighting, {id_ for one in stored.values() for id_ in one.sightings}), now)

    @property
    def changed(self) -> list[Presence]:
        """Those of which there is news."""
        return [one for id_, one in self.now.items() if self.stored.get(id_) != one]

    def moved(self, others: Iterable[Sighting]) -> list[Sighting]:
        """The sightings, of the stored ones and of `others`, that are told otherwise now."""
        pool = self.sightings | {sighting.id: sighting for sighting in others}
        known = [(pool[id_], presence) for presence in self.now.values() for id_ in presence.sightings if id_ in pool]
        return [after for before, presence in known if (after := with_presence(before, presence)) is not before]
