"""Decide which sightings of an incident count, whether their posts still exist, and their totals.

**Replaced.** The id of an incomplete finding is the `served` digest of the complete one. So a
second incomplete finding is an ordinary repeat. A complete one replaces the incomplete sighting:
same incident, same time, new numbers. Each complete finding leaves a claim on `served`, so that an
incomplete one which arrives late, even after its sighting was replaced, is recognised as no news.

**Presence.** A deletion or an edit arrives as a finding without content, possibly before the
finding of the post itself. So a `Presence` is stored for each post, which is the same whatever the
order of arrival: the first and the last time the post was seen with its leak, the earliest times at
which it was gone, and the last one. The result is written into its sightings. Severity and
deadlines do not depend on it: whoever bought a copy has it.

**Combined.** Customers are counted over exposures, each once, so nothing here adds them up. Numbers
of rows and values are known per post and are *summed* over a seller's different posts, which hold
different rows. To avoid counting the same rows twice, only the largest version of an edited post
counts, and a post is left out if 0.6 of it (of 8 or more values; of fewer, all) is in the larger
ones. What remains counted twice is a value here and there: sums are upper bounds, the largest post
is a lower bound. The *maximum* is taken where more posts add nothing: the claimed volume, the
newest date, the longest run, the number of enrolled customers. `docs/joined-posts.md` has the whole
table.

**Read.** The facts of all incidents of a batch are read together, so that a remote store is queried
a few times per batch and not once per incident. Sightings are few and are read at once. So are the
customers of many small incidents; those of a large one, possibly millions, are streamed as they are
counted. The customers of an incident that is new with this batch are not read back.
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


def get_served_claim(finding: Finding) -> str:
    """Return the id of the store record that marks a capture as completely read.

    A complete finding that replaces an incomplete one writes the record; an incomplete one looks it
    up. "" for a complete finding that replaces nothing.
    """
    return (
        claim_id(finding.tenant, "served", finding.served or finding.id)
        if finding.served or finding.incomplete
        else ""
    )


def drop_superseded(findings: Iterable[Finding], claimed: Collection[str]) -> list[Finding]:
    """Return `findings` without incomplete ones whose complete finding is known.

    It is known if `claimed`, the claims that exist in the store, has it, or if it comes before the
    incomplete one in `findings`.
    """
    whole, current = set(claimed), list[Finding]()
    for finding in findings:
        claim = get_served_claim(finding)
        if not finding.incomplete:
            whole.add(claim)
        elif claim in whole:
            continue
        current.append(finding)
    return current


def without_sightings(exposure: Exposure, replaced: Collection[str]) -> Exposure | None:
    """Return `exposure` without the ids in `replaced`; None if no other sighting remains.

    Its fields stay, because the store does not say which sighting added which field.
    """
    remaining = tuple(sighting for sighting in exposure.sightings if sighting not in replaced)
    return exposure.model_copy(update={"sightings": remaining}) if remaining else None


def without_replaced(sightings: Sequence[Sighting]) -> list[Sighting]:
    """Return `sightings`, in order, without incomplete ones that a complete one replaces.

    A complete sighting names in `served` the id of the one that it replaces. The two are in the
    store together until the last part of the complete finding has arrived.
    """
    whole = {sighting.served for sighting in sightings if not sighting.incomplete}
    return [
        sighting for sighting in sightings if not (sighting.incomplete and sighting.id in whole)
    ]


def remove_replaced(store: IncidentStore, replaced: Iterable[Sighting]) -> None:
    """Delete replaced sightings from the store, with their originals and traces in exposures.

    The sightings are deleted last, so that a deletion cut short by a crash is repeated. Raises
    ConflictError if another process writes the same exposures.
    """
    gone, merging = {sighting.id: sighting.incident for sighting in replaced}, Merge(store)
    for incident in set(gone.values()):
        exposures = store.scroll(Exposure, DocumentFilter({"incident": (incident,)}))
        ids = {
            exposure.id for exposure in exposures if not gone.keys().isdisjoint(exposure.sightings)
        }
        updated = (
            {
                id_: without_sightings(exposure, gone)
                for id_, exposure in merging.mget(Exposure, ids).items()
            }
            if ids
            else {}
        )
        merging.put(exposure for exposure in updated.values() if exposure)
        merging.delete(Exposure, [id_ for id_, exposure in updated.items() if exposure is None])
    if gone:
        store.delete(Original, gone)
        store.delete(Sighting, gone)


MOST_GONE, MOST_SIGHTINGS = 8, 200
"""Limits per post, which somebody may edit without end: times at which it was gone, versions."""


def read_presence(finding: Finding) -> Presence | None:
    """Return when the post in a finding was there or removed; None if it has no post token.

    A removal is a post that was deleted, or edited so that the finding no longer holds.
    """
    capture, at = finding.capture, finding.capture.fetched_at
    if not capture.post:
        return None
    gone = (
        (PostRemoval(at=at, how="deleted" if capture.deleted else "edited"),)
        if capture.deleted or finding.withdrawn
        else ()
    )
    return Presence(
        id=presence_id(finding.tenant, capture.post),
        tenant=finding.tenant,
        at=at,
        first_shown=None if gone else at,
        last_shown=None if gone else at,
        gone=gone,
        sightings=() if finding.withdrawn else (finding.id,),
    )


def merge_presences(first: Presence, second: Presence) -> Presence:
    """Return the union of two records of when one post was present or removed.

    The order of the two does not matter. At most `MOST_GONE` removals are kept, the last among
    them.
    """
    gone = sorted({*first.gone, *second.gone}, key=lambda gone: (gone.at, gone.how))
    shown = [
        at
        for at in (first.first_shown, second.first_shown, first.last_shown, second.last_shown)
        if at
    ]
    return first.model_copy(
        update={
            "at": max(first.at, second.at),
            "first_shown": min(shown, default=None),
            "last_shown": max(shown, default=None),
            "gone": (*gone[: MOST_GONE - 1], *gone[-1:]) if len(gone) > MOST_GONE else tuple(gone),
            "sightings": tuple(sorted({*first.sightings, *second.sightings})[:MOST_SIGHTINGS]),
        }
    )


def with_presence(sighting: Sighting, presence: Presence) -> Sighting:
    """Return a copy of `sighting` that says when its post was found removed, or back again.

    If the post was there at the last visit and never removed before, both times are None.
    """
    last = presence.last_shown
    since = next((gone for gone in presence.gone if last is None or gone.at > last), None)
    back = since is None and any(
        presence.first_shown and gone.at > presence.first_shown for gone in presence.gone
    )
    fields = {
        "gone_at": since and since.at,
        "gone_how": since.how if since else "",
        "back_at": last if back else None,
    }
    is_unchanged = all(getattr(sighting, name) == value for name, value in fields.items())
    return sighting if is_unchanged else sighting.model_copy(update=fields)


@dataclass(slots=True)
class Presences:
    """The posts of a batch.

    `stored` are their presences before the batch, `now` those after it; `sightings` are their
    stored sightings.
    """

    stored: dict[str, Presence] = field(default_factory=dict)
    sightings: dict[str, Sighting] = field(default_factory=dict)
    now: dict[str, Presence] = field(default_factory=dict)

    @classmethod
    def load(cls, merging: Merge, findings: Iterable[Finding]) -> Presences:
        """Load the stored presence records of these posts, and add what `findings` say.

        Nothing is written. Repeated findings change nothing. A post without a token has no record.
        """
        reported = [presence for finding in findings if (presence := read_presence(finding))]
        stored = merging.mget(Presence, {report.id for report in reported})
        now = dict(stored)
        for report in reported:
            now[report.id] = (
                merge_presences(now[report.id], report)
                if report.id in now
                else merge_presences(report, report)
            )
        return cls(
            stored,
            merging.mget(Sighting, {id_ for report in stored.values() for id_ in report.sightings}),
            now,
        )

    @property
    def changed(self) -> list[Presence]:
        """The presences that differ from the stored ones."""
        return [presence for id_, presence in self.now.items() if self.stored.get(id_) != presence]

    def update_sightings(self, others: Iterable[Sighting]) -> list[Sighting]:
        """Return the sightings, stored or in `others`, whose presence has changed, updated."""
        by_id = self.sightings | {sighting.id: sighting for sighting in others}
        pairs = [
            (by_id[id_], presence)
            for presence in self.now.values()
            for id_ in presence.sightings
            if id_ in by_id
        ]
        return [
            after
            for before, presence in pairs
            if (after := with_presence(before, presence)) is not before
        ]


CONTAINED, COMPARED = 0.6, 8
"""The same limits as for a re-post in `alerts.grouping.placement`."""
LARGEST_APART, OFFERS_APART = 4, 2
"""How many posts are judged alone: the largest, and further ones that offer data.

