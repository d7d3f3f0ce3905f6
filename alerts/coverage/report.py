"""Render the coverage log as a signed report to print: one HTML file for A4, without scripts."""

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
from alerts.coverage.hours import (
    EVERYWHERE,
    GAP_MINUTES,
    CoverageHour,
    CoverageWindow,
    read_coverage,
)
from alerts.coverage.judgement import has_only_imports, is_covered
from alerts.coverage.signed_days import ROLE, DayCheck, check_days, open_stamper
from alerts.coverage.view import read_time
from alerts.deadlines.schedule import FRESH, count_reports, read_known_until
from alerts.records import GapReason, Incident, SiteDay
from alerts.records.decision import validate_grounds
from alerts.records.document import Excerpt
from alerts.store import DocumentFilter, IncidentStore
from alerts.translation import TAGS, catalogue, translated
from ullage import __version__
from ullage.audit import Trail
from ullage.display import safe
from ullage.errors import ConfigError
from ullage.phrase import Phrase, mark_for_translation
from ullage.records.heartbeat import WHY
from ullage.security import keys
from ullage.security.keys import KeyStore
from ullage.security.signing import END, TOPIC, Signer, sign_report
from ullage.settings import Context, Language, Settings


@dataclass(frozen=True, slots=True)
class ReportOrigin:
    """When and by whom a report was made, its time zone and its language.

    `zone_name` is the name of `zone` that the report prints.
    """

    at: datetime
    by: str
    zone: tzinfo
    zone_name: str
    language: Language = "en"
    organization: str = ""
    """The owner of the report, named on every page."""


def format_organizations(settings: Settings, tenants: Iterable[str], language: Language) -> str:
    """Join the registered names of `tenants`, sorted by tenant, in the given language.

    If a name is missing in that language, the name in the other one is used. Tenants that have none
    or are not in `settings` are left out; the result is "" if no name is left.
    """
    entities = [
        settings.tenants[name].entity for name in sorted(tenants) if name in settings.tenants
    ]
    names = [
        (entity.name or entity.name_en) if language == "zh" else (entity.name_en or entity.name)
        for entity in entities
    ]
    return ("、" if language == "zh" else ", ").join(filter(None, names))


def css_text(text: str) -> Markup:
    r"""Return `text` as a quoted string of a style sheet that cannot be ended from within.

    >>> css_text('A "bank" </style>')
    Markup('"A \\22 bank\\22  \\3c \\2f style\\3e "')
    """
    signs = (sign if sign.isalnum() or sign in " .,:-–·" else f"\\{ord(sign):x} " for sign in text)
    return Markup(f'"{"".join(signs)}"')  # noqa: S704  every sign that could end it is escaped


