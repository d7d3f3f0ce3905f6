"""The facts of a batch's incidents, read together: a store on another machine is asked a few times a batch, not for each.

Sightings are few and read at once. The customers of many small incidents are read at once as well, those of a large one by
themselves and as they are counted: an incident may have millions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from alerts.records import Exposure, Sighting
from alerts.store import IncidentStore, Where

HELD = 5_000
"""Customers that are held at once."""
Families = Mapping[str, Sequence[str]]
"""By incident its own id and those of its parts."""


class FactsOf(NamedTuple):
    """What an incident is worked out of: its sightings, the incidents of others that are linked to it, its customers."""

    sightings: list[Sighting]
    linking: set[str]
    exposures: Iterable[Exposure]


def read_facts(store: IncidentStore, families: Families, sizes: Mapping[str, int]) -> Iterator[tuple[str, FactsOf]]:
    """The facts of each incident with its parts; `sizes` says how many customers it has at most.

    What is given is to be read before the next is asked for.
    """
    members = {one for family in families.values() for one in family}
    within, linking = defaultdict[str, list[Sighting]](list), defaultdict[str, set[str]](set)
    for sighting in store.scroll(Sighting, Where({"incident": [*members]})):
        within[sighting.incident].append(sighting)
    for sighting in store.scroll(Sighting, Where({"linked": [*members]})):
        for other in sighting.linked:
            linking[other].add(sighting.incident)
    for some in _groups(families, sizes):
        people = _people(store, {one for id_ in some for one in families[id_]}) if len(some) > 1 else None
        for id_ in some:
            family = families[id_]
            theirs = chain.from_iterable(people[one] for one in family) if people is not None else _streamed(store, family)
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
    found = defaultdict[str, list[Exposure]](list)
    for exposure in store.scroll(Exposure, Where({"incident": [*incidents]})):
        found[exposure.incident].append(exposure)
    return found


def _streamed(store: IncidentStore, family: Sequence[str]) -> Iterator[Exposure]:
    """The customers of one incident, one after the other; nothing is asked until the first is."""
    yield from store.scroll(Exposure, Where({"incident": family}))
