"""What the roles stand on: bus, store, audit log, keys, sealed evidence."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from ullage.bus import CAPTURES, DEAD_LETTERS, FINDINGS, Retention
from ullage.settings.knobs import Count, Seconds, Section, knob, known_zone


class BusSettings(Section):
    """Where records travel between stages."""

    url: str = knob("sqlite:///bus", "sqlite:///FOLDER on one machine, kafka://HOST:PORT on many, spool:///DIR across a gap")
    captures: str = knob("", "topic captures alone, behind a gap: spool:///DIR that the carrier fills; the bus above by default")
    captures_hours: Seconds = knob(24.0, "sealed captures are read within minutes; the law asks for the least", "hours")
    findings_days: Seconds = knob(7.0, "long enough to replay a week after a mistake in alert", "days")
    dead_letters_days: Seconds = knob(7.0, "a week to look at what could not be processed, then gone", "days")
    max_bytes: Count = knob(8 * 2**30, "a topic never fills the disk", "bytes")

    def retention(self) -> dict[str, Retention]:
        """Retention a topic."""
        return {
            CAPTURES: Retention(self.captures_hours * 3600, self.max_bytes),
            FINDINGS: Retention(self.findings_days * 86400, self.max_bytes),
            DEAD_LETTERS: Retention(self.dead_letters_days * 86400, self.max_bytes),
        }


class StoreSettings(Section):
    """Where incidents are kept."""

    url: str = knob("sqlite:///incidents.sqlite", "sqlite:///FILE on one machine, elasticsearch://HOST:PORT on many")
    exposures_days: Seconds = knob(180.0, "an exposure names a customer's handle: kept while it is useful (PIPL 19)", "days")
    incidents_days: Seconds = knob(1095.0, "processing records are kept three years (PIPL 56)", "days")
    coverage_days: Seconds = knob(400.0, "what was seen of each site: a year's audit may come a month late", "days")


class CoverageSettings(Section):
    """The ledger of what was seen of each site and hour; see `alerts.coverage`."""

    zone: str = knob("Asia/Shanghai", "the zone of the hours that people type and read; what is kept is in UTC")
    gap_minutes: Annotated[float, Field(ge=5, le=60, allow_inf_nan=False)] = knob(
        10.0, "blind for so long is a gap: two visits of a site that is visited every 5 minutes", "minutes"
    )
    timestamp_url: str = knob("", "time-stamping authority (RFC 3161) for each day's sheet, https://…; empty: not time-stamped")
    timestamp_ca: str = knob("", "file with its root certificate (PEM), relative to the data folder: stamps are verified by it")

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        return known_zone(zone)

    @model_validator(mode="after")
    def _authority(self) -> Self:
        if self.timestamp_url and not self.timestamp_ca:
            raise ValueError("timestamp_url has no timestamp_ca: a stamp that nobody can verify proves nothing")
        return self


class OriginalSettings(Section):
    """Addresses, titles, authors and members' names of posts, sealed to the desk; see `ullage.custody.originals`."""

    keep: bool = knob(True, "seal them; without them nobody can find the post again, for a takedown or a court")
    days: Seconds = knob(30.0, "long enough for a takedown; `ullage incidents hold` keeps what a case needs", "days")
    alarm_after: Count = knob(20, "so many titles, authors and names are revealed in a shift before an alarm", "reveals")
    shift_hours: Seconds = knob(8.0, "how long a shift is", "hours")


class AuditSettings(Section):
    """The log of what was changed, by whom and why."""

    days: Annotated[float, Field(ge=183, allow_inf_nan=False)] = knob(
        1095.0, "at least six months (Cybersecurity Law 23(3)); three years as processing records (PIPL 56)", "days"
    )


class KeySettings(Section):
    """Where keys are read from; see `ullage.security.keys`."""

    folder: str = knob("keys", "one 0600 file a key, relative to the data folder")
    command: tuple[str, ...] = knob((), "program that prints a key in hex when run with its name (KMS, Vault)")


class EvidenceSettings(Section):
    """Sealed evidence of what is `high` or above, for tenants that turn it on; see `ullage.custody`."""

    folder: str = knob("evidence", "sealed files, relative to the data folder")
    officers: tuple[str, ...] = knob((), "the two officers who open it together; keys/evidence/NAME.pub is in the key folder")
    days: Seconds = knob(180.0, "as long as exposures; `ullage incidents hold` keeps what a case needs", "days")
    max_bytes: Count = knob(8 * 2**30, "evidence never fills the disk; beyond it none is kept, and that is counted", "bytes")
