"""Show one incident: what it is, what to do next, and every action that is possible."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from alerts.cases.actions import (
    MOST_DAYS,
    REASONS,
    STATES,
    TAKEDOWN,
    USUAL_DAYS,
    describe_removals,
    find_links,
)
from alerts.cases.decisions import TOKEN_BYTES
from alerts.cases.evidence import reveal_addresses, vault_of
from alerts.cases.fraud_cases import tally
from alerts.cases.incident_list import (
    IncidentDetails,
    customers_csv,
    load_details,
)
from alerts.cases.incident_view import describe, describe_pending, history
from alerts.cases.outgoing import outgoing_sightings
from alerts.cases.progress import CaseAct, find_later, find_unfinished, list_acts
from alerts.cases.references import ReferenceRequest, State, find_requests
from alerts.cases.regrouping import find_merged
from alerts.cases.report import ReportForm as Written
from alerts.cases.report import ReportLanguage, case_of, page, render_draft
from alerts.cases.second_person import ends_of
from alerts.cases.suppressions import find_suppressed
from alerts.cases.takedown_letter import LANGUAGES, notice_of, render_letter
from alerts.cases.two_officers import TwoOfficers
from alerts.deadlines import CHANNELS, Regime, get_sent_at, get_tenant_regimes
from alerts.deadlines.outstanding import Duty, IncidentDeadlines
from alerts.deadlines.render import STAGES, clock_words, duration, name_report
from alerts.deadlines.schedule import (
    build_item,
    find_assignee,
    find_takedown_state,
    find_task_date,
    format_duty,
)
from alerts.records import Decision, Incident, PendingDecision
from alerts.records.document import QueryError
from alerts.web.dependencies import Console, Text, redact_form, require_permission
from alerts.web.dropped_files import Judge
from alerts.web.incident_changes import (
    carry_out,
    find_actor,
    open_cases,
    record_reports,
)
from alerts.web.listed_customers import CustomersShown, list_customers
from alerts.web.next_action import list_buttons
from alerts.web.refused_form import PART_OF, RefusedForm, find_field
from alerts.web.templating import READER
from ullage.display import safe
from ullage.errors import ConfigError
from ullage.phrase import Phrase
from ullage.runtime.assessing import folder_of

DECISIONS: Mapping[str, Phrase] = {
    "confirmed": Phrase("Confirm as our leak"),
    "resolved": Phrase("Resolve"),
    "note": Phrase("Note only"),
    "telling_approved": Phrase("DPO: customers may be notified"),
    "telling_withdrawn": Phrase("DPO: customers may no longer be notified"),
}
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PART_AFTER: Mapping[str, str] = {
    "reported": "#clocks", "acknowledged": "", "assigned": "", "due": "", "second_confirmed": "",
    "second_refused": "",
}  # fmt: skip
"""Which part of the page is shown after a form of it; the history where nothing is said."""
ANSWERS = ("second_confirmed", "second_refused")
FAULT = b'id="fault"'
"""What marks the error on the page of a refused form."""
MOST_TYPED = 5_000
MOST_REPORTS = 32
"""Of an incident, that one form may record."""
GONE = Phrase("This incident does not exist; it may have passed its retention.")
Typed = Annotated[str, Form(max_length=MOST_TYPED)]
Several = Annotated[list[str] | None, Form(max_length=MOST_REPORTS)]
Reader = Annotated[Console, require_permission("incident.read")]
Decider = Annotated[Console, require_permission("incident.decide")]


async def _read_references(request: Request) -> dict[str, str]:
    """Return the authorities' references of the form, by `reference REGIME`."""
    fields = (await request.form()).multi_items()
    return {
        name: text[:MOST_TYPED]
        for name, text in fields
        if name.startswith("reference ") and isinstance(text, str)
    }


