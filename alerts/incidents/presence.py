"""Whether the posts of an incident are still there: gone, since when and how, and back again.

A deletion or an edit comes as a finding without anything in it, possibly before the finding of what was posted. So of each post
a `Presence` is kept, which is the same in whatever order its news comes: the first and the last time it was seen with what it
leaked, the earliest times at which it was found gone and the last one. What follows is written into its sightings. Severity and
clocks do not follow from it: who bought a copy has it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from alerts.records import PostRemoval, Presence, Sighting, presence_id
from alerts.store.merge import Merge
from ullage.records import Finding

MOST_GONE, MOST_SIGHTINGS = 8, 200
"""Of one post: times at which it was gone, and versions of it, which are told; somebody may edit one without end."""


def told_by(finding: Finding) -> Presence | None:
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


def merged(one: Presence, other: Presence) -> Presence:
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


def standing(sighting: Sighting, presence: Presence) -> Sighting:
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
        told = [presence for finding in findings if (presence := told_by(finding))]
        stored = merging.mget(Presence, {one.id for one in told})
        now = dict(stored)
        for one in told:
            now[one.id] = merged(now[one.id], one) if one.id in now else merged(one, one)
        return cls(stored, merging.mget(Sighting, {id_ for one in stored.values() for id_ in one.sightings}), now)

    @property
    def changed(self) -> list[Presence]:
        """Those of which there is news."""
        return [one for id_, one in self.now.items() if self.stored.get(id_) != one]

    def moved(self, others: Iterable[Sighting]) -> list[Sighting]:
        """The sightings, of the stored ones and of `others`, that are told otherwise now."""
        pool = self.sightings | {sighting.id: sighting for sighting in others}
        known = [(pool[id_], presence) for presence in self.now.values() for id_ in presence.sightings if id_ in pool]
        return [after for before, presence in known if (after := standing(before, presence)) is not before]
