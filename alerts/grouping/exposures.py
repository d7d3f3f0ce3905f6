"""Build one exposure per customer, and measure how many customers were already known.

Merging exposures is a union with minima and maxima, so it may be repeated and reordered: the parts
of a long finding, a finding that arrives twice and a batch that is processed again all end in the
same document.

To recognise old data on sale again, up to 200 customers of a finding are looked up: those with the
lowest pseudonyms. Pseudonyms are keyed tags, so this is a fair sample and always the same one. A
sale that is mixed from several earlier leaks is contained in none of them, so a customer counts if
any earlier incident had them. Exposures that may have matched by chance are ignored. Where the
exposures of an old incident have expired, its sketch is compared instead.
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
from ullage.vocabulary.fields import FieldLabel, classify

MAX_GROUPS = 32
"""Field sets stored per customer; the largest say most about the risk of fraud."""


def build_exposures(finding: Finding, incident: str) -> dict[str, Exposure]:
    """Return one exposure per customer who matches in this record of `finding`, by exposure id.

    An exposure says which data of a customer an incident has; `incident` is that incident's id. A
    finding may come in several records, so other records may have more of the same customer.
    """
    by_subject: dict[str, list[Match]] = defaultdict(list)
    for match in finding.matches:
        by_subject[match.subject].append(match)
    exposures = (
        _build_exposure(finding, incident, subject, matches)
        for subject, matches in by_subject.items()
    )
    return {exposure.id: exposure for exposure in exposures}


def _build_exposure(
    finding: Finding, incident: str, subject: str, matches: Sequence[Match]
) -> Exposure:
    rows: dict[tuple[int, int], list[Labels]] = defaultdict(list)
    for match in matches:
        rows[match.member, match.row].append(Labels(match.fields, match.own_fields, match.kind))
    labels_by_row = {_collect_labels(tuple(row)) for row in rows.values()}
    groups, own_labels = (
        {group for group, _ in labels_by_row},
        [labels for _, labels in labels_by_row],
    )
    fetched_at = finding.capture.fetched_at
    return Exposure(
        id=exposure_id(incident, subject),
        tenant=finding.tenant,
        incident=incident,
        subject=subject,
        kinds=_union(m.kind for m in matches),
        forms=_union(m.form for m in matches),
        fields=_union(label for group in groups for label in group),
        own_fields=_union(label for labels in own_labels for label in labels),
        groups=_largest(groups),
        sites=(finding.capture.site,),
        sightings=(finding.id,),
        index_tags=_union(m.index_tag for m in matches),
        index_epoch=finding.index_epoch,
        first_seen=fetched_at,
        last_seen=fetched_at,
        confidence=max(m.confidence for m in matches),
        corroborated=any(len(labels) > 1 for labels in own_labels),
    )


def merge_exposures(first: Exposure, second: Exposure) -> Exposure:
    """Return the union of two exposures of one customer: all kinds, fields, sites and sightings.

    The period spans the two periods, and the higher confidence counts. The id is that of `first`.
    """
    return first.model_copy(
        update={
            "kinds": _union((*first.kinds, *second.kinds)),
            "forms": _union((*first.forms, *second.forms)),
            "fields": _union((*first.fields, *second.fields)),
            "own_fields": _union((*first.own_fields, *second.own_fields)),
            "groups": _largest({*first.groups, *second.groups}),
            "sites": _union((*first.sites, *second.sites)),
            "sightings": _union((*first.sightings, *second.sightings)),
            "index_tags": _union((*first.index_tags, *second.index_tags)),
            "index_epoch": max(first.index_epoch, second.index_epoch),
            "first_seen": min(first.first_seen, second.first_seen),
            "last_seen": max(first.last_seen, second.last_seen),
            "confidence": max(first.confidence, second.confidence),
            "corroborated": first.corroborated or second.corroborated,
        }
    )


def merge_by_customer(exposures: Iterable[Exposure]) -> Iterable[Exposure]:
    """Return one exposure per customer: the union of all `exposures` of that customer.

    Used for incidents that are counted together.
    """
    by_subject: dict[str, Exposure] = {}
    for exposure in exposures:
        before = by_subject.get(exposure.subject)
        by_subject[exposure.subject] = merge_exposures(before, exposure) if before else exposure
    return by_subject.values()


def is_verified(exposure: Exposure) -> bool:
    """Return whether the match of this customer cannot be explained by chance."""
    return identifiers.is_verified(exposure.kinds, corroborated=exposure.corroborated)


class Labels(NamedTuple):
    """The labels of a matched row.

    `own_fields` are the labels whose values belong to this very customer; `kind` is the matched
    identifier kind.
    """

    fields: tuple[str, ...]
    own_fields: tuple[str, ...]
    kind: str


@lru_cache(maxsize=4096)
def _collect_labels(row: tuple[Labels, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return all labels of a row, and those that belong to this very customer.

    The labels of the matched kinds are in both. Cached, because the rows of a post are mostly
    alike.
    """
    kinds = [label.value for match in row if (label := field_by_kind().get(match.kind))]
    own_labels = _union((*(label for match in row for label in match.own_fields), *kinds))
    return _union((*(label for match in row for label in match.fields), *own_labels)), own_labels


