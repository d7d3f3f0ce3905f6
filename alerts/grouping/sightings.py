"""Say what the sightings of an incident are worth: which still count, whether their posts are
there, and what they hold together.

**Replaced.** The id of an incomplete finding is what the whole one has in `served`. So a second
incomplete one is a repeat like any other. A whole one takes its sighting's place: same incident,
same time, its own numbers. Each whole one leaves a claim on `served`, so that an incomplete one
that comes late, even after its sighting was replaced, is known to be no news.

**Presence.** A deletion or an edit comes as a finding without anything in it, possibly before the
finding of what was posted. So of each post a `Presence` is kept, which is the same in whatever
order its news comes: the first and the last time it was seen with what it leaked, the earliest
times at which it was found gone and the last one. What follows is written into its sightings.
Severity and clocks do not follow from it: who bought a copy has it.

**Combined.** Customers are counted over exposures, each once, so nothing here adds them up. What is
counted in rows and values is known a post at a time, and is *summed* over different posts: a
seller's posts hold different rows. It would count some twice that are the same, so of the versions
of an edited post the largest counts alone, and a post is left out of which 0.6 is in the larger
ones together (of 8 or more values; of fewer, all). What stays twice is a value here and there: sums
are bounds from above, the largest post is one from below. A *maximum* is taken where more posts say
no more of it: what a post claims to have, the newest date, the longest run, how many were enrolled.
`docs/joined-posts.md` has the whole table.

**Read.** The facts of a batch's incidents are read together: a store on another machine is asked a
few times a batch, not for each. Sightings are few and read at once. The customers of many small
incidents are read at once as well, those of a large one by themselves and as they are counted: an
incident may have millions. Those of an incident of which the store had nothing before are not read
back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from alerts.grouping.placement import merge, overlap
from alerts.records import (
    Exposure,
    Original,
    PostRemoval,
    Presence,
    Sighting,
    claim_id,
    presence_id,
)
from alerts.store import DocumentFilter, IncidentStore, Merge
from ullage.records import Cohort, Finding
from ullage.records.counts import combine_posts


def claim_of(finding: Finding) -> str:
    """The id of the claim that a whole finding leaves, or an incomplete one asks for; "" for a
    whole one that names none.
    """
    return (
        claim_id(finding.tenant, "served", finding.served or finding.id)
        if finding.served or finding.incomplete
        else ""
    )


def current(findings: Iterable[Finding], claimed: Collection[str]) -> list[Finding]:
    """`findings` but for incomplete ones behind the whole one of their capture; `claimed` are
    the claims that there are.
    """
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
    """Those that no other of them replaces: until the last part of a whole finding is there,
    both are.
    """
    whole = {sighting.served for sighting in sightings if not sighting.incomplete}
    return [
        sighting for sighting in sightings if not (sighting.incomplete and sighting.id in whole)
    ]


def remove_replaced(store: IncidentStore, replaced: Iterable[Sighting]) -> None:
    """Take away what is left of sightings that are replaced, themselves last: a crash before that
    and it is done again.

    ConflictError, as in a crash, where another process writes the same exposures.
    """
    gone, merging = {sighting.id: sighting.incident for sighting in replaced}, Merge(store)
    for incident in set(gone.values()):
        found = store.scroll(Exposure, DocumentFilter({"incident": (incident,)}))
        ids = {exposure.id for exposure in found if not gone.keys().isdisjoint(exposure.sightings)}
        left = (
            {
                id_: without_sightings(exposure, gone)
                for id_, exposure in merging.mget(Exposure, ids).items()
            }
            if ids
            else {}
        )
        merging.put(exposure for exposure in left.values() if exposure)
        merging.delete(Exposure, [id_ for id_, exposure in left.items() if exposure is None])
    if gone:
        store.delete(Original, gone)
        store.delete(Sighting, gone)


MOST_GONE, MOST_SIGHTINGS = 8, 200
"""Of one post: times at which it was gone, and versions of it, which are told; somebody may edit
one without end.
"""


def presence_in(finding: Finding) -> Presence | None:
    """What a finding tells of its post; None where nothing lasts by which the post is known
    again.
    """
    where, at = finding.capture, finding.capture.fetched_at
    if not where.post:
        return None
    gone = (
        (PostRemoval(at=at, how="deleted" if where.deleted else "edited"),)
        if where.deleted or finding.withdrawn
        else ()
    )
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
    shown = [
        at for at in (one.first_shown, other.first_shown, one.last_shown, other.last_shown) if at
    ]
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
    back = since is None and any(
        presence.first_shown and gone.at > presence.first_shown for gone in presence.gone
    )
    told = {
        "gone_at": since and since.at,
        "gone_how": since.how if since else "",
        "back_at": last if back else None,
    }
    is_known = all(getattr(sighting, name) == value for name, value in told.items())
    return sighting if is_known else sighting.model_copy(update=told)


@dataclass(slots=True)
class Presences:
    """The posts of a batch: as they are `stored`, as they stand `now`, and the stored sightings
    of them.
    """

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
            now[one.id] = (
                merged_presence(now[one.id], one) if one.id in now else merged_presence(one, one)
            )
        return cls(
            stored,
            merging.mget(Sighting, {id_ for one in stored.values() for id_ in one.sightings}),
            now,
        )

    @property
    def changed(self) -> list[Presence]:
        """Those of which there is news."""
        return [one for id_, one in self.now.items() if self.stored.get(id_) != one]

    def moved(self, others: Iterable[Sighting]) -> list[Sighting]:
        """The sightings, of the stored ones and of `others`, that are told otherwise now."""
        pool = self.sightings | {sighting.id: sighting for sighting in others}
        known = [
            (pool[id_], presence)
            for presence in self.now.values()
            for id_ in presence.sightings
            if id_ in pool
        ]
        return [
            after
            for before, presence in known
            if (after := with_presence(before, presence)) is not before
        ]


CONTAINED, COMPARED = 0.6, 8
"""As for a re-post in `alerts.grouping.placement`."""
LARGEST_APART, OFFERS_APART = 4, 2
"""Posts that are judged by themselves: to judge each of a thousand would take longer than a batch
may, and the small ones are as good as never worse.
"""
SUMMED = (
    "matched_rows corroborated_rows minors customers matches witnesses_comparable"
    " witnesses_agreeing bytes".split()
)
LARGEST = "watchlist cards_enrolled cohort_labels canaries_enrolled".split()
"""What a finding has beside its counts."""


def different(sightings: Iterable[Sighting]) -> list[Sighting]:
    """Those of a seller's posts that hold something of their own, the largest first, in whatever
    order they came.
    """
    posts: dict[tuple[str, str], Sighting] = {}
    for sighting in sorted((s for s in sightings if s.tied), key=size):
        posts.setdefault((sighting.site, sighting.post_id or sighting.id), sighting)
    kept, seen = list[Sighting](), dict[str, tuple[str, ...]]()
    for post in posts.values():
        if not _is_copy(post, seen.get(post.sketch_of, ())):
            kept.append(post)
            seen[post.sketch_of] = merge(seen.get(post.sketch_of, ()), post.sketch)
    return kept


def judged_apart(posts: Sequence[Sighting]) -> list[Sighting]:
    """Those of `posts`, the largest first, that may be worse alone than all together: the
    largest, and what offers or is bait.
    """
    offers = [post for post in posts[LARGEST_APART:] if post.alarm or post.canaries]
    return [*posts[:LARGEST_APART], *offers[:OFFERS_APART]]


def size(sighting: Sighting) -> tuple[int, int, str]:
    """By this the largest stands first: most rows, then most customers; the id decides between
    equals.
    """
    return (-sighting.rows, -sighting.customers, sighting.id)


def _is_copy(post: Sighting, seen: Sequence[str]) -> bool:
    if len(post.sketch) < COMPARED:
        return bool(post.sketch) and set(post.sketch) <= set(seen)
    found = overlap(post.sketch, seen)
    return found.compared >= COMPARED and found.share >= CONTAINED


def together(posts: Sequence[Sighting]) -> Sighting:
    """`posts`, the largest first, as if they were one; what is not counted is that of the
    largest.
    """
    first = posts[0]
    people = sum(post.customers for post in posts)
    update: dict[str, object] = {
        name: sum(getattr(post, name) for post in posts) for name in SUMMED
    }
    update |= {name: max(getattr(post, name) for post in posts) for name in LARGEST}
    update |= combine_posts(posts)
    update |= {
        "cohorts": _cohorts(posts),
        "replayed": (
            sum(post.replayed * post.customers for post in posts) / people if people else 0.0
        ),
        "replay_of": max(posts, key=lambda post: post.replayed * post.customers).replay_of,
    }
    return first.model_copy(update=update)


def _cohorts(posts: Sequence[Sighting]) -> tuple[Cohort, ...]:
    """Cohorts with the matched of all posts; of those of which a post does not tell there may be
    more.
    """
    found: dict[tuple[str, str], Cohort] = {}
    for cohort in (cohort for post in posts for cohort in post.cohorts):
        name = cohort.dimension, cohort.label
        before = found.get(name)
        matched = min(cohort.matched + (before.matched if before else 0), cohort.enrolled)
        found[name] = cohort.model_copy(update={"matched": matched})
    return tuple(found[name] for name in sorted(found))


HELD = 5_000
"""Customers that are held at once."""
Families = Mapping[str, Sequence[str]]
"""By incident its own id and those of its parts."""


class FactsOf(NamedTuple):
    """What an incident is worked out of: its sightings, the incidents of others that are linked
    to it, its customers.
    """

    sightings: list[Sighting]
    linking: set[str]
    exposures: Iterable[Exposure]


class NewFacts(NamedTuple):
    """What a batch itself brings and has written: the ids of new `posts`, and all `customers` of
    each incident new with them.
    """

    posts: Collection[str]
    customers: Mapping[str, Sequence[Exposure]]


def read_facts(
    store: IncidentStore, families: Families, sizes: Mapping[str, int], came: NewFacts
) -> Iterator[tuple[str, FactsOf]]:
    """The facts of each incident with its parts; `sizes` says how many customers it has at most.

    What is given is to be read before the next is asked for. The customers that `came` stand for
    those of an incident unless it has a post that did not come with them, of another process.
    """
    members = {one for family in families.values() for one in family}
    within, linking = defaultdict[str, list[Sighting]](list), defaultdict[str, set[str]](set)
    for sighting in store.scroll(Sighting, DocumentFilter({"incident": [*members]})):
        within[sighting.incident].append(sighting)
    for sighting in store.scroll(Sighting, DocumentFilter({"linked": [*members]})):
        for other in sighting.linked:
            linking[other].add(sighting.incident)
    held = {
        one: people
        for one, people in came.customers.items()
        if all(post.id in came.posts for post in within[one])
    }
    for some in _groups(families, sizes):
        asked = {one for id_ in some for one in families[id_]} - held.keys()
        people = {**held, **_people(store, asked)} if len(some) > 1 else held
        for id_ in some:
            family = families[id_]
            theirs = chain.from_iterable(people.get(one, ()) for one in family)
            if len(some) == 1:
                theirs = chain(theirs, _streamed(store, [one for one in family if one not in held]))
            yield (
                id_,
                FactsOf(
                    [s for one in family for s in within[one]],
                    {i for one in family for i in linking[one]},
                    theirs,
                ),
            )


def _groups(families: Families, sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """The incidents, in groups that have no more customers than may be held; a larger one comes
    alone.
    """
    group, held = list[str](), 0
    for id_ in families:
        if group and held + sizes[id_] > HELD:
            yield group
            group, held = [], 0
        group.append(id_)
        held += sizes[id_]
    if group:
        yield group


def _people(store: IncidentStore, incidents: Iterable[str]) -> Mapping[str, list[Exposure]]:
    """The customers of each incident."""
    found, asked = defaultdict[str, list[Exposure]](list), [*incidents]
    for exposure in store.scroll(Exposure, DocumentFilter({"incident": asked})) if asked else ():
        found[exposure.incident].append(exposure)
    return found


def _streamed(store: IncidentStore, family: Sequence[str]) -> Iterator[Exposure]:
    """The customers of one incident, one after the other; nothing is asked until the first is."""
    if family:
        yield from store.scroll(Exposure, DocumentFilter({"incident": family}))
