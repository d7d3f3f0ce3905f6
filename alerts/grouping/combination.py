"""What the posts of one seller hold together: their statistics as if they were one post.

Customers are counted over exposures, each once, so nothing here adds them up. What is counted in rows and values is known a
post at a time, and is *summed* over different posts: a seller's posts hold different rows. It would count some twice that are
the same, so of the versions of an edited post the largest counts alone, and a post is left out of which 0.6 is in the larger
ones together (of 8 or more values; of fewer, all). What stays twice is a value here and there: sums are bounds from above, the
largest post is one from below. A *maximum* is taken where more posts say no more of it: what a post claims to have, the newest
date, the longest run, how many were enrolled. `docs/joined-posts.md` has the whole table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from alerts.grouping.placement import merge, overlap
from alerts.records import Sighting
from ullage.records import Cohort
from ullage.records.counts import counted_in_posts

CONTAINED, COMPARED = 0.6, 8
"""As for a re-post in `alerts.grouping.placement`."""
LARGEST_APART, OFFERS_APART = 4, 2
"""Posts that are judged by themselves: to judge each of a thousand would take longer than a batch may, and the small ones are as
good as never worse."""
SUMMED = "matched_rows corroborated_rows minors customers matches witnesses_comparable witnesses_agreeing bytes".split()
LARGEST = "watchlist cards_enrolled cohort_labels canaries_enrolled".split()
"""What a finding has beside its counts."""


def different(sightings: Iterable[Sighting]) -> list[Sighting]:
    """Those of a seller's posts that hold something of their own, the largest first, in whatever order they came."""
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
    """Those of `posts`, the largest first, that may be worse alone than all together: the largest, and what offers or is bait."""
    offers = [post for post in posts[LARGEST_APART:] if post.alarm or post.canaries]
    return [*posts[:LARGEST_APART], *offers[:OFFERS_APART]]


def size(sighting: Sighting) -> tuple[int, int, str]:
    """By this the largest stands first: most rows, then most customers; the id decides between equals."""
    return (-sighting.rows, -sighting.customers, sighting.id)


def _is_copy(post: Sighting, seen: Sequence[str]) -> bool:
    if len(post.sketch) < COMPARED:
        return bool(post.sketch) and set(post.sketch) <= set(seen)
    found = overlap(post.sketch, seen)
    return found.compared >= COMPARED and found.share >= CONTAINED


def together(posts: Sequence[Sighting]) -> Sighting:
    """`posts`, the largest first, as if they were one; what is not counted is that of the largest."""
    first = posts[0]
    people = sum(post.customers for post in posts)
    update: dict[str, object] = {name: sum(getattr(post, name) for post in posts) for name in SUMMED}
    update |= {name: max(getattr(post, name) for post in posts) for name in LARGEST}
    update |= counted_in_posts(posts)
    update |= {
        "cohorts": _cohorts(posts),
        "replayed": sum(post.replayed * post.customers for post in posts) / people if people else 0.0,
        "replay_of": max(posts, key=lambda post: post.replayed * post.customers).replay_of,
    }
    return first.model_copy(update=update)


def _cohorts(posts: Sequence[Sighting]) -> tuple[Cohort, ...]:
    """Cohorts with the matched of all posts; of those of which a post does not tell there may be more."""
    found: dict[tuple[str, str], Cohort] = {}
    for cohort in (cohort for post in posts for cohort in post.cohorts):
        name = cohort.dimension, cohort.label
        before = found.get(name)
        matched = min(cohort.matched + (before.matched if before else 0), cohort.enrolled)
        found[name] = cohort.model_copy(update={"matched": matched})
    return tuple(found[name] for name in sorted(found))
