"""Answer whether a person is exposed, for a clerk on the phone.

The value travels in the body of a POST and is never shown again, not even in the form.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse

from alerts.cases.lookups.limits import MANY, Occasion
from alerts.cases.lookups.lookup import UNSEEN, LookupRequest, LookupResult, list_disclosures, reply
from alerts.cases.lookups.typed_value import RECOGNISED, read_typed, selectable_kinds
from alerts.coverage.monitoring_status import monitoring_status
from alerts.records.document import QueryError
from alerts.web.dependencies import Console, require_permission
from alerts.web.templating import MenuEntry
from ullage.phrase import Phrase
from ullage.runtime.rate_limit import LimitedError

Typed = Annotated[str, Form()]
Clerk = Annotated[Console, require_permission("person.check")]
MENU = MenuEntry("/exposed", Phrase("Check a person"), "person.check", "work", 3)


def routes() -> APIRouter:
    """Return the routes of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/exposed")
    def form(site: Clerk) -> HTMLResponse:
        return _show_page(site, _find_occasion(site))

    @router.post("/exposed")
    def answer(
        site: Clerk,
        value: Typed = "",
        purpose: Typed = "",
        case: Typed = "",
        kind: Typed = "",
        pseudonym: Typed = "",
    ) -> HTMLResponse:
        occasion = _find_occasion(site)
        try:
            purpose, case = purpose or occasion.purpose, case or occasion.case
            question = site.question(
                value, site.actor(), purpose, case, kind=kind, pseudonym=pseudonym
            )
        except QueryError as error:
            site.metrics.lookups.labels("refused").inc()
            return _show_page(site, occasion, 400, refused=error)
        occasion = Occasion(question.purpose, question.case)
        site.occasions.keep(site.principal.session, occasion)
        return _show_page(site, occasion, answer=look_up(site, question))

    return router


def _find_occasion(site: Console) -> Occasion:
    """Return the purpose and case that this session used last.

    Values of a refused form are not stored, so they are not shown again.
    """
    return site.occasions.get(site.principal.session)


def _show_page(
    site: Console,
    occasion: Occasion,
    status: int = 200,
    *,
    answer: LookupResult | None = None,
    refused: QueryError | None = None,
) -> HTMLResponse:
    """Show the form, with the answer and how far to trust one that found nobody."""
    now = site.clock.now()
    behind = monitoring_status(site.store, now) if answer else None
    answer_text, disclosures = (
        (reply(answer, behind), list_disclosures(answer)) if answer and behind else (None, ())
    )
    selectable = sorted(selectable_kinds(), key=lambda kind: kind in RECOGNISED)
    shown = {
        "answer": answer,
        "told": disclosures,
        "reply": answer_text,
        "unseen": UNSEEN,
        "selectable": selectable,
    }
    return site.page(
        "person.html", status, **shown, refused=refused, asked=occasion, behind=behind, now=now
    )


def look_up(site: Console, question: LookupRequest) -> LookupResult:
    """Answer a lookup, count its outcome, and write it to the audit log.

    A series of many values of one range is recorded too, and answered. Raises LimitedError after
    too many lookups of the principal; the first refusal is recorded.
    """
    try:
        site.allowed.take(site.principal)
    except LimitedError as error:
        site.metrics.lookups.labels("limited").inc()
        if error.is_first:  # a sweep must not fill the log as well
            site.trail.append(
                "lookup.limited", "refused from here on", actor=question.who, reason=question.why
            )
        raise
    if kind := site.sweeps.note(read_typed(question.value, question.kind).readings):
        site.metrics.sweeps.inc()
        what = f"{MANY} different values of one range within an hour, {kind}"
        site.trail.append("lookup.sweep", what, actor=question.who, reason=question.why)
    answer = site.lookup.ask(question)
    not_exposed = "recorded" if answer.recorded else "not_found"
    outcome = (
        "refused" if not answer.kinds else "exposed" if list_disclosures(answer) else not_exposed
    )
    site.metrics.lookups.labels(outcome).inc()
    return answer
