"""Replay: which of a finding's customers stood with the same fields in other incidents before.

Of a large finding 200 customers are asked for, those with the lowest handles: handles are keyed tags, so that is a fair sample
and always the same one. A sale that is mixed from several earlier leaks is contained in none of them, so what is counted is
whether a customer stood in any. An exposure that chance may have made says nothing of what was known; it is left out. What an
incident loses when its exposures expire, its sketch still tells.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from alerts.incidents.exposures import is_verified
from alerts.incidents.fold import KnownIncident
from alerts.incidents.sketch import overlap
from alerts.records import Exposure
from ullage.records import Finding
from ullage.vocabulary.fields import FieldLabel, class_of

SAMPLE = 200
SAYS_NOTHING = frozenset((FieldLabel.DATE, FieldLabel.AGE, FieldLabel.GENDER, FieldLabel.OTHER))
"""Labels that make no row a new one."""
Seen = dict[str, dict[str, frozenset[str]]]
"""Subject → incident → the labels with which the subject stood in it."""


class Replay(NamedTuple):
    """`share` of the customers that were known, and the incident `of` most of them; "" where there were none."""

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
        if exposure.subject in seen and (is_verified(exposure) or class_of(frozenset(exposure.fields)) != "C"):
            incidents = seen[exposure.subject]
            incidents[exposure.incident] = incidents.get(exposure.incident, frozenset()) | frozenset(exposure.fields)


def replay_of(finding: Finding, own: Collection[str], seen: Seen, frozen: Iterable[KnownIncident]) -> Replay:
    """How much of `finding` was known before it came to its `own` incidents; `frozen` are those whose people have expired."""
    asked = sample(finding)
    known: Counter[str] = Counter()
    customers = 0
    for subject, labels in asked.items():
        before = _with(labels, seen.get(subject, {}), own)
        customers += bool(before)
        known.update(before)
    share = customers / len(asked) if asked else 0.0
    most = min(known, key=lambda id_: (-known[id_], id_), default="")
    return max([Replay(share, most), *(_contained(finding, old) for old in frozen)], key=lambda replay: replay.share)


def _with(labels: frozenset[str], incidents: Mapping[str, frozenset[str]], own: Collection[str]) -> list[str]:
    """The other incidents in which the subject stood with all of these labels."""
    wanted = labels - SAYS_NOTHING
    return [incident for incident, had in incidents.items() if incident not in own and wanted <= had]


def _contained(finding: Finding, old: KnownIncident) -> Replay:
    """How much of the finding's sketch is the old incident's, if its fields were."""
    fields = frozenset(label for group in finding.statistics.groups if group.matched for label in group.fields)
    if old.sketch_of != finding.statistics.sketch_of or not fields - SAYS_NOTHING <= old.fields:
        return Replay()
    return Replay(overlap(old.sketch, finding.statistics.sketch).share, old.id)