def routes() -> APIRouter:
    """Return the routes of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/incidents/{id_}")
    def incident(
        site: Reader,
        id_: str,
        shown: Annotated[CustomersShown, Depends()],
        did: Text = "",
    ) -> HTMLResponse:
        return show_incident(site, id_, customers=shown, did=did)

    @router.post("/incidents/{id_}/decisions")
    def decide(  # noqa: PLR0917  the fields of the page's forms
        site: Decider,
        id_: str,
        references: Annotated[dict[str, str], Depends(_read_references)],
        status: Typed = "",
        note: Typed = "",
        token: Typed = "",
        to: Typed = "",
        due: Typed = "",
        reason: Typed = "",
        days: Typed = "",
        state: Typed = "",
        other: Typed = "",
        sighting: Typed = "",
        entry: Several = None,
        sent_at: Typed = "",
        channel: Typed = "",
        reference: Typed = "",
        no_reference: Typed = "",
        report: Several = None,
        seen: Typed = "",
    ) -> Response:
        typed = {
            "status": status,
            "note": note,
            "token": token,
            "to": to,
            "due": due,
            "reason": reason,
            "days": days,
        }
        typed |= {
            "state": state,
            "other": other,
            "sighting": sighting,
            "entry": next(iter(entry or ()), ""),
        }
        typed |= {
            "sent_at": sent_at,
            "channel": channel,
            "reference": reference,
            "no_reference": no_reference,
        }
        typed |= {"report": ",".join(report or ()), **references}
        if site.store.get(Incident, id_) is None:
            return site.missing(GONE)
        try:
            if status.partition(" ")[0] == "reported" and not (sent_at and channel):
                raise QueryError(
                    "enter when the report was sent, and by which channel",
                    "channel" if sent_at else "sent_at",
                )
            if newer := _find_newer(site, id_, status, seen):
                return show_incident(
                    site, id_, _refuse_older(newer, typed, {"entry": entry, "report": report})
                )
            if status == "due":
                typed["due"] = due.strip() or "-"
            if status == "reported":
                record_reports(site, id_, typed, site.actor(), report or ())
            else:
                # several at once are what waits for a second person
                for pending_id in dict.fromkeys(entry or ("",)):
                    carry_out(site, id_, {**typed, "entry": pending_id}, site.actor())
        except QueryError as error:
            return show_incident(
                site, id_, RefusedForm(error, find_field(status, error), redact_form(typed))
            )
        did = urlencode({"did": f"{typed['entry']}:answer" if status in ANSWERS else token})
        part = PART_AFTER.get(status.partition(" ")[0], "#history")
        return RedirectResponse(f"/incidents/{id_}?{did}{part}", 303)

    _add_exports(router)
    _add_takedown(router)
    return router


def _add_exports(router: APIRouter) -> None:
    """Add the routes of exports; each is logged before it is sent."""

    @router.post("/incidents/{id_}/report")
    def report(
        site: Annotated[Console, require_permission("incident.export")], id_: str, lang: Typed = ""
    ) -> Response:
        if site.store.get(Incident, id_) is None or lang not in {"", *ReportLanguage}:
            return site.missing(GONE)
        case = case_of(site.context, site.store, id_)
        lang = lang or READER.get().language
        drafted = page(case, ReportLanguage(lang))
        what = f"incident {id_}: notification draft, docx, {lang}"
        site.trail.append("incident.draft", what, actor=site.actor(), tenant=case.tenant_name)
        return download(render_draft(drafted, Written.WORD, case), WORD, f"{id_}-{lang}.docx")

    @router.post("/incidents/{id_}/customers.csv")
    def customers(
        site: Annotated[Console, require_permission("customers.export")], id_: str, kind: Typed = ""
    ) -> Response:
        stored = site.store.get(Incident, id_)
        if stored is None:
            return site.missing(GONE)
        text, count = customers_csv(site.store, stored, kind)
        what = f"incident {id_}: {count} pseudonyms"
        site.trail.append("customers.export", what, actor=site.actor(), tenant=stored.tenant)
        return download(text.encode(), "text/csv; charset=utf-8", f"{id_}-customers.csv")


def _add_takedown(router: APIRouter) -> None:
    """Add the routes of a takedown: its letter and the addresses."""

    @router.post("/incidents/{id_}/letter")
    def takedown_letter(site: Decider, id_: str, lang: Typed = "") -> Response:
        stored = site.store.get(Incident, id_)
        if stored is None or lang not in {"", *LANGUAGES}:
            return site.missing(GONE)
        tenant = site.duties.tenant(stored.tenant)
        language = next(
            (candidate for candidate in LANGUAGES if candidate == lang), tenant.language
        )
        try:
            posts = outgoing_sightings(
                open_cases(site).find_sightings(stored), vault_of(site.context)
            )
            text = render_letter(
                notice_of(id_, posts, tenant, language, site.clock.now()), language
            )
        except ConfigError as error:
            return show_incident(
                site, id_, RefusedForm(error, "lang", {"status": "letter", "note": ""})
            )
        site.trail.append(
            "incident.letter",
            f"incident {id_}: {language}",
            actor=site.actor(),
            tenant=stored.tenant,
        )
        return download(
            text.encode(), "text/plain; charset=utf-8", f"{id_}-takedown-{language}.txt"
        )

    @router.post("/incidents/{id_}/addresses")
    def reveal(
        site: Annotated[Console, require_permission("address.reveal")],
        id_: str,
        case: Typed = "",
        reason: Typed = "",
    ) -> HTMLResponse:
        typed = {"status": "reveal", "case": case, "reason": reason}
        if site.store.get(Incident, id_) is None:
            return site.missing(GONE)
        try:
            if not case.strip() or not reason.strip():
                raise QueryError(
                    "enter a case number and a reason; both are recorded in the audit log"
                )
            shown = reveal_addresses(
                site.context,
                site.store,
                id_,
                by=site.actor(),
                case=case,
                reason=reason,
                trail=site.trail,
            )
        except (QueryError, ConfigError) as error:
            return show_incident(
                site,
                id_,
                RefusedForm(error, "case" if not case.strip() else "reason", redact_form(typed)),
            )
        return show_incident(site, id_, revealed=shown)


def download(content: bytes, media: str, name: str) -> Response:
    """Return a response that the browser saves as a file `name` of the media type `media`."""
    return Response(
        content, media_type=media, headers={"content-disposition": f'attachment; filename="{name}"'}
    )


def _new_form_token() -> str:
    """Return a token for one form, so that sending it twice takes effect once."""
    return secrets.token_hex(TOKEN_BYTES)


def _find_newer(site: Console, id_: str, status: str, seen: str) -> list[CaseAct]:
    """Return what other people did since a form of `status` was opened.

    `seen` is the latest act that its page showed. A note needs no version, nor does a form without
    one.
    """
    if not seen or status == "note":
        return []
    acts = list_acts(site.store, id_)
    return [act for act in find_later(acts, seen) if act.by != site.actor()]


def _refuse_older(
    newer: Sequence[CaseAct],
    typed: Mapping[str, str],
    lists: Mapping[str, Sequence[str] | None],
) -> RefusedForm:
    """Return a form that waits until its sender has read what others did meanwhile.

    `lists` are the fields that a form may have several times.
    """
    single = {name: text for name, text in typed.items() if name not in lists}
    fields = [(name, text) for name, text in single.items() if text]
    fields += [(name, text) for name, texts in lists.items() for text in texts or ()]
    shown = redact_form(typed)
    return RefusedForm(
        QueryError("somebody else acted on this incident meanwhile: read what was done, then act"),
        "seen",
        shown,
        newer,
        fields if shown == dict(typed) else (),
    )


def _format_input(when: datetime, zone: ZoneInfo) -> str:
    """Format a time for an input field."""
    return when.astimezone(zone).strftime("%Y-%m-%dT%H:%M")


def _list_rulings(site: Console, incident: Incident, duties: Iterable[Duty]) -> dict[str, Phrase]:
    """Return the possible rulings on the tenant's regimes, by form value."""
    asking, rulings = (
        {duty.regime.id for duty in duties if duty.state not in ("met", "waived")},
        dict[str, Phrase](),
    )
    for regime in get_tenant_regimes(incident.tenant, site.duties.tenant(incident.tenant)):
        if regime.id in asking:
            rulings[f"waived {regime.id}"] = Phrase(
                "%(rule)s requires no report here", rule=Phrase(regime.title)
            )
        else:
            rulings[f"applies {regime.id}"] = Phrase("%(rule)s applies", rule=Phrase(regime.title))
    return rulings


