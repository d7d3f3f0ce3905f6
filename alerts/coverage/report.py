"""The ledger as a sheet to print and to hand over: one HTML file for A4, without scripts, signed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from alerts.coverage import render
from alerts.coverage.hours import CoverageHour, CoverageWindow
from alerts.coverage.sheet import DayCheck
from alerts.language import TAGS, catalogue, translated
from ullage import __version__
from ullage.display.render import safe
from ullage.phrase import Phrase, marked
from ullage.records.hours import WHY
from ullage.security.signed_sheet import END, signed
from ullage.security.signing import Signer
from ullage.settings import Language


@dataclass(frozen=True, slots=True)
class ReportOrigin:
    """When and by whom a sheet was made, in which zone it shows its hours, and in which language it is."""

    at: datetime
    by: str
    zone: tzinfo
    zone_name: str
    language: Language = "en"


def printed(seen: CoverageWindow, sheets: Sequence[DayCheck], made: ReportOrigin, signer: Signer | None) -> str:
    """The file; without a signer it says that it is not signed."""
    pages = Environment(
        loader=PackageLoader("alerts.coverage"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    translations = catalogue(made.language)
    pages.add_extension("jinja2.ext.i18n")
    pages.install_gettext_translations(translations, newstyle=True)  # type: ignore[attr-defined]
    pages.filters["said"] = lambda text: translated(text, translations.gettext, made.zone)
    text = pages.get_template("sheet.html").render(_content(seen, sheets, made), lang=TAGS[made.language])
    if signer is None:
        unsigned = translations.gettext(marked("NOT SIGNED: the key of alert is missing here."))
        return f'{text}\n<p class="signed">{unsigned}</p>{END}'
    return signed(text, signer)


def _content(seen: CoverageWindow, sheets: Sequence[DayCheck], made: ReportOrigin) -> dict[str, Any]:
    letters = dict.fromkeys(x for row in seen.rows for cell in row.cells if cell.state in {"blind", "partly"} for x in cell.why)
    gaps = [
        {
            "when": render.span(one.since, one.until, made.zone),
            "sites": render.whose(one, len(seen.rows), most=len(seen.rows)),
            "why": render.reasons(one),
            "explained": one.explained,
        }
        for one in render.together(seen.gaps(), made.zone)
    ]
    return {
        "since": _moment(seen.since, made.zone),
        "until": _moment(seen.until, made.zone),
        "judged": _moment(seen.judged, made.zone),
        "zone": made.zone_name,
        "made": _moment(made.at, made.zone),
        "by": made.by,
        "version": __version__,
        "verdict": verdict(seen, sheets),
        "blocks": list(_blocks(seen, made.zone)),
        "letters": [(letter.replace(".", "×"), WHY[letter]) for letter in letters],
        "gaps": gaps,
        "apart": list(render.apart_lines(seen)),
        "sheets": sheets,
    }


@dataclass(frozen=True, slots=True)
class CoverageVerdict:
    """Whether we were blind: `kind` is bad, open, or "" where all is well."""

    kind: str
    text: Phrase
    more: Phrase


def verdict(seen: CoverageWindow, sheets: Sequence[DayCheck]) -> CoverageVerdict:
    """In a line whether we were blind."""
    told, gaps = render.totals(seen), seen.gaps()
    more = Phrase(
        "%(sites)s sites; fully covered site-hours: %(seen)s of %(judged)s; new posts: %(posts)s.",
        sites=told["sites"],
        seen=told["hours_seen"],
        judged=told["hours_seen"] + told["hours_blind"] + told["hours_partly"],
        posts=told["posts"],
    )
    if not all(sheet.holds for sheet in sheets):
        return CoverageVerdict(
            "bad", Phrase("The coverage log was changed after it was signed: this report proves nothing."), more
        )
    if bare := len(seen.unexplained()):
        one = Phrase("1 unexplained coverage gap.")
        return CoverageVerdict("bad", one if bare == 1 else Phrase("%(gaps)s unexplained coverage gaps.", gaps=bare), more)
    if late := len(seen.pending()):
        text = Phrase("Sites that cannot be assessed yet: %(sites)s.", sites=late)
        return CoverageVerdict("open", text, more)
    if gaps:
        return CoverageVerdict("open", Phrase("All coverage gaps are explained."), more)
    if not told["hours_seen"]:
        return CoverageVerdict("bad", Phrase("Nothing to monitor: no site was to be read."), more)
    return CoverageVerdict("", Phrase("Full coverage: every active site was read."), more)


def _blocks(seen: CoverageWindow, zone: tzinfo) -> Iterator[dict[str, Any]]:
    """A table for every 24 hours."""
    hours = [cell.at for cell in seen.rows[0].cells] if seen.rows else []
    for first in range(0, len(hours), render.COLUMNS):
        some = hours[first : first + render.COLUMNS]
        local = [at.astimezone(zone) for at in some]
        days = [(day, len(list(group))) for day, group in groupby(f"{at:%Y-%m-%d}" for at in local)]
        yield {
            "heads": [f"{at:%H}" if not at.minute else f"{at:%H:%M}" for at in local],
            "days": days,
            "rows": [(safe(row.site), [_cell(cell) for cell in row.cells[first : first + render.COLUMNS]]) for row in seen.rows],
            "canaries": [at in seen.canaries for at in some] if seen.canaries else [],
        }


def _cell(cell: CoverageHour) -> dict[str, str]:
    kind = "explained" if cell.explained and cell.state in {"blind", "partly"} else cell.state
    letter = next(iter(cell.why), "").replace(".", "×")
    marks = {"seen": str(cell.posts), "off": "-", "open": "…", "blind": letter, "partly": letter if letter != "×" else "~"}
    return {"kind": kind, "text": marks[cell.state]}


def _moment(at: datetime, zone: tzinfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"