def render_report(
    window: CoverageWindow, sheets: Sequence[DayCheck], origin: ReportOrigin, signer: Signer | None
) -> str:
    """Render the report as one HTML file, with its signature at the end.

    `sheets` are the checked days of the window. Without a signer the report states that it is not
    signed.
    """
    pages = Environment(
        loader=PackageLoader("alerts.coverage"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    translations = catalogue(origin.language)
    pages.add_extension("jinja2.ext.i18n")
    pages.install_gettext_translations(translations, newstyle=True)  # type: ignore[attr-defined]
    pages.filters["css"] = css_text
    pages.filters["said"] = lambda text: translated(text, translations.gettext, origin.zone)
    text = pages.get_template("sheet.html").render(
        _template_values(window, sheets, origin), lang=TAGS[origin.language]
    )
    if signer is None:
        unsigned = translations.gettext(
            mark_for_translation("NOT SIGNED: the key of alert is missing here.")
        )
        return f'{text}\n<p class="signed">{unsigned}</p>{END}'
    return sign_report(text, signer)


def _template_values(
    window: CoverageWindow, sheets: Sequence[DayCheck], origin: ReportOrigin
) -> dict[str, Any]:
    """Return the values of the report's template."""
    letters = dict.fromkeys(
        x for row in window.rows for cell in row.cells if cell.has_gap for x in cell.why
    )
    gaps = [
        {
            "when": view.format_span(gap.since, gap.until, origin.zone),
            "sites": view.name_sites(gap, len(window.rows), most=len(window.rows)),
            "why": view.list_reasons(gap),
            "explained": gap.explained,
        }
        for gap in view.merge_gaps(window.gaps(), origin.zone)
    ]
    return {
        "since": _format_moment(window.since, origin.zone),
        "until": _format_moment(window.until, origin.zone),
        "judged": _format_moment(window.judged, origin.zone),
        "zone": origin.zone_name,
        "made": _format_moment(origin.at, origin.zone),
        "by": origin.by,
        "organization": origin.organization,
        "version": __version__,
        "verdict": verdict(window, sheets),
        "has_begun": window.has_begun,
        "blocks": list(_iterate_blocks(window, origin.zone)),
        "letters": [(letter.replace(".", "×"), WHY[letter]) for letter in letters],
        "gaps": gaps,
        "apart": list(view.describe_exceptions(window)),
        "sheets": sheets,
    }


@dataclass(frozen=True, slots=True)
class CoverageVerdict:
    """Whether there were coverage gaps: `kind` is bad, open, or "" where there were none.

    `beginning` states for which part no claim is made.
    """

    kind: str
    text: Phrase
    more: Phrase
    beginning: Phrase | None = None


def verdict(window: CoverageWindow, sheets: Sequence[DayCheck]) -> CoverageVerdict:
    """Return whether there were coverage gaps, in one sentence, with the numbers.

    It is bad if a signed day was changed, a gap is unexplained, or no site was to be read. It is
    open if sites cannot be assessed yet, if all gaps are explained, if there are only imports, or
    if the log begins within the time. If the log had not begun by the end of the time and no signed
    day was changed, the result is open, and its text makes no claim.
    """
    beginning = view.describe_beginning(window)
    if beginning and not window.has_begun and all(sheet.holds for sheet in sheets):
        return CoverageVerdict(
            "open",
            beginning,
            Phrase("It begins with the first heartbeat of a crawler; until then no claim is made."),
        )
    kind, text = _judge(window, sheets)
    totals = view.compute_totals(window)
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


def _judge(window: CoverageWindow, sheets: Sequence[DayCheck]) -> tuple[str, Phrase]:
    """Return kind and text of a verdict.

    The first that applies counts: a changed log ("bad"), unexplained gaps ("bad"), sites not
    assessed yet ("open"), explained gaps ("open").
    """
    if not all(sheet.holds for sheet in sheets):
        return "bad", Phrase(
            "The coverage log was changed after it was signed: this report proves nothing."
        )
    if bare := len(window.find_unexplained()):
        single = Phrase("1 unexplained coverage gap.")
        return "bad", single if bare == 1 else Phrase(
            "%(gaps)s unexplained coverage gaps.", gaps=bare
        )
    if late := len(window.pending()):
        return "open", Phrase("Sites that cannot be assessed yet: %(sites)s.", sites=late)
    if window.gaps():
        return "open", Phrase("All coverage gaps are explained.")
    return _judge_without_gaps(window)


def _judge_without_gaps(window: CoverageWindow) -> tuple[str, Phrase]:
    """Return kind and text where no gap is known.

    It is "open" where posts were only imported, "bad" where nothing was to be read. The verdict is
    good only where something was read.
    """
    if has_only_imports(window.level):
        return "open", Phrase("No site was read: there is only what other programs import.")
    if not is_covered(window.level):
        return "bad", Phrase("Nothing to monitor: no site was to be read.")
    if view.compute_totals(window)["missed_minutes"]:
        return "", Phrase("No coverage gap of %(minutes)s minutes or more.", minutes=GAP_MINUTES)
    return "", Phrase("Full coverage: every active site was read.")


def _iterate_blocks(window: CoverageWindow, zone: tzinfo) -> Iterator[dict[str, Any]]:
    """Yield the values of a table for every 24 hours."""
    hours = [cell.at for cell in window.rows[0].cells] if window.rows else []
    for first in range(0, len(hours), view.COLUMNS):
        block = hours[first : first + view.COLUMNS]
        local = [at.astimezone(zone) for at in block]
        days = [(day, len(list(group))) for day, group in groupby(f"{at:%Y-%m-%d}" for at in local)]
        yield {
            "heads": [f"{at:%H}" if not at.minute else f"{at:%H:%M}" for at in local],
            "days": days,
            "rows": [
                (
                    safe(row.site),
                    [_cell_values(cell) for cell in row.cells[first : first + view.COLUMNS]],
                )
                for row in window.rows
            ],
            "canaries": [at in window.canaries for at in block] if window.canaries else [],
        }


def _cell_values(cell: CoverageHour) -> dict[str, str]:
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


def _format_moment(at: datetime, zone: tzinfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"


@dataclass(frozen=True, slots=True)
class Night:
    """What happened in a night; `lag` is (median, maximum) seconds from publication to incident.

    `lag` is None without incidents of known lag; `unread` are ids of incidents that were not
    read completely. Of the reports that fell due, under rules whose text was read, `kept` were
    sent in time, `late` after it and `missed` not yet. Decisions after `known` are not counted
    in these three; None means that nobody has counted them.
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
    """Whether the counts of reports include all decisions but those of the last minutes."""


class _NightIncident(Excerpt):
    """What of an incident tells of a night."""

    id: str
    publish_seconds: float | None
    incomplete: tuple[str, ...] = ()


def summarize_night(store: IncidentStore, since: datetime, until: datetime, now: datetime) -> Night:
    """Count the incidents opened and the reports due from `since` until before `until`.

    A window ends with a full hour, so `until` may be after `now`: only reports that were due before
    `now` count, because a later one can still be sent in time.
    Reports are counted only as far as alert has computed them (`Night.known`). `Night.is_fresh`
    says whether that is at most five minutes before `now`.
    """
    opened = list(
        store.excerpts(Incident, DocumentFilter(since=since, before=until), _NightIncident)
    )
    lags = [incident.publish_seconds for incident in opened if incident.publish_seconds is not None]
    unread = tuple(sorted(incident.id for incident in opened if incident.incomplete))
    lag = (median(lags), max(lags)) if lags else None
    counted_until = read_known_until(store)  # before what it is said of
    count = count_reports(store, since, min(until, now)) if counted_until else {}
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
"""The longest time of one explanation: explaining a whole year would explain nothing."""
LAST_NIGHT = "yesterday 18:00"


@dataclass(frozen=True, slots=True)
class CoverageReader:
    """Reads the coverage log of this machine; people type and read times in `zone`."""

    context: Context
    store: IncidentStore

    @property
    def zone(self) -> ZoneInfo:
        """The zone of the hours that people type and read."""
        return ZoneInfo(self.context.settings.coverage.zone)

    def read_window(self, since: str, until: str = "", site: str = "") -> CoverageWindow:
        """Return the coverage of one site, or of all for "", in a time as people type it.

        For the formats, see `alerts.coverage.view.read_time`; an empty `until` is the present.
        Raises ConfigError for an invalid time, one of over 62 days, an end that is before the start
        or more than an hour ahead, or a site that the log does not have.
        """
        now = self.context.clock.now()
        began = read_time(since, now, self.zone)
        ended = read_time(until, now, self.zone, ends=True) if until else now
        if ended > now + timedelta(hours=1) or began >= ended:
            raise ConfigError(Phrase("the end must be after the start, and not in the future"))
        if ended - began > timedelta(days=MOST_DAYS):
            raise ConfigError(
                Phrase("at most %(days)s days at once: choose a shorter period", days=MOST_DAYS)
            )
        if site:
            self._require_site(site)
        return read_coverage(self.store, began, min(ended, now), now, site)

    def check_days(self, window: CoverageWindow) -> list[DayCheck]:
        """Check each day of a window against what alert signed, in the same order.

        Raises ConfigError if a signer's public key is damaged, or if the time-stamping authority of
        the settings cannot be used.
        """
        now = self.context.clock.now()
        return check_days(
            self.store,
            window.days,
            keys.load_verifier(self.context.keys, TOPIC),
            open_stamper(self.context),
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
        """Record the reason of the gaps in a time, and return it.

        It is written to the audit log first, then to the store. `since` and `until` are as people
        type them, at most 31 days apart. `site` "" stands for all sites. `by` is the person's name.
        `tenants` are those that this person may see, () for all. No gap needs to exist. Raises
        ConfigError for an invalid time or an unknown site, and QueryError for a reason that is
        empty, too long or contains an identifier; then nothing is recorded.
        """
        now = self.context.clock.now()
        began, ended = read_time(since, now, self.zone), read_time(until, now, self.zone, ends=True)
        if not timedelta(0) < ended - began <= LONGEST:
            raise ConfigError(Phrase("the end must be after the start, by at most 31 days"))
        why = validate_grounds(reason)
        if site != EVERYWHERE:
            self._require_site(site)
        explanation = GapReason(
            id=f"GAP-{secrets.token_hex(6)}", site=site, since=began, until=ended, at=now, by=by,
            reason=why,
            tenants=tuple(sorted(tenants)),
        )  # fmt: skip
        what = (
            f"coverage {explanation.id}: {site or 'all sites'},"
            f" {began.isoformat()} to {ended.isoformat()}"
        )
        trail.append(
            "coverage.explain",
            what,
            actor=by,
            tenant="".join(tenants) if len(tenants) == 1 else "",
            reason=why,
        )
        self.store.create([explanation])
        return explanation

    def render(
        self,
        window: CoverageWindow,
        sheets: Sequence[DayCheck],
        by: str,
        language: Language,
        tenants: Iterable[str] = (),
    ) -> tuple[str, bool]:
        """Return the report as HTML, and whether it is signed.

        `by` is the name of its author. The head names the organisations of `tenants`. Without the
        key of alert it is not signed, and states so; no key is made here.
        """
        signer = find_signer(self.context.keys)
        organization = format_organizations(self.context.settings, tenants, language)
        origin = ReportOrigin(
            self.context.clock.now(), by, self.zone, self.zone.key, language, organization
        )
        return render_report(window, sheets, origin, signer), signer is not None

    def _require_site(self, site: str) -> None:
        if not self.store.count(SiteDay, DocumentFilter({"site": (site,)})):
            raise ConfigError(
                Phrase("the coverage log has no such site: see `ullage coverage --all`")
            )


def find_signer(key_store: KeyStore) -> Signer | None:
    """Return alert's signer; None on a machine that does not have its key, where none is made."""
    is_here = key_store.is_available(f"sign/{ROLE}.key") or bool(key_store.command)
    return keys.load_signer(key_store, ROLE) if is_here else None


def to_typed(at: datetime, zone: ZoneInfo) -> str:
    """Return a moment in `zone` in the format in which people type it: `2026-11-25T18:00`."""
    return at.astimezone(zone).strftime("%Y-%m-%dT%H:%M")
