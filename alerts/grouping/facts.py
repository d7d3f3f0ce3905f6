"""The facts of a batch's incidents, read together: a store on another machine is asked a few times a batch, not for each.

Sightings are few and read at once. The customers of many small incidents are read at once as well, those of a large one by
themselves and as they are counted: an incident may have millions. Those of an incident of which the store had nothing before are
not read back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from alerts.records import Exposure, Sighting
from alerts.store import DocumentFilter, IncidentStore

HELD = 5_000
"""Customers that are held at once."""
Families = Mapping[str, Sequence[str]]
"""By incident its own id and those of its parts."""


class FactsOf(NamedTuple):
    """What an incident is worked out of: its sightings, the incidents of others that are linked to it, its customers."""

    sightings: list[Sighting]
    linking: set[str]
    exposures: Iterable[Exposure]


class NewFacts(NamedTuple):
    """What a batch itself brings and has written: the ids of new `posts`, and all `customers` of each incident new with them."""

    posts: Collection[str]
    customers: Mapping[str, Sequence[Exposure]]


def read_facts(
    store: IncidentStore, families: Families, sizes: Mapping[str, int], came: NewFacts
) -> Iterator[tuple[str, FactsOf]]:
    """The facts of each incident with its parts; `sizes` says how many customers it has at most.

    What is given is to be read before the next is asked for. The customers that `came` stand for those of an incident unless it
    has a post that did not come with them, of another process.
    """
    members = {one for family in families.values() for one in family}
    within, linking = defaultdict[str, list[Sighting]](list), defaultdict[str, set[str]](set)
    for sighting in store.scroll(Sighting, DocumentFilter({"incident": [*members]})):
        within[sighting.incident].append(sighting)
    for sighting in store.scroll(Sighting, DocumentFilter({"linked": [*members]})):
        for other in sighting.linked:
            linking[other].add(sighting.incident)
    held = {one: people for one, people in came.customers.items() if all(post.id in came.posts for post in within[one])}
    for some in _groups(families, sizes):
        asked = {one for id_ in some for one in families[id_]} - held.keys()
        people = {**held, **_people(store, asked)} if len(some) > 1 else held
        for id_ in some:
            family = families[id_]
            theirs = chain.from_iterable(people.get(one, ()) for one in family)
            if len(some) == 1:
                theirs = chain(theirs, _streamed(store, [one for one in family if one not in held]))
            yield id_, FactsOf([s for one in family for s in within[one]], {i for one in family for i in linking[one]}, theirs)


def _groups(families: Families, sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """The incidents, in groups that have no more customers than may be held; a larger one comes alone."""
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