Judging each of a thousand would take too long, and the small ones are almost never worse.
"""
SUMMED = (
    "matched_rows corroborated_rows minors customers matches private_attributes_comparable"
    " private_attributes_agreeing bytes".split()
)
LARGEST = "watchlist cards_enrolled cohort_labels honeytokens_enrolled".split()
"""Fields of which the maximum is taken, besides the counts."""


def select_distinct_posts(sightings: Iterable[Sighting]) -> list[Sighting]:
    """Return one seller's posts without copies of one another, the largest first.

    Of several versions of one post the largest counts. The order of `sightings` does not matter,
    and sightings that are not tied to a seller are left out.
    """
    posts: dict[tuple[str, str], Sighting] = {}
    for sighting in sorted((s for s in sightings if s.tied), key=size_order):
        posts.setdefault((sighting.site, sighting.post_id or sighting.id), sighting)
    distinct, sketches = list[Sighting](), dict[str, tuple[str, ...]]()
    for post in posts.values():
        if not _is_copy(post, sketches.get(post.sketch_of, ())):
            distinct.append(post)
            sketches[post.sketch_of] = merge(sketches.get(post.sketch_of, ()), post.sketch)
    return distinct


def select_posts_to_judge_alone(posts: Sequence[Sighting]) -> list[Sighting]:
    """Return those of `posts`, largest first, that may be more severe alone than all together.

    They are the first `LARGEST_APART`, then at most `OFFERS_APART` others that offer data or
    contain a honeytoken.
    """
    offers = [post for post in posts[LARGEST_APART:] if post.alarm or post.honeytokens]
    return [*posts[:LARGEST_APART], *offers[:OFFERS_APART]]


def size_order(sighting: Sighting) -> tuple[int, int, str]:
    """Return a sort key that puts the largest sighting first.

    Most rows come first, then most customers; the id decides between equals.
    """
    return (-sighting.rows, -sighting.customers, sighting.id)


def _is_copy(post: Sighting, larger_sketch: Sequence[str]) -> bool:
    if len(post.sketch) < COMPARED:
        return bool(post.sketch) and set(post.sketch) <= set(larger_sketch)
    common = overlap(post.sketch, larger_sketch)
    return common.compared >= COMPARED and common.share >= CONTAINED


def combine(posts: Sequence[Sighting]) -> Sighting:
    """Return one sighting with the added-up numbers of all `posts`, of which there is at least one.

    Fields that cannot be added up are those of the first, which should be the largest.
    """
    first = posts[0]
    people = sum(post.customers for post in posts)
    update: dict[str, object] = {
        name: sum(getattr(post, name) for post in posts) for name in SUMMED
    }
    update |= {name: max(getattr(post, name) for post in posts) for name in LARGEST}
    update |= combine_posts(posts)
    update |= {
        "cohorts": _combine_cohorts(posts),
        "replayed": (
            sum(post.replayed * post.customers for post in posts) / people if people else 0.0
        ),
        "replay_of": max(posts, key=lambda post: post.replayed * post.customers).replay_of,
    }
    return first.model_copy(update=update)


def _combine_cohorts(posts: Sequence[Sighting]) -> tuple[Cohort, ...]:
    """Return the cohorts with the matched customers of all posts.

    A post lists a limited number of cohorts, so the true numbers may be higher.
    """
    cohorts: dict[tuple[str, str], Cohort] = {}
    for cohort in (cohort for post in posts for cohort in post.cohorts):
        name = cohort.dimension, cohort.label
        before = cohorts.get(name)
        matched = min(cohort.matched + (before.matched if before else 0), cohort.enrolled)
        cohorts[name] = cohort.model_copy(update={"matched": matched})
    return tuple(cohorts[name] for name in sorted(cohorts))


HELD = 5_000
"""Upper limit of customers that are in memory at once."""
Families = Mapping[str, Sequence[str]]
"""Maps an incident to its own id and those of its parts."""


class FactsOf(NamedTuple):
    """The facts that an incident is computed from.

    `linking` are other incidents with sightings that are linked to it.
    """

    sightings: list[Sighting]
    linking: set[str]
    exposures: Iterable[Exposure]


class NewFacts(NamedTuple):
    """The facts that a batch itself wrote.

    `posts` are the ids of its new sightings; `customers` are all customers of each incident that is
    new with them.
    """

    posts: Collection[str]
    customers: Mapping[str, Sequence[Exposure]]


def read_facts(
    store: IncidentStore, families: Families, sizes: Mapping[str, int], new: NewFacts
) -> Iterator[tuple[str, FactsOf]]:
    """Yield the id of each incident with the stored facts of it and its parts.

    `families` maps ids to the ids of the incident and its parts; `sizes` is an upper limit of each
    one's number of customers. Consume the facts of one incident before asking for the next. `new`
    has customers that need not be read from the store, because this batch opened their incident.
    """
    members = {member for family in families.values() for member in family}
    by_incident, linking = defaultdict[str, list[Sighting]](list), defaultdict[str, set[str]](set)
    for sighting in store.scroll(Sighting, DocumentFilter({"incident": [*members]})):
        by_incident[sighting.incident].append(sighting)
    for sighting in store.scroll(Sighting, DocumentFilter({"linked": [*members]})):
        for linked in sighting.linked:
            linking[linked].add(sighting.incident)
    new_customers = {
        member: customers
        for member, customers in new.customers.items()
        if all(post.id in new.posts for post in by_incident[member])
    }
    for group in _split_families(families, sizes):
        to_read = {member for id_ in group for member in families[id_]} - new_customers.keys()
        customers = (
            {**new_customers, **_read_customers(store, to_read)}
            if len(group) > 1
            else new_customers
        )
        for id_ in group:
            family = families[id_]
            exposures = chain.from_iterable(customers.get(member, ()) for member in family)
            if len(group) == 1:
                exposures = chain(
                    exposures,
                    _stream_customers(
                        store, [member for member in family if member not in new_customers]
                    ),
                )
            yield (
                id_,
                FactsOf(
                    [s for member in family for s in by_incident[member]],
                    {i for member in family for i in linking[member]},
                    exposures,
                ),
            )


def _split_families(families: Families, sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Yield the incidents in groups of at most `HELD` (5,000) customers, in order.

    A larger incident is alone; no incidents give no group. `sizes` are customers by incident.
    """
    group, customers = list[str](), 0
    for id_ in families:
        if group and customers + sizes[id_] > HELD:
            yield group
            group, customers = [], 0
        group.append(id_)
        customers += sizes[id_]
    if group:
        yield group


def _read_customers(store: IncidentStore, incidents: Iterable[str]) -> Mapping[str, list[Exposure]]:
    """Return the exposures of each incident."""
    exposures, ids = defaultdict[str, list[Exposure]](list), [*incidents]
    for exposure in store.scroll(Exposure, DocumentFilter({"incident": ids})) if ids else ():
        exposures[exposure.incident].append(exposure)
    return exposures


def _stream_customers(store: IncidentStore, family: Sequence[str]) -> Iterator[Exposure]:
    """Yield the exposures of one incident; the store is queried when the first is needed."""
    if family:
        yield from store.scroll(Exposure, DocumentFilter({"incident": family}))
