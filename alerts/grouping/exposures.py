"""Make one exposure per customer, and tell which customers were already known.

Merging is a union with minima and maxima, so it may be repeated and reordered: the parts of a long
finding, a finding that comes twice and a batch that is done again all end in the same document.

Of a large finding 200 customers are asked for, those with the lowest handles: handles are keyed
tags, so that is a fair sample and always the same one. A sale that is mixed from several earlier
leaks is contained in none of them, so what is counted is whether a customer stood in any. An
exposure that chance may have made says nothing of what was known; it is left out. What an incident
loses when its exposures expire, its sketch still tells.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from alerts.grouping.placement import KnownIncident, overlap
from alerts.records import Exposure, exposure_id
from ullage import identifiers
from ullage.identifiers import field_by_kind
from ullage.records import Finding, Match
from ullage.vocabulary.fields import FieldLabel, class_of

MAX_GROUPS = 32
"""Field sets kept a customer; the largest say most about how one can be cheated."""


def exposures_of(finding: Finding, incident: str) -> dict[str, Exposure]:
    """The exposures that this record of `finding` shows, by id."""
    by_subject: dict[str, list[Match]] = defaultdict(list)
    for match in finding.matches:
        by_subject[match.subject].append(match)
    found = (
        _exposure(finding, incident, subject, matches) for subject, matches in by_subject.items()
    )
    return {exposure.id: exposure for exposure in found}


def _exposure(finding: Finding, incident: str, subject: str, matches: Sequence[Match]) -> Exposure:
    rows: dict[tuple[int, int], list[Labels]] = defaultdict(list)
    for match in matches:
        rows[match.member, match.row].append(Labels(match.fields, match.own_fields, match.kind))
    read = {_read(tuple(row)) for row in rows.values()}
    groups, own = {group for group, _ in read}, [labels for _, labels in read]
    seen = finding.capture.fetched_at
    return Exposure(
        id=exposure_id(incident, subject),
        tenant=finding.tenant,
        incident=incident,
        subject=subject,
        kinds=_union(m.kind for m in matches),
        forms=_union(m.form for m in matches),
        fields=_union(label for group in groups for label in group),
        own_fields=_union(label for labels in own for label in labels),
        groups=_largest(groups),
        sites=(finding.capture.site,),
        sightings=(finding.id,),
        index_tags=_union(m.index_tag for m in matches),
        index_epoch=finding.index_epoch,
        first_seen=seen,
        last_seen=seen,
        confidence=max(m.confidence for m in matches),
        corroborated=any(len(labels) > 1 for labels in own),
    )


def merged(one: Exposure, other: Exposure) -> Exposure:
    """Both as one; they must have the same id."""
    return one.model_copy(
        update={
            "kinds": _union((*one.kinds, *other.kinds)),
            "forms": _union((*one.forms, *other.forms)),
            "fields": _union((*one.fields, *other.fields)),
            "own_fields": _union((*one.own_fields, *other.own_fields)),
            "groups": _largest({*one.groups, *other.groups}),
            "sites": _union((*one.sites, *other.sites)),
            "sightings": _union((*one.sightings, *other.sightings)),
            "index_tags": _union((*one.index_tags, *other.index_tags)),
            "index_epoch": max(one.index_epoch, other.index_epoch),
            "first_seen": min(one.first_seen, other.first_seen),
            "last_seen": max(one.last_seen, other.last_seen),
            "confidence": max(one.confidence, other.confidence),
            "corroborated": one.corroborated or other.corroborated,
        }
    )


def one_each(exposures: Iterable[Exposure]) -> Iterable[Exposure]:
    """One exposure a customer, of incidents that are counted together."""
    found: dict[str, Exposure] = {}
    for exposure in exposures:
        before = found.get(exposure.subject)
        found[exposure.subject] = merged(before, exposure) if before else exposure
    return found.values()


def is_verified(exposure: Exposure) -> bool:
    """Whether chance cannot have matched this customer."""
    return identifiers.is_verified(exposure.kinds, corroborated=exposure.corroborated)


class Labels(NamedTuple):
    """What a match says of its row: its labels, those whose values are this very customer's, and
    the kind that was matched.
    """

    fields: tuple[str, ...]
    own_fields: tuple[str, ...]
    kind: str


@lru_cache(maxsize=4096)
def _read(row: tuple[Labels, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A row's labels, and those that are this very customer's, the matched kinds' among them;
    rows of a post are mostly alike.
    """
    kinds = [label.value for match in row if (label := field_by_kind().get(match.kind))]
    own = _union((*(label for match in row for label in match.own_fields), *kinds))
    return _union((*(label for match in row for label in match.fields), *own)), own


def _union(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


def _largest(groups: Iterable[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    return tuple(sorted(groups, key=lambda group: (-len(group), group))[:MAX_GROUPS])


SAMPLE = 200
SAYS_NOTHING = frozenset((FieldLabel.DATE, FieldLabel.AGE, FieldLabel.GENDER, FieldLabel.OTHER))
"""Labels that make no row a new one."""
Seen = dict[str, dict[str, frozenset[str]]]
"""Subject → incident → the labels with which the subject stood in it."""


class Replay(NamedTuple):
    """`share` of the customers that were known, and the incident `of` most of them; "" where
    there were none.
    """

    share: float = 0.0
    of: str = ""


def sample(finding: Finding) -> dict[str, frozenset[str]]:
    """The customers to ask for, each with the labels of their rows."""
    labels: dict[str, set[str]] = defaultdict(set)
    for match in finding.matches:
        labels[match.subject].update(match.fields)
    return {subject: frozenset(labels[subject]) for subject in sorted(labels)[:SAMPLE]}


def remember(seen: Seen, exposures: Iterable[Exposure]) -> None:
    """Add to `seen` what these exposures show of the subjects that it holds already."""
    for exposure in exposures:
        if exposure.subject in seen and (
            is_verified(exposure) or class_of(frozenset(exposure.fields)) != "C"
        ):
            incidents = seen[exposure.subject]
            incidents[exposure.incident] = incidents.get(
                exposure.incident, frozenset()
            ) | frozenset(exposure.fields)


def replay_of(
    finding: Finding, own: Collection[str], seen: Seen, frozen: Iterable[KnownIncident]
) -> Replay:
    """How much of `finding` was known before it came to its `own` incidents; `frozen` are those
    whose people have expired.
    """
    asked = sample(finding)
    known: Counter[str] = Counter()
    customers = 0
    for subject, labels in asked.items():
        before = _with(labels, seen.get(subject, {}), own)
        customers += bool(before)
        known.update(before)
    share = customers / len(asked) if asked else 0.0
    most = min(known, key=lambda id_: (-known[id_], id_), default="")
    return max(
        [Replay(share, most), *(_contained(finding, old) for old in frozen)],
        key=lambda replay: replay.share,
    )


def _with(
    labels: frozenset[str], incidents: Mapping[str, frozenset[str]], own: Collection[str]
) -> list[str]:
    """The other incidents in which the subject stood with all of these labels."""
    wanted = labels - SAYS_NOTHING
    return [
        incident for incident, had in incidents.items() if incident not in own and wanted <= had
    ]


def _contained(finding: Finding, old: KnownIncident) -> Replay:
    """How much of the finding's sketch is the old incident's, if its fields were."""
    fields = frozenset(
        label for group in finding.statistics.groups if group.matched for label in group.fields
    )
    if old.sketch_of != finding.statistics.sketch_of or not fields - SAYS_NOTHING <= old.fields:
        return Replay()
    return Replay(overlap(old.sketch, finding.statistics.sketch).share, old.id)