def _list_tabs(
    details: IncidentDetails, owed: IncidentDeadlines
) -> list[tuple[str, Phrase, int | None]]:
    """Return the tabs of the page: id, name and number of entries."""
    reports = [("clocks", Phrase("Reports"), len(owed.duties))] if owed.duties else []
    return [
        *reports,
        ("assessment", Phrase("Assessment"), None),
        ("customers", Phrase("Affected customers"), details.incident.customers),
        ("seen", Phrase("Occurrences"), details.incident.sightings),
        ("history", Phrase("History"), None),
    ]


def _list_unsent(duties: Sequence[Duty]) -> list[tuple[Regime, list[tuple[str, Duty]]]]:
    """Return the reports that were not recorded yet, by rule, each with its name."""
    unsent = [duty for duty in duties if duty.state in ("running", "waiting")]
    regimes = {duty.regime.id: duty.regime for duty in unsent}
    return [
        (regime, [(format_duty(duty), duty) for duty in unsent if duty.regime.id == id_])
        for id_, regime in regimes.items()
    ]


def _describe_pending(
    site: Console, pending: Sequence[tuple[PendingDecision, Phrase]]
) -> list[dict[str, Any]]:
    """Describe what waits for a second person.

    Each entry says for whom it waits and whether the principal may confirm it or proposed it.
    """
    actor = find_actor(site)
    return [
        {
            "id": decision.id,
            "what": describe_pending(decision),
            "by": decision.by,
            "at": decision.at,
            "note": next((each.note for each in decision.decisions if each.note), ""),
            "ends": ends_of(decision.ends),
            "waits": waits,
            "may": site.principal.name
            in actor.second_persons(decision.tenant, decision.by, decision.proposers),
            "own": site.principal.name in decision.proposers,
        }
        for decision, waits in pending
    ]


