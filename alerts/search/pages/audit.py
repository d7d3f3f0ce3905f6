"""The audit log: searched, and verified."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from alerts.search.asked import Text
from alerts.search.may import may
from alerts.search.menu import Entry
from alerts.search.sheets import Cell, Section, Sheet, Tone
from alerts.search.site import Site
from ullage.audit import Chain, entries, walk_all
from ullage.audit.trail import FOLDER
from ullage.phrase import Phrase

MENU = Entry("/audit", Phrase("Audit log"), "audit.read", "state", 4)
SHOWN = 100


def routes() -> APIRouter:
    """The routes of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/audit")
    def shown(
        site: Annotated[Site, may("audit.read")], actor: Text = "", action: Text = "", words: Text = "", verify: Text = ""
    ) -> HTMLResponse:
        found, sections = _found(site, actor.strip(), action.strip(), words.strip()), []
        verdict: Phrase | None = None
        tone: Tone = ""
        if verify:
            chains = walk_all(site.context.data / FOLDER, site.context.keys)
            broken = [chain for chain in chains if chain.faults]
            verdict = (
                Phrase("The audit log is NOT as it was written.")
                if broken
                else Phrase("Every entry is as it was written, and none is missing.")
                if chains
                else Phrase("There is no audit log yet: nothing was changed.")
            )
            tone = "bad" if broken else "good" if chains else ""
            sections.append(_chains(chains))
        heads = (Phrase("When"), Phrase("Who"), Phrase("Did"), Phrase("To what"), Phrase("Tenant"), Phrase("Why"))
        note = Phrase("the newest first; what is listed is not verified by that")
        more = Phrase("Only the newest %(shown)s are shown: search for older ones.", shown=SHOWN) if len(found) > SHOWN else None
        empty = Phrase("No entry fits.") if actor or action or words else Phrase("Nothing was changed yet.")
        sections.append(Section(MENU.name, heads, found[:SHOWN], empty, note, more=more))
        fields = (
            ("actor", Phrase("Who"), actor),
            ("action", Phrase("Action begins with"), action),
            ("words", Phrase("Words"), words),
        )
        sheet = Sheet(
            MENU.name,
            tuple(sections),
            verdict,
            tone,
            fields,
            "/audit",
            (("/audit?verify=1", Phrase("Verify the log")),),
        )
        return site.page("state.html", sheet=sheet)

    return router


def _found(site: Site, actor: str, action: str, words: str) -> list[list[Cell]]:
    """Entries of tenants that may be seen, the newest first; those of no tenant are for whoever sees all."""
    fits = [
        entry
        for _, entry in entries(site.context.data / FOLDER)
        if actor in ("", entry.actor)
        and entry.action.startswith(action)
        and (site.principal.sees(entry.tenant) if entry.tenant else site.principal.sees_all)
        and words.lower() in f"{entry.object} {entry.reason}".lower()
    ]
    return [
        [
            Cell(one.at),
            Cell(one.actor),
            Cell(one.action, code=True),
            Cell(one.object),
            Cell(one.tenant or "–"),
            Cell(one.reason or "–"),
        ]
        for one in reversed(fits)
    ]


def _chains(chains: Sequence[Chain]) -> Section:
    heads = (Phrase("Chain"), Phrase("State"), Phrase("Entries"), Phrase("Last digest"))
    rows = [
        [
            Cell(chain.name, code=True),
            Cell(Phrase("as it was written"), tone="good")
            if not chain.faults
            else Cell("; ".join(f"{fault.file.name}:{fault.line} {fault.what}" for fault in chain.faults[:5]), tone="bad"),
            Cell(chain.seq),
            Cell(chain.last[:16], code=True),
        ]
        for chain in chains
    ]
    return Section(Phrase("Chains"), heads, rows, Phrase("There is no audit log yet: nothing was changed."))
