"""Search the audit log, and verify it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from alerts.translation import catalogue
from alerts.web.audit_targets import translate_target
from alerts.web.dependencies import Console, Text, require_permission
from alerts.web.templating import (
    READER,
    FilterField,
    MenuEntry,
    StatePage,
    TableCell,
    TableSection,
    Tone,
)
from ullage.audit import AuditEntry, ChainCheck, read_entries, walk_all
from ullage.audit.trail import FOLDER
from ullage.phrase import Phrase

MENU = MenuEntry("/audit", Phrase("Audit log"), "audit.read", "state", 4)
SHOWN = 100
DID: Mapping[str, Phrase] = {
    "account.add": Phrase("account created"),
    "account.disable": Phrase("account disabled"),
    "account.enable": Phrase("account enabled"),
    "account.locked": Phrase("account locked after wrong passwords"),
    "account.login": Phrase("logged in"),
    "account.login_of": Phrase("login method changed"),
    "account.logout": Phrase("logged out"),
    "account.password": Phrase("password changed"),
    "account.refused": Phrase("login refused"),
    "account.roles": Phrase("roles changed"),
    "account.sessions": Phrase("sessions ended"),
    "audit.gap": Phrase("audit log entries missing"),
    "bait.stamp": Phrase("honeytoken recorded"),
    "clock.accepted": Phrase("system clock confirmed"),
    "coverage.explain": Phrase("gap explained"),
    "customers.export": Phrase("customer pseudonyms exported"),
    "data.backup": Phrase("data backed up"),
    "evidence.approve": Phrase("opening of evidence approved"),
    "evidence.ask": Phrase("opening of evidence requested"),
    "evidence.keep": Phrase("evidence on hold"),
    "evidence.let_go": Phrase("evidence hold ended"),
    "evidence.open": Phrase("evidence opened"),
    "evidence.pack": Phrase("evidence exported"),
    "evidence.package": Phrase("evidence package written"),
    "evidence.refused": Phrase("evidence refused"),
    "exposure": Phrase("customers screened"),
    "file.assess": Phrase("file assessed"),
    "file.open": Phrase("incident opened from file"),
    "incident.assigned": Phrase("incident assigned"),
    "incident.decide": Phrase("incident decided"),
    "incident.detached": Phrase("sighting split off"),
    "incident.draft": Phrase("report drafted"),
    "incident.due": Phrase("due date set"),
    "incident.duty": Phrase("reporting obligation decided"),
    "incident.excused": Phrase("marked as false positive"),
    "incident.export": Phrase("incidents exported"),
    "incident.hold": Phrase("incident on hold"),
    "incident.letter": Phrase("takedown letter written"),
    "incident.linked": Phrase("incidents linked"),
    "incident.merged": Phrase("incidents merged"),
    "incident.merged_into": Phrase("merged into another incident"),
    "incident.references_approved": Phrase("request for customer references approved"),
    "incident.references_asked": Phrase("customer references requested"),
    "incident.references_refused": Phrase("request for customer references refused"),
    "incident.references_taken": Phrase("customer references downloaded"),
    "incident.release": Phrase("incident's hold ended"),
    "incident.proposed": Phrase("decision proposed, waiting for a second person"),
    "incident.reported": Phrase("report recorded as sent"),
    "incident.returned": Phrase("false positive reopened"),
    "incident.second_confirmed": Phrase("second person confirmed"),
    "incident.second_refused": Phrase("second person refused"),
    "incident.split": Phrase("incidents split"),
    "incident.split_from": Phrase("split from another incident"),
    "incident.takedown": Phrase("takedown recorded"),
    "incident.telling": Phrase("notification of customers decided"),
    "incident.undone": Phrase("decision undone"),
    "incident.unlinked": Phrase("link ended"),
    "lookup": Phrase("person looked up"),
    "lookup.limited": Phrase("look-up limit exceeded"),
    "lookup.seller": Phrase("seller looked up"),
    "lookup.sweep": Phrase("systematic look-up of numbers detected"),
    "original.reveal": Phrase("original addresses shown"),
    "outcome.report": Phrase("fraud case reported"),
    "handover.write": Phrase("handover of the shift written"),
    "handover.accept": Phrase("handover accepted"),
    "part.loss-accepted": Phrase("loss of a part accepted"),
    "rules.use": Phrase("rules activated"),
    "settings.second_person": Phrase("one person decides reporting deadlines"),
    "source.state": Phrase("source of a leak stated"),
    "subject.erase": Phrase("customer deleted"),
    "subject.erased": Phrase("customer deletion proved"),
    "subjects.over_budget": Phrase("request beyond the daily limit refused"),
    "subjects.resolve": Phrase("customer pseudonyms resolved"),
    "suppression.add": Phrase("suppressed"),
    "suppression.lift": Phrase("suppression lifted"),
    "tenant.erase": Phrase("tenant deleted"),
    "tenant.erased": Phrase("tenant deletion proved"),
    "token.add": Phrase("token created"),
    "token.refused": Phrase("token refused"),
    "token.revoke": Phrase("token revoked"),
    "watchlist.erase": Phrase("customer deleted from a customer list"),
    "watchlist.install": Phrase("customer list installed"),
    "watchlist.load": Phrase("customer list loaded"),
    "watchlist.rotate-key": Phrase("customer list key rotated"),
    "watchlist.transfers": Phrase("data transfers enrolled"),
    "watchlist.update": Phrase("customer list updated"),
}
"""What an entry's action is called."""


