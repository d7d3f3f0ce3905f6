"""Rules: how precise each was, by what people confirmed, reported or called false."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse

from alerts.noise.background import BACKGROUND, Rules
from alerts.rules.dry import MOST_DAYS, USUAL_DAYS, decided
from alerts.rules.precision import Precision, precisions
from alerts.rules.told import marks_now
from alerts.search.language import READER
from alerts.search.may import may
from alerts.search.menu import Entry
from alerts.search.sheets import Cell, Section, Sheet
from alerts.search.site import Site
from alerts.store.within import StoreWithin
from ullage.errors import ConfigError
from ullage.phrase import Phrase

MENU = Entry("/rules", Phrase("Rules"), "rules.read", "state", 2)
Reader = Annotated[Site, may("rules.read")]
Days = Annotated[int, Query(ge=1, le=MOST_DAYS)]
AGED_DAYS = 90
"""A rule that has not fired for so long is worth a look: sellers have moved on, or it no longer says what they do."""
GROUPS = {
    "scenario": Phrase("Scenarios"),
    "adder": Phrase("What raises or lowers the score"),
    "background": Phrase("Background rules"),
    "theme": Phrase("Themes of the lexicon"),
}


def routes() -> APIRouter:
    """The route of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/rules")
    def shown(site: Reader, days: Days = USUAL_DAYS) -> HTMLResponse:
        return _page(site, days)

    @router.post("/rules/dry")
    def tried(
        site: Reader, text: Annotated[str, Form()] = "", days: Annotated[int, Form(ge=1, le=MOST_DAYS)] = USUAL_DAYS
    ) -> HTMLResponse:
        try:
            rules = BACKGROUND.read(text, "rules")
        except ConfigError as error:
            return _page(site, days, text, error)
        return _page(site, days, text, rules=rules)

    return router


def _page(site: Site, days: int, text: str = "", refused: Exception | None = None, rules: Rules | None = None) -> HTMLResponse:
    """Precision of every rule, and what background rules would have hidden in the last days, as of some minutes ago."""
    kept, own = site.told.read(), site.background()
    marked = marks_now(site.store, kept)
    tenants = site.store.tenants if isinstance(site.store, StoreWithin) else None
    if rules is None and days == USUAL_DAYS and own == kept.value.rules:
        ran = kept.value.decided.shown(marked, tenants)
    else:
        ran = decided(site.store, rules or own, site.clock.now() - timedelta(days=days)).shown(marked)
    found = precisions(kept.value.fired, marked, site.context.rules(), own, tenants)
    values = {"days": days, "longest": MOST_DAYS, "text": text, "ran": ran, "tried": rules is not None, "fault": refused}
    values |= {"at": kept.at, "minutes": round(kept.seconds / 60)}
    return site.page("rules.html", 400 if refused else 200, sheet=_precision(site, found), **values)


def _precision(site: Site, found: Sequence[Precision]) -> Sheet:
    aged = site.clock.now() - timedelta(days=AGED_DAYS)
    kinds = dict.fromkeys(one.kind for one in found)
    sections = tuple(_section(kind, [one for one in found if one.kind == kind], aged) for kind in kinds)
    marked = sum(one.real + one.false for one in found if one.kind == "scenario")
    verdict = (
        Phrase("%(marked)s judgements of people stand behind these figures.", marked=f"{marked:,}")
        if marked
        else Phrase("Nobody has confirmed an incident or called one false yet, so no precision is known.")
    )
    return Sheet(MENU.name, sections, verdict, "good" if marked else "unsure", links=((f"{MENU.path}#dry", Phrase("Dry run")),))


def _section(kind: str, rules: Sequence[Precision], aged: datetime) -> Section:
    """Rules of a kind, those that fired most first; those that never did are folded away."""
    fired = sorted((one for one in rules if one.incidents), key=lambda one: -one.incidents)
    rest = [one for one in rules if not one.incidents]
    old = sum(one.last is None or one.last < aged for one in rules)
    heads = (Phrase("Rule"), Phrase("Fired"), Phrase("Real"), Phrase("False"), Phrase("Precision"), Phrase("Last"))
    return Section(
        GROUPS.get(kind, Phrase("Other rules")),
        heads,
        [_line(one) for one in fired],
        Phrase("None."),
        note=Phrase("%(old)s of %(all)s have not fired for %(days)s days", old=old, all=len(rules), days=AGED_DAYS),
        rest=[_line(one) for one in rest],
        rest_title=Phrase("%(count)s that never fired", count=len(rest)),
    )


def _line(one: Precision) -> list[Cell]:
    share = f"{one.share:.0%}" if one.share is not None else "–"
    title = one.title_zh if READER.get().language == "zh" else one.title
    figures = Cell(one.incidents), Cell(one.real), Cell(one.false), Cell(share, right=True)
    return [Cell(title[:1].upper() + title[1:], below=one.id), *figures, Cell(one.last or "–")]