def _list_owners(site: Console, incident: Incident, now: str) -> list[str]:
    """Return the accounts that may own an incident, and its owner `now`, by name."""
    return sorted(
        {
            *site.door.accounts.list_names_with("incident.decide", incident.tenant),
            *filter(None, [now, site.principal.name]),
        }
    )


@dataclass(frozen=True, slots=True)
class _References:
    """What the page shows about customer references.

    `needed` is the number of approvals that a request needs.
    """

    needed: int
    help: str
    can_resolve: bool
    requests: Sequence[tuple[ReferenceRequest, State]]
    approvers: Sequence[str]

    def has_open_request(self, name: str) -> bool:
        """Return whether a request of that person waits or is approved."""
        return any(
            request.request.by == name and state in ("waiting", "approved")
            for request, state in self.requests
        )


def _load_references(
    site: Console, incident: Incident, decisions: Iterable[Decision], now: datetime
) -> _References | None:
    """Return what to show of customer references.

    Returns None for a principal who may neither export customers nor ask for references. Asks match
    whether it can resolve pseudonyms, if the tenant has approvals.
    """
    if not (site.principal.can("customers.export") or site.principal.can("references.ask")):
        return None
    tenant = site.duties.tenant(incident.tenant)
    needed = tenant.reference_approvals
    can_resolve = bool(needed) and asyncio.run(
        Judge(folder_of(site.context)).can_resolve(incident.tenant)
    )
    allowed = site.door.accounts.list_names_with("references.approve", incident.tenant)
    approvers = [name for name in allowed if name != site.principal.name]
    requests = [(request, request.state(needed, now)) for request in find_requests(decisions)]
    return _References(needed, tenant.reference_help, can_resolve, requests, approvers)


def _load_evidence(site: Console, incident: Incident, now: datetime) -> dict[str, Any] | None:
    """Return what to show of the incident's evidence, None without the permission.

    These are the number of findings that are here, the current requests, who may approve one, what
    a new request says if nothing else is typed, and whether one of them is this person's to answer.
    """
    if not site.principal.can("evidence.open"):
        return None
    officers = TwoOfficers(site.store, vault_of(site.context), site.trail, site.openings)
    allowed = site.door.accounts.list_names_with("evidence.open", incident.tenant)
    requests = site.openings.list_current(incident.id, now)
    name = site.principal.name
    case, reason = officers.suggest_grounds(incident, READER.get().language)
    return {
        "count": len(officers.find_items(incident)),
        "requests": requests,
        "has_own": any(request.by == name for request in requests),
        "approvers": [officer for officer in allowed if officer != name],
        "case": case,
        "reason": reason,
        "is_asked": any(request.by == name or not request.approved_by for request in requests),
    }


CHOICES: Mapping[str, Any] = {
    "decisions": DECISIONS,
    "reasons": REASONS,
    "states": STATES,
    "takedowns": TAKEDOWN,
    "languages_of": LANGUAGES,
    "channels": CHANNELS,
    "stages": STAGES,
}
"""What the page's forms offer."""


def _describe_reports(owed: IncidentDeadlines, now: datetime, zone: ZoneInfo) -> dict[str, Any]:
    """Return what the page shows of an incident's reports: clocks, entries, and what is due."""
    return {
        "clocks": [clock_words(duty, now, zone) for duty in owed.duties],
        "recorded": {
            f"{decision.regime} {decision.stage}": (
                decision,
                _format_input(get_sent_at(decision), zone),
            )
            for decision in owed.decisions
            if decision.regime
        },
        "unsent": _list_unsent(owed.duties),
        "running": [name_report(format_duty(duty)) for duty in owed.running],
        "decide": owed.decide.words(now, zone) if owed.decide else None,
    }


