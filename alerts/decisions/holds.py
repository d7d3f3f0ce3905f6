"""Holding an incident: what belongs to it does not expire while a case needs it, its sealed evidence included.

A hold and its end are documents that are only ever added; the last one counts. Evidence lies with match, as files: where its
folder is here each sighting's file is marked, again every hour, because an incident that is held may be seen once more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from alerts.read.query import incident_named
from alerts.records import Hold, Incident, Sighting
from alerts.store import DocumentFilter, IncidentStore
from ullage.audit import Trail
from ullage.clock import Clock, behind
from ullage.custody.vault import Vault
from ullage.errors import ConfigError
from ullage.phrase import Phrase


def last_words(store: IncidentStore) -> dict[str, Hold]:
    """The hold, or the end of one, that counts now, by incident."""
    return {one.incident: one for one in sorted(store.scroll(Hold, DocumentFilter()), key=lambda one: (one.at, one.id))}


def held(store: IncidentStore) -> set[str]:
    """The ids of the incidents that are held now, with their parts."""
    return with_parts(store, (incident for incident, one in last_words(store).items() if not one.released))


def with_parts(store: IncidentStore, incidents: Iterable[str]) -> set[str]:
    """These ids and those of their parts, whose facts are theirs."""
    wanted = set(incidents)
    return wanted.union(*(one.family for one in store.mget(Incident, wanted).values()))


def findings_of(store: IncidentStore, incidents: Iterable[str]) -> set[str]:
    """The findings that were folded into them and their parts, by which evidence is named."""
    wanted = with_parts(store, incidents)
    return {sighting.id for sighting in store.scroll(Sighting, DocumentFilter({"incident": wanted}))} if wanted else set()


def mark(store: IncidentStore, vault: Vault) -> int:
    """Mark the evidence of every held incident; returns how many files that are."""
    return vault.hold(findings_of(store, held(store))) if vault.root.is_dir() else 0


@dataclass(frozen=True, slots=True)
class Holds:
    """Where holds are set and ended: each is in the audit log first."""

    store: IncidentStore
    vault: Vault
    trail: Trail
    clock: Clock

    def set(self, incident: str, *, by: str, case: str, reason: str) -> int:
        """Hold `incident`; returns how many files of evidence are marked. ConfigError when there is no such incident."""
        self._append(incident, by, case, reason, released=False)
        return self.vault.hold(findings_of(self.store, [incident]))

    def release(self, incident: str, *, by: str, case: str, reason: str) -> int:
        """End a hold; returns how many files may expire again. ConfigError when it is not held."""
        last = last_words(self.store).get(incident)
        if last is None or last.released:
            raise ConfigError(Phrase("this incident is not on hold"))
        self._append(incident, by, case, reason, released=True)
        return self.vault.release(findings_of(self.store, [incident]) - findings_of(self.store, held(self.store)))

    def _append(self, incident: str, by: str, case: str, reason: str, *, released: bool) -> None:
        found = incident_named(self.store, incident)
        what, former = "release" if released else "hold", last_words(self.store).get(incident)
        now = behind(self.clock.now(), [former.at] if former else ())
        self.trail.append(f"incident.{what}", incident, actor=by, tenant=found.tenant, reason=f"case {case}: {reason}")
        made = Hold(
            id=f"{incident}:{now.timestamp():.6f}:{what}", tenant=found.tenant, incident=incident, at=now, by=by, case=case,
            reason=reason, released=released,
        )  # fmt: skip
        self.store.create([made])
