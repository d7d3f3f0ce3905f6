"""The ledger as a sheet to print and to hand over: one HTML file for A4, without scripts,
signed.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import groupby
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from alerts.coverage import view
from alerts.coverage.hours import EVERYWHERE, GAP_MINUTES, CoverageHour, CoverageWindow, coverage
from alerts.coverage.judgement import is_covered, is_imported_only
from alerts.coverage.signed_days import ROLE, DayCheck, stamper_of, standings
from alerts.coverage.view import read_time
from alerts.deadlines.schedule import FRESH, known, reports
from alerts.records import GapReason, Incident, SiteDay
from alerts.records.decision import checked_ground
from alerts.records.document import Excerpt
from alerts.store import DocumentFilter, IncidentStore
from alerts.translation import TAGS, catalogue, translated
from ullage import __version__
from ullage.audit import Trail
from ullage.display import safe
from ullage.errors import ConfigError
from ullage.phrase import Phrase, marked
from ullage.records.heartbeat import WHY
from ullage.security import keys
from ullage.security.signing import END, TOPIC, Signer, signed
from ullage.settings import Context, Language, Settings


@dataclass(frozen=True, slots=True)
class ReportOrigin:
    """When and by whom a sheet was made, in which zone it shows its hours, and in which language
    it is.
    """

    at: datetime
    by: str
    zone: tzinfo
    zone_name: str
    language: Language = "en"
    organization: str = ""
    """Whose report it is, as every page says."""


def organization_of(settings: Settings, tenants: Iterable[str], language: Language) -> str:
    """The registered names of `tenants`, of those that have one."""
    entities = [
        settings.tenants[name].entity for name in sorted(tenants) if name in settings.tenants
    ]
    names = [
        (one.name or one.name_en) if language == "zh" else (one.name_en or one.name)
        for one in entities
    ]
    return ("、" if language == "zh" else ", ").join(filter(None, names))


def css_text(text: str) -> Markup:
    r"""`text` as a string of a style sheet, of which it cannot get out.

    >>> css_text('A "bank" </style>')
    Markup('"A \\22 bank\\22  \\3c \\2f style\\3e "')
    """
    signs = (sign if sign.isalnum() or sign in " .,:-–·" else f"\\{ord(sign):x} " for sign in text)
    return Markup(f'"{"".join(signs)}"')  # noqa: S704  every sign that could end it is escaped


def printed(
    seen: CoverageWindow, sheets: Sequence[DayCheck], made: ReportOrigin, signer: Signer | None
) -> str:
    """The file; without a signer it says that it is not signed."""
    pages = Environment(
        loader=PackageLoader("alerts.coverage"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    translations = catalogue(made.language)
    pages.add_extension("jinja2.ext.i18n")
    pages.install_gettext_translations(translations, newstyle=True)  # type: ignore[attr-defined]
    pages.filters["css"] = css_text
    pages.filters["said"] = lambda text: translated(text, translations.gettext, made.zone)
    text = pages.get_template("sheet.html").render(
        _content(seen, sheets, made), lang=TAGS[made.language]
    )
    if signer is None:
        unsigned = translations.gettext(marked("NOT SIGNED: the key of alert is missing here."))
        return f'{text}\n<p class="signed">{unsigned}</p>{END}'
    return signed(text, signer)


def _content(
    seen: CoverageWindow, sheets: Sequence[DayCheck], made: ReportOrigin
) -> dict[str, Any]:
    letters = dict.fromkeys(
        x for row in seen.rows for cell in row.cells if cell.has_gap for x in cell.why
    )
    gaps = [
        {
            "when": view.span(one.since, one.until, made.zone),
            "sites": view.whose(one, len(seen.rows), most=len(seen.rows)),
            "why": view.reasons(one),
            "explained": one.explained,
        }
        for one in view.together(seen.gaps(), made.zone)
    ]
    return {
        "since": _moment(seen.since, made.zone),
        "until": _moment(seen.until, made.zone),
        "judged": _moment(seen.judged, made.zone),
        "zone": made.zone_name,
        "made": _moment(made.at, made.zone),
        "by": made.by,
        "organization": made.organization,
        "version": __version__,
        "verdict": verdict(seen, sheets),
        "has_begun": seen.has_begun,
        "blocks": list(_blocks(seen, made.zone)),
        "letters": [(letter.replace(".", "×"), WHY[letter]) for letter in letters],
        "gaps": gaps,
        "apart": list(view.apart_lines(seen)),
        "sheets": sheets,
    }


@dataclass(frozen=True, slots=True)
class CoverageVerdict:
    """Whether we were blind: `kind` is bad, open, or "" where all is well; `beginning` says of
    what nothing is claimed.
    """

    kind: str
    text: Phrase
    more: Phrase
    beginning: Phrase | None = None


def verdict(seen: CoverageWindow, sheets: Sequence[DayCheck]) -> CoverageVerdict:
    """Return in a line whether there were coverage gaps; no verdict before the log begins."""
    beginning = view.beginning(seen)
    if beginning and not seen.has_begun and all(sheet.holds for sheet in sheets):
        return CoverageVerdict(
            "open",
            beginning,
            Phrase("It begins with the first heartbeat of a crawler; until then no claim is made."),
        )
    kind, text = _judgement(seen, sheets)
    totals = view.totals(seen)
    more = Phrase(
        "%(sites)s sites; fully covered site-hours: %(seen)s of %(scheduled)s; covered minutes:"
        " %(minutes)s of %(all)s; new posts: %(posts)s.",
        sites=totals["sites"],
        seen=totals["hours_seen"],
        scheduled=totals["hours_scheduled"],
        minutes=totals["covered_minutes"],
        all=totals["scheduled_minutes"],
        posts=totals["posts"],
    )
    return CoverageVerdict(kind or ("open" if beginning else ""), text, more, beginning)


def _judgement(seen: CoverageWindow, sheets: Sequence[DayCheck]) -> tuple[str, Phrase]:
    """Return kind and text of a verdict."""
    if not all(sheet.holds for sheet in sheets):
        return "bad", Phrase(
            "The coverage log was changed after it was signed: this report proves nothing."
        )
    if bare := len(seen.unexplained()):
        one = Phrase("1 unexplained coverage gap.")
        return "bad", one if bare == 1 else Phrase("%(gaps)s unexplained coverage gaps.", gaps=bare)
    if late := len(seen.pending()):
        return "open", Phrase("Sites that cannot be assessed yet: %(sites)s.", sites=late)
    if seen.gaps():
        return "open", Phrase("All coverage gaps are explained.")
    return _judge_without_gaps(seen)


def _judge_without_gaps(seen: CoverageWindow) -> tuple[str, Phrase]:
    """Return kind and text where nothing is known to be missing: good only where something was
    read.
    """
    if is_imported_only(seen.level):
        return "open", Phrase("No site was read: there is only what other programs import.")
    if not is_covered(seen.level):
        return "bad", Phrase("Nothing to monitor: no site was to be read.")
    if view.totals(seen)["missed_minutes"]:
        return "", Phrase("No coverage gap of %(minutes)s minutes or more.", minutes=GAP_MINUTES)
    return "", Phrase("Full coverage: every active site was read.")


def _blocks(seen: CoverageWindow, zone: tzinfo) -> Iterator[dict[str, Any]]:
    """A table for every 24 hours."""
    hours = [cell.at for cell in seen.rows[0].cells] if seen.rows else []
    for first in range(0, len(hours), view.COLUMNS):
        some = hours[first : first + view.COLUMNS]
        local = [at.astimezone(zone) for at in some]
        days = [(day, len(list(group))) for day, group in groupby(f"{at:%Y-%m-%d}" for at in local)]
        yield {
            "heads": [f"{at:%H}" if not at.minute else f"{at:%H:%M}" for at in local],
            "days": days,
            "rows": [
                (safe(row.site), [_cell(cell) for cell in row.cells[first : first + view.COLUMNS]])
                for row in seen.rows
            ],
            "canaries": [at in seen.canaries for at in some] if seen.canaries else [],
        }


def _cell(cell: CoverageHour) -> dict[str, str]:
    kind = "explained" if cell.explained and cell.has_gap else cell.state
    letter = next(iter(cell.why), "").replace(".", "×")
    marks = {
        "seen": str(cell.posts),
        "off": "-",
        "open": "…",
        "blind": letter,
        "partly": letter if letter != "×" else "~",
    }
    return {"kind": kind, "text": marks[cell.state]}


def _moment(at: datetime, zone: tzinfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"


@dataclass(frozen=True, slots=True)
class Night:
    """Of the incidents of a time: `lag` is seconds from publication to the incident, the median and
    the most; None of none.

    `unread` are ids of incidents of which not all was read. Reports that fell due in it, of rules
    whose text was read: `kept` in time, `late`, and `missed`, which were not sent yet. What was
    decided after `known` is not in these three; None is where nobody has counted them.
    """

    incidents: int
    timed: int
    lag: tuple[float, float] | None
    unread: tuple[str, ...]
    kept: int
    late: int
    missed: int
    known: datetime | None
    is_fresh: bool
    """All that was decided until now, but for some minutes, is in what is said of reports."""


class _NightIncident(Excerpt):
    """What of an incident tells of a night."""

    id: str
    publish_seconds: float | None
    incomplete: tuple[str, ...] = ()


def night(store: IncidentStore, since: datetime, until: datetime, now: datetime) -> Night:
    """What is known of the time from `since` until `until`."""
    opened = list(
        store.excerpts(Incident, DocumentFilter(since=since, before=until), _NightIncident)
    )
    lags = [one.publish_seconds for one in opened if one.publish_seconds is not None]
    unread = tuple(sorted(one.id for one in opened if one.incomplete))
    lag = (median(lags), max(lags)) if lags else None
    counted_until = known(store)  # before what it is said of
    count = reports(store, since, until) if counted_until else {}
    return Night(
        len(opened),
        len(lags),
        lag,
        unread,
        count.get("kept", 0),
        count.get("late", 0),
        count.get("missed", 0),
        counted_until,
        counted_until is not None and now - counted_until <= FRESH,
    )


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
        """What was seen in a time, of one site or of all; ConfigError says what is wrong with
        what was typed.
        """
        now = self.context.clock.now()
        began = read_time(since, now, self.zone)
        ended = read_time(until, now, self.zone, ends=True) if until else now
        if ended > now + timedelta(hours=1) or began >= ended:
            raise ConfigError(Phrase("the end is not after the start, or is in the future"))
        if ended - began > timedelta(days=MOST_DAYS):
            raise ConfigError(
                Phrase("at most %(days)s days at once: choose a shorter period", days=MOST_DAYS)
            )
        if site:
            self._require(site)
        return coverage(self.store, began, min(ended, now), now, site)

    def standings(self, seen: CoverageWindow) -> list[DayCheck]:
        """How each day of it stands against what alert signed."""
        now = self.context.clock.now()
        return standings(
            self.store,
            seen.days,
            keys.verifier(self.context.keys, TOPIC),
            stamper_of(self.context),
            now,
        )

    def explain(
        self,
        trail: Trail,
        since: str,
        until: str,
        *,
        site: str,
        reason: str,
        by: str,
        tenants: Collection[str] = (),
    ) -> GapReason:
        """Record why nothing was seen; it is in the audit log first.

        ConfigError or QueryError says what is wrong.

        `tenants` are those that whoever says so sees, () for all.
        """
        now = self.context.clock.now()
        began, ended = read_time(since, now, self.zone), read_time(until, now, self.zone, ends=True)
        if not timedelta(0) < ended - began <= LONGEST:
            raise ConfigError(
                Phrase("the end is not after the start, or is more than 31 days later")
            )
        why = checked_ground(reason)
        if site != EVERYWHERE:
            self._require(site)
        made = GapReason(
            id=f"GAP-{secrets.token_hex(6)}", site=site, since=began, until=ended, at=now, by=by,
            reason=why,
            tenants=tuple(sorted(tenants)),
        )  # fmt: skip
        what = (
            f"coverage {made.id}: {site or 'all sites'}, {began.isoformat()} to {ended.isoformat()}"
        )
        trail.append(
            "coverage.explain",
            what,
            actor=by,
            tenant="".join(tenants) if len(tenants) == 1 else "",
            reason=why,
        )
        self.store.create([made])
        return made

    def sheet(
        self,
        seen: CoverageWindow,
        sheets: Sequence[DayCheck],
        by: str,
        language: Language,
        tenants: Iterable[str] = (),
    ) -> tuple[str, bool]:
        """The page to print, and whether it is signed: where the key of alert is not here it is
        not, and says so.

        Its head names the organisations of `tenants`.
        """
        own = self.context.keys
        # asked for elsewhere, a key would be made
        is_here = own.is_here(f"sign/{ROLE}.key") or bool(own.command)
        signer = keys.signer(own, ROLE) if is_here else None
        whose = organization_of(self.context.settings, tenants, language)
        made = ReportOrigin(self.context.clock.now(), by, self.zone, self.zone.key, language, whose)
        return printed(seen, sheets, made, signer), signer is not None

    def _require(self, site: str) -> None:
        if not self.store.count(SiteDay, DocumentFilter({"site": (site,)})):
            raise ConfigError(
                Phrase("the coverage log has no such site: see `ullage coverage --all`")
            )


def local(at: datetime, zone: ZoneInfo) -> str:
    """A moment as it is typed."""
    return at.astimezone(zone).strftime("%Y-%m-%dT%H:%M")
