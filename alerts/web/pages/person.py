"""Is this person exposed?

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
    """The routes of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/exposed")
    def form(site: Clerk) -> HTMLResponse:
        return _page(site, _occasion(site))

    @router.post("/exposed")
    def answer(
        site: Clerk,
        value: Typed = "",
        purpose: Typed = "",
        case: Typed = "",
        kind: Typed = "",
        pseudonym: Typed = "",
    ) -> HTMLResponse:
        said = _occasion(site)
        try:
            purpose, case = purpose or said.purpose, case or said.case
            asked = site.question(
                value, site.actor(), purpose, case, kind=kind, pseudonym=pseudonym
            )
        except QueryError as error:
            site.metrics.lookups.labels("refused").inc()
            return _page(site, said, 400, refused=error)
        said = Occasion(asked.purpose, asked.case)
        site.occasions.keep(site.principal.session, said)
        return _page(site, said, answer=asked_of(site, asked))

    return router


def _occasion(site: Console) -> Occasion:
    """For what this session asks, as was said before: what was refused is not kept, and so not
    shown again.
    """
    return site.occasions.of(site.principal.session)


def _page(
    site: Console,
    asked: Occasion,
    status: int = 200,
    *,
    answer: LookupResult | None = None,
    refused: QueryError | None = None,
) -> HTMLResponse:
    """The form, with the answer and what an answer that found nobody is worth."""
    now = site.clock.now()
    behind = monitoring_status(site.store, now) if answer else None
    said, heard = (
        (reply(answer, behind), list_disclosures(answer)) if answer and behind else (None, ())
    )
    selectable = sorted(selectable_kinds(), key=lambda kind: kind in RECOGNISED)
    shown = {
        "answer": answer,
        "told": heard,
        "reply": said,
        "unseen": UNSEEN,
        "selectable": selectable,
    }
    return site.page(
        "person.html", status, **shown, refused=refused, asked=asked, behind=behind, now=now
    )


def asked_of(site: Console, question: LookupRequest) -> LookupResult:
    """The answer, counted by its outcome; LimitedError when whoever asks did so too often, which
    the audit log notes.
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
    found = "recorded" if answer.recorded else "not_found"
    outcome = "refused" if not answer.kinds else "exposed" if list_disclosures(answer) else found
    site.metrics.lookups.labels(outcome).inc()
    return answer
