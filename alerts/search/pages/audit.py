"""The audit log: searched, and verified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from alerts.search.menu import MenuEntry
from alerts.search.permissions import may
from alerts.search.query_words import Text
from alerts.search.sheets import FilterField, StatePage, TableCell, TableSection, Tone
from alerts.search.site import Console
from ullage.audit import ChainCheck, entries, walk_all
from ullage.audit.trail import FOLDER
from ullage.phrase import Phrase

MENU = MenuEntry("/audit", Phrase("Audit log"), "audit.read", "state", 4)
SHOWN = 100
DID: Mapping[str, Phrase] = {
    "account.add": Phrase("account made"),
    "account.disable": Phrase("account closed"),
    "account.enable": Phrase("account opened again"),
    "account.locked": Phrase("account locked after wrong passwords"),
    "account.login": Phrase("logged in"),
    "account.login_of": Phrase("way to log in changed"),
    "account.logout": Phrase("logged out"),
    "account.password": Phrase("password changed"),
    "account.refused": Phrase("login refused"),
    "account.roles": Phrase("roles changed"),
    "account.sessions": Phrase("sessions ended"),
    "address.reveal": Phrase("original addresses shown"),
    "bait.stamp": Phrase("bait recorded"),
    "clock.accepted": Phrase("clock said to be right"),
    "coverage.explain": Phrase("gap explained"),
    "customers.export": Phrase("handles taken out"),
    "data.backup": Phrase("data backed up"),
    "evidence.keep": Phrase("evidence held"),
    "evidence.let_go": Phrase("evidence let go"),
    "evidence.open": Phrase("evidence opened"),
    "evidence.pack": Phrase("evidence handed over"),
    "evidence.refused": Phrase("evidence refused"),
    "file.assess": Phrase("file assessed"),
    "file.open": Phrase("file made an incident"),
    "incident.assigned": Phrase("incident assigned"),
    "incident.decide": Phrase("incident decided"),
    "incident.detached": Phrase("sighting taken out"),
    "incident.draft": Phrase("report drafted"),
    "incident.due": Phrase("due date set"),
    "incident.duty": Phrase("duty to report ruled on"),
    "incident.excused": Phrase("called a false positive"),
    "incident.export": Phrase("incidents exported"),
    "incident.hold": Phrase("incident held"),
    "incident.letter": Phrase("letter of takedown written"),
    "incident.linked": Phrase("incidents linked"),
    "incident.release": Phrase("incident's hold ended"),
    "incident.reported": Phrase("report recorded as sent"),
    "incident.takedown": Phrase("takedown recorded"),
    "incident.telling": Phrase("telling customers ruled on"),
    "incident.unlinked": Phrase("link ended"),
    "lookup": Phrase("person looked up"),
    "lookup.limited": Phrase("look-ups over the limit"),
    "lookup.seller": Phrase("seller looked up"),
    "lookup.sweep": Phrase("sweep of numbers noticed"),
    "outcome.report": Phrase("outcome of fraud reported"),
    "rules.use": Phrase("rules put into force"),
    "subject.erase": Phrase("customer erased"),
    "subject.erased": Phrase("customer's erasure proved"),
    "subjects.resolve": Phrase("handles turned into customers"),
    "suppression.add": Phrase("silenced"),
    "suppression.lift": Phrase("silence lifted"),
    "tenant.erase": Phrase("tenant erased"),
    "tenant.erased": Phrase("tenant's erasure proved"),
    "token.add": Phrase("token made"),
    "token.refused": Phrase("token refused"),
    "token.revoke": Phrase("token ended"),
    "watchlist.erase": Phrase("customer erased from a watchlist"),
    "watchlist.install": Phrase("watchlist installed"),
    "watchlist.load": Phrase("watchlist loaded"),
    "watchlist.rotate-key": Phrase("watchlist's key turned"),
    "watchlist.update": Phrase("watchlist updated"),
}
"""What an entry's action is called."""


def did(action: str) -> TableCell:
    """What was done, in words where there are some."""
    return TableCell(DID[action]) if action in DID else TableCell(action, code=True)


def routes() -> APIRouter:
    """The routes of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/audit")
    def shown(
        site: Annotated[Console, may("audit.read")], actor: Text = "", action: Text = "", words: Text = "", verify: Text = ""
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
            sections += [_chains(chains)] if site.principal.sees_all else []  # its numbers count every tenant's entries
        heads = (Phrase("When"), Phrase("Who"), Phrase("Did"), Phrase("To what"), Phrase("Tenant"), Phrase("Why"))
        note = Phrase("the newest first; what is listed is not verified by that")
        more = Phrase("Only the newest %(shown)s are shown: search for older ones.", shown=SHOWN) if len(found) > SHOWN else None
        empty = Phrase("No entry fits.") if actor or action or words else Phrase("Nothing was changed yet.")
        sections.append(TableSection(MENU.name, heads, found[:SHOWN], empty, note, more=more))
        fields = (
            FilterField("actor", Phrase("Who"), actor),
            FilterField("action", Phrase("Did"), action, DID),
            FilterField("words", Phrase("Words"), words),
        )
        sheet = StatePage(
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


def _found(site: Console, actor: str, action: str, words: str) -> list[list[TableCell]]:
    """Entries of tenants that may be seen, the newest first; those of no tenant are for whoever sees all."""
    fits = [
        entry
        for _, entry in entries(site.context.data / FOLDER)
        if actor in ("", entry.actor)
        and (entry.action == action if action in DID else entry.action.startswith(action))
        and (site.principal.sees(entry.tenant) if entry.tenant else site.principal.sees_all)
        and words.lower() in f"{entry.object} {entry.reason}".lower()
    ]
    return [
        [
            TableCell(one.at),
            TableCell(one.actor),
            did(one.action),
            TableCell(one.object),
            TableCell(one.tenant or "–"),
            TableCell(one.reason or "–"),
        ]
        for one in reversed(fits)
    ]


def _chains(chains: Sequence[ChainCheck]) -> TableSection:
    heads = (Phrase("Chain"), Phrase("State"), Phrase("Entries"), Phrase("Last digest"))
    rows = [
        [
            TableCell(chain.name, code=True),
            TableCell(Phrase("as it was written"), tone="good")
            if not chain.faults
            else TableCell("; ".join(f"{fault.file.name}:{fault.line} {fault.what}" for fault in chain.faults[:5]), tone="bad"),
            TableCell(chain.seq),
            TableCell(chain.last[:16], code=True),
        ]
        for chain in chains
    ]
    return TableSection(Phrase("Chains"), heads, rows, Phrase("There is no audit log yet: nothing was changed."))
