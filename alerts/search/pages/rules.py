"""Rules: how precise each was, by what people confirmed, reported or called false."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from alerts.rules.precision import Precision, precisions
from alerts.search.language import READER
from alerts.search.may import may
from alerts.search.menu import Entry
from alerts.search.sheets import Cell, Section, Sheet
from alerts.search.site import Site
from ullage.phrase import Phrase

MENU = Entry("/rules", Phrase("Rules"), "rules.read", "state", 2)
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
    def shown(site: Annotated[Site, may("rules.read")]) -> HTMLResponse:
        found = precisions(site.store, site.context.rules(), site.background())
        kinds = dict.fromkeys(one.kind for one in found)
        heads = (Phrase("Rule"), Phrase("Says"), Phrase("Fired"), Phrase("Real"), Phrase("False"), Phrase("Precision"))
        sections = tuple(
            Section(
                GROUPS.get(kind, Phrase("Other rules")), heads, [_line(one) for one in found if one.kind == kind], Phrase("None.")
            )
            for kind in kinds
        )
        marked = sum(one.real + one.false for one in found if one.kind == "scenario")
        verdict = (
            Phrase("%(marked)s judgements of people stand behind these figures.", marked=marked)
            if marked
            else Phrase("Nobody has confirmed an incident or called one false yet, so no precision is known.")
        )
        return site.page("state.html", sheet=Sheet(MENU.name, sections, verdict, "good" if marked else "unsure"))

    return router


def _line(one: Precision) -> list[Cell]:
    share = f"{one.share:.0%}" if one.share is not None else "–"
    title = one.title_zh if READER.get().language == "zh" else one.title
    return [Cell(one.id, code=True), Cell(title), Cell(one.incidents), Cell(one.real), Cell(one.false), Cell(share)]
