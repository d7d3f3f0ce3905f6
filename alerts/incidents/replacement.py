"""An incomplete finding gives way to the whole one of the same capture, whichever comes first and however often.

The id of an incomplete finding is what the whole one has in `served`. So a second incomplete one is a repeat like any other. A
whole one takes its sighting's place: same incident, same time, its own numbers. Each whole one leaves a claim on `served`, so
that an incomplete one that comes late, even after its sighting was replaced, is known to be no news.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from alerts.records import Exposure, Original, Sighting, claim_id
from alerts.store import DocumentFilter, IncidentStore
from alerts.store.merge import Merge
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


def without(exposure: Exposure, replaced: Collection[str]) -> Exposure | None:
    """`exposure` without the sightings that are replaced; None if it has no other.

    What else one of several sightings added to it cannot be told from the rest, and stays.
    """
    left = tuple(sighting for sighting in exposure.sightings if sighting not in replaced)
    return exposure.model_copy(update={"sightings": left}) if left else None


def standing(sightings: Sequence[Sighting]) -> list[Sighting]:
    """Those that no other of them replaces: until the last part of a whole finding is there, both are."""
    whole = {sighting.served for sighting in sightings if not sighting.incomplete}
    return [sighting for sighting in sightings if not (sighting.incomplete and sighting.id in whole)]


def remove(store: IncidentStore, replaced: Iterable[Sighting]) -> None:
    """Take away what is left of sightings that are replaced, themselves last: a crash before that and it is done again.

    ConflictError, as in a crash, where another process writes the same exposures.
    """
    gone, merging = {sighting.id: sighting.incident for sighting in replaced}, Merge(store)
    for incident in set(gone.values()):
        found = store.scroll(Exposure, DocumentFilter({"incident": (incident,)}))
        ids = {exposure.id for exposure in found if not gone.keys().isdisjoint(exposure.sightings)}
        left = {id_: without(exposure, gone) for id_, exposure in merging.mget(Exposure, ids).items()} if ids else {}
        merging.put(exposure for exposure in left.values() if exposure)
        merging.delete(Exposure, [id_ for id_, exposure in left.items() if exposure is None])
    if gone:
        store.delete(Original, gone)
        store.delete(Sighting, gone)
