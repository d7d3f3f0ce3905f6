"""What is asked of the ledger, on a terminal and on the page: a time, in words; why nothing was seen; a sheet to print."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from alerts.coverage.hours import EVERYWHERE, CoverageWindow, coverage
from alerts.coverage.report import ReportOrigin, printed
from alerts.coverage.sheet import ROLE, DayCheck, stamper_of, standings
from alerts.coverage.time_input import read_time
from alerts.decisions.checked_text import checked_ground
from alerts.records import GapReason, SiteDay
from alerts.store import DocumentFilter, IncidentStore
from ullage.audit import Trail
from ullage.errors import ConfigError
from ullage.phrase import Phrase
from ullage.security import keys
from ullage.security.signed_sheet import TOPIC
from ullage.settings import Context, Language

MOST_DAYS = 62
LONGEST = timedelta(days=31)
"""What one explanation may cover: who would explain a year away explains nothing."""
LAST_NIGHT = "yesterday 18:00"


@dataclass(frozen=True, slots=True)
class CoverageReader:
    """The ledger of this machine as it is asked; times are typed and read in `zone`."""

    context: Context
    store: IncidentStore

    @property
    def zone(self) -> ZoneInfo:
        """The zone of the hours that people type and read."""
        return ZoneInfo(self.context.settings.coverage.zone)

    def seen(self, since: str, until: str = "", site: str = "") -> CoverageWindow:
        """What was seen in a time, of one site or of all; ConfigError says what is wrong with what was typed."""
        now = self.context.clock.now()
        began = read_time(since, now, self.zone)
        ended = read_time(until, now, self.zone, ends=True) if until else now
        if ended > now + timedelta(hours=1) or began >= ended:
            raise ConfigError(Phrase("the end is not after the start, or is in the future"))
        if ended - began > timedelta(days=MOST_DAYS):
            raise ConfigError(Phrase("at most %(days)s days at once: choose a shorter period", days=MOST_DAYS))
        if site:
            self._require(site)
        return coverage(self.store, began, min(ended, now), now, self.context.settings.coverage.gap_minutes, site)

    def standings(self, seen: CoverageWindow) -> list[DayCheck]:
        """How each day of it stands against what alert signed."""
        now = self.context.clock.now()
        return standings(self.store, seen.days, keys.verifier(self.context.keys, TOPIC), stamper_of(self.context), now)

    def explain(
        self, trail: Trail, since: str, until: str, *, site: str, reason: str, by: str, tenants: Collection[str] = ()
    ) -> GapReason:
        """Record why nothing was seen; it is in the audit log first. ConfigError or QueryError says what is wrong.

        `tenants` are those that whoever says so sees, () for all.
        """
        now = self.context.clock.now()
        began, ended = read_time(since, now, self.zone), read_time(until, now, self.zone, ends=True)
        if not timedelta(0) < ended - began <= LONGEST:
            raise ConfigError(Phrase("the end is not after the start, or is more than 31 days later"))
        why = checked_ground(reason)
        if site != EVERYWHERE:
            self._require(site)
        made = GapReason(
            id=f"GAP-{secrets.token_hex(6)}", site=site, since=began, until=ended, at=now, by=by, reason=why,
            tenants=tuple(sorted(tenants)),
        )  # fmt: skip
        what = f"coverage {made.id}: {site or 'all sites'}, {began.isoformat()} to {ended.isoformat()}"
        trail.append("coverage.explain", what, actor=by, tenant="".join(tenants) if len(tenants) == 1 else "", reason=why)
        self.store.create([made])
        return made

    def sheet(self, seen: CoverageWindow, sheets: Sequence[DayCheck], by: str, language: Language) -> tuple[str, bool]:
        """The page to print, and whether it is signed: where the key of alert is not here it is not, and says so."""
        own = self.context.keys
        is_here = own.is_here(f"sign/{ROLE}.key") or bool(own.command)  # asked for elsewhere, a key would be made
        signer = keys.signer(own, ROLE) if is_here else None
        made = ReportOrigin(self.context.clock.now(), by, self.zone, self.zone.key, language)
        return printed(seen, sheets, made, signer), signer is not None

    def _require(self, site: str) -> None:
        if not self.store.count(SiteDay, DocumentFilter({"site": (site,)})):
            raise ConfigError(Phrase("the coverage log has no such site: see `ullage coverage --all`"))


def local(at: datetime, zone: ZoneInfo) -> str:
    """A moment as it is typed."""
    return at.astimezone(zone).strftime("%Y-%m-%dT%H:%M")