def _describe_meanwhile(act: CaseAct, now: datetime) -> tuple[Phrase, str]:
    """Return who did what how long ago, and the note."""
    words: dict[str, Any] = {"who": safe(act.by), "ago": duration((now - act.at).total_seconds())}
    if isinstance(act, PendingDecision):
        what = describe_pending(act)
        return Phrase("%(who)s proposed %(ago)s ago: %(what)s", **words, what=what), ""
    return Phrase("%(who)s: %(what)s %(ago)s ago", **words, what=describe(act)), act.note


def _describe_progress(site: Console, incident: Incident, did: str) -> dict[str, Any]:
    """Return what the page says of acts: the one just done, those being done, and the latest."""
    acts = list_acts(site.store, incident.id)
    by_id = {act.id: act for act in acts if isinstance(act, Decision)}
    act_done = by_id.get(f"{incident.id}:{did}") or by_id.get(did)
    return {
        "done": describe(act_done) if act_done else None,
        "unfinished": [describe(act) for act in find_unfinished(site.store, incident, acts)],
        "seen": acts[-1].id if acts else "-",
    }


def show_incident(
    site: Console,
    id_: str,
    sent: RefusedForm | None = None,
    *,
    customers: CustomersShown | None = None,
    revealed: Mapping[str, str] | None = None,
    did: str = "",
) -> HTMLResponse:
    """Return the page of one incident; a page with status 404 if there is none with that id.

    `sent` is a form that was refused: the status is then 409 if the incident has changed meanwhile,
    otherwise 400, and the form is shown with what was typed. `customers` says which page of
    customers is shown. `revealed` are addresses of posts to show, by sighting id. `did` names an
    act, by the end of its id, that the page says was done. Raises QueryError if the page of
    customers is invalid.
    """
    details, sent, listed = (
        load_details(site.store, id_),
        sent or RefusedForm(),
        customers or CustomersShown(),
    )
    if details is None:
        return site.missing(GONE)
    incident, now = details.incident, site.clock.now()
    cases, zone = open_cases(site), ZoneInfo(site.duties.tenant(details.incident.tenant).zone)
    owed = cases.find_deadlines(incident)
    evidence = _load_evidence(site, incident, now)
    item, task = build_item(incident, owed, zone), find_task_date(owed.decisions)
    starts = cases.preview_started(incident, owed) if owed.status == "open" else ()
    shown: dict[str, Any] = {
        "found": details,
        "incident": incident,
        "standing": owed.status,
        "item": item,
        **list_customers(site, details, listed),
        "now": now,
        "zone": zone,
        **_describe_reports(owed, now, zone),
        "pending": _describe_pending(site, cases.pending(incident)),
        "now_typed": _format_input(now, zone),
        "starts": [name_report(format_duty(duty)) for duty in starts],
        "rulings": _list_rulings(site, incident, owed.duties),
        "silence": find_suppressed(site.duties, [incident]).get(id_),
        "history": history(site.store, incident, details.decisions),
        "assignee": find_assignee(owed.decisions),
        "task": task,
        "takedown": find_takedown_state(owed.decisions),
        "presence": describe_removals(incident, zone),
        "fraud": tally(site.store, incident),
        **_describe_progress(site, incident, did),
        "buttons": list_buttons(site, incident, owed),
        "meanwhile": [_describe_meanwhile(act, now) for act in sent.meanwhile],
        "links": find_links(incident, owed.decisions),
        "merged": find_merged(owed.decisions),
        "revealed": revealed or {},
        "parts_here": _list_tabs(details, owed),
        "first": (
            "seen"
            if revealed or (evidence and evidence["is_asked"] and not sent.refused)
            else PART_OF.get(
                sent.typed["status"].partition(" ")[0], "clocks" if owed.running else "assessment"
            )
        ),
        "owners": _list_owners(site, incident, find_assignee(owed.decisions)),
        "evidence": evidence,
        "due_typed": _format_input(task, zone) if task else "",
        "references": _load_references(site, incident, details.decisions, now),
        "sent": sent,
    }
    status = 409 if sent.meanwhile else 400 if sent.refused else 200
    answer = site.page(
        "incident.html",
        status,
        **shown,
        **CHOICES,
        sent_in=site.duties.tenant(incident.tenant).language,
        most_days=MOST_DAYS,
        usual_days=USUAL_DAYS,
        token=_new_form_token,
    )
    if sent.refused and sent.at and FAULT not in bytes(answer.body):
        return show_incident(site, id_, replace(sent, at=""), customers=listed)
    return answer