def describe_action(action: str) -> TableCell:
    """Return the table cell of an action, in words, or as its code if there are none."""
    return TableCell(DID[action]) if action in DID else TableCell(action, code=True)


def routes() -> APIRouter:
    """Return the routes of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/audit")
    def show_log(
        site: Annotated[Console, require_permission("audit.read")],
        actor: Text = "",
        action: Text = "",
        words: Text = "",
        verify: Text = "",
    ) -> HTMLResponse:
        rows, sections = _find_entries(site, actor.strip(), action.strip(), words.strip()), []
        verdict: Phrase | None = None
        tone: Tone = ""
        if verify:
            chains = walk_all(site.context.data / FOLDER, site.context.keys)
            broken = [chain for chain in chains if chain.faults]
            verdict = (
                Phrase("The audit log was CHANGED.")
                if broken
                else Phrase("All entries are unchanged, and none is missing.")
                if chains
                else Phrase("There is no audit log yet: nothing has been changed.")
            )
            tone = "bad" if broken else "good" if chains else ""
            # its numbers count every tenant's entries
            sections += [_build_chain_table(chains)] if site.principal.sees_all else []
        heads = (
            Phrase("When"),
            Phrase("Who"),
            Phrase("Action"),
            Phrase("Target"),
            Phrase("Tenant"),
            Phrase("Why"),
        )
        note = Phrase("newest first; the list itself is not a verification")
        more = (
            Phrase("Only the newest %(shown)s are shown; search for older ones.", shown=SHOWN)
            if len(rows) > SHOWN
            else None
        )
        empty = (
            Phrase("No matching entries.")
            if actor or action or words
            else Phrase("No changes yet.")
        )
        sections.append(TableSection(MENU.name, heads, rows[:SHOWN], empty, note, more=more))
        fields = (
            FilterField("actor", Phrase("Who"), actor),
            FilterField("action", Phrase("Action"), action, DID),
            FilterField("words", Phrase("Search"), words),
        )
        sheet = StatePage(
            MENU.name,
            tuple(sections),
            verdict,
            tone,
            fields,
            "/audit",
            (("/audit?verify=1", Phrase("Verify log")),),
        )
        return site.page("state.html", sheet=sheet)

    return router


def _find_entries(site: Console, actor: str, action: str, words: str) -> list[list[TableCell]]:
    """Return rows of the matching entries, newest first.

    At most `SHOWN` and one more, which says that there are older ones. Entries of invisible tenants
    are left out; those of no tenant need a principal who sees all.
    """
    matches = [
        entry
        for _, entry in read_entries(site.context.data / FOLDER)
        if actor in ("", entry.actor)
        and (entry.action == action if action in DID else entry.action.startswith(action))
        and (site.principal.sees(entry.tenant) if entry.tenant else site.principal.sees_all)
        and _contains(entry, words.lower())
    ]
    return [
        [
            TableCell(match.at),
            TableCell(match.actor),
            describe_action(match.action),
            TableCell(show_target(match)),
            TableCell(match.tenant or "–"),
            TableCell(match.reason or "–"),
        ]
        for match in reversed(matches[-SHOWN - 1 :])
    ]


def _contains(entry: AuditEntry, words: str) -> bool:
    """Return whether an entry has `words`, in lower case, as stored or as shown."""
    return words in f"{entry.object} {entry.reason} {entry.request}".lower() or (
        not words.isascii() and words in show_target(entry).lower()
    )


def show_target(entry: AuditEntry) -> str:
    """Return the target of an audit entry in the language of the request's reader.

    A target that cannot be translated is returned in English, as it is stored.
    """
    language = READER.get().language
    return (
        entry.object
        if language == "en"
        else translate_target(entry.object, catalogue(language).gettext)
    )


def _build_chain_table(chains: Sequence[ChainCheck]) -> TableSection:
    heads = (Phrase("Chain"), Phrase("State"), Phrase("Entries"), Phrase("Last digest"))
    rows = [
        [
            TableCell(chain.name, code=True),
            TableCell(Phrase("unchanged"), tone="good")
            if not chain.faults
            else TableCell(
                "; ".join(
                    f"{fault.file.name}:{fault.line} {fault.what}" for fault in chain.faults[:5]
                ),
                tone="bad",
            ),
            TableCell(chain.seq),
            TableCell(chain.last[:16], code=True),
        ]
        for chain in chains
    ]
    return TableSection(
        Phrase("Chains"),
        heads,
        rows,
        Phrase("There is no audit log yet: nothing has been changed."),
    )