def _union(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


def _largest(groups: Iterable[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    return tuple(sorted(groups, key=lambda group: (-len(group), group))[:MAX_GROUPS])


SAMPLE = 200
SAYS_NOTHING = frozenset((FieldLabel.DATE, FieldLabel.AGE, FieldLabel.GENDER, FieldLabel.OTHER))
"""Labels that do not make a row new."""
Seen = dict[str, dict[str, frozenset[str]]]
"""Subject → incident → the labels that the incident had of the subject."""


class Replay(NamedTuple):
    """How much of a finding was known before.

    `share` is the fraction of its customers that were known; `of` is the incident that most of them
    were in, "" if none was known.
    """

    share: float = 0.0
    of: str = ""


def sample_customers(finding: Finding) -> dict[str, frozenset[str]]:
    """Return up to `SAMPLE` customers of a finding, to look up in earlier incidents.

    The result maps pseudonyms to the field labels of the customer's rows. The customers with the
    lowest pseudonyms are taken, so every process takes the same ones.
    """
    labels: dict[str, set[str]] = defaultdict(set)
    for match in finding.matches:
        labels[match.subject].update(match.fields)
    return {subject: frozenset(labels[subject]) for subject in sorted(labels)[:SAMPLE]}


def remember(seen: Seen, exposures: Iterable[Exposure]) -> None:
    """Add to `seen`, for its customers, the incident and field labels of each exposure.

    An exposure of a customer who is no key of `seen` is ignored. So is an exposure that chance may
    explain and whose fields are all of class C, the least sensitive.
    """
    for exposure in exposures:
        if exposure.subject in seen and (
            is_verified(exposure) or classify(frozenset(exposure.fields)) != "C"
        ):
            incidents = seen[exposure.subject]
            incidents[exposure.incident] = incidents.get(
                exposure.incident, frozenset()
            ) | frozenset(exposure.fields)


def measure_replay(
    finding: Finding, own: Collection[str], seen: Seen, frozen: Iterable[KnownIncident]
) -> Replay:
    """Return the share of a finding's sampled customers that earlier incidents already had.

    The result also names the earlier incident with most of them. Incidents in `own` are not
    compared, because the finding belongs to them. `frozen` are earlier incidents whose exposures
    have expired and which are compared by sketch; the largest share counts.
    """
    sampled = sample_customers(finding)
    customers_by_incident: Counter[str] = Counter()
    customers = 0
    for subject, labels in sampled.items():
        earlier = _find_earlier_incidents(labels, seen.get(subject, {}), own)
        customers += bool(earlier)
        customers_by_incident.update(earlier)
    share = customers / len(sampled) if sampled else 0.0
    largest = min(
        customers_by_incident, key=lambda id_: (-customers_by_incident[id_], id_), default=""
    )
    return max(
        [Replay(share, largest), *(_measure_frozen_replay(finding, old) for old in frozen)],
        key=lambda replay: replay.share,
    )


def _find_earlier_incidents(
    labels: frozenset[str], incidents: Mapping[str, frozenset[str]], own: Collection[str]
) -> list[str]:
    """Return the incidents, except `own`, that had the subject with all these labels."""
    required = labels - SAYS_NOTHING
    return [
        incident
        for incident, known_labels in incidents.items()
        if incident not in own and required <= known_labels
    ]


def _measure_frozen_replay(finding: Finding, incident: KnownIncident) -> Replay:
    """Return how much of the finding's sketch is in a frozen incident that had all its fields."""
    fields = frozenset(
        label for group in finding.statistics.groups if group.matched for label in group.fields
    )
    if (
        incident.sketch_of != finding.statistics.sketch_of
        or not fields - SAYS_NOTHING <= incident.fields
    ):
        return Replay()
    return Replay(overlap(incident.sketch, finding.statistics.sketch).share, incident.id)
