"""A seller by name: it travels in the body of a POST, is tagged here, and never shown, noted or kept."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse, Response

from alerts.cases.incident_list import named
from alerts.records.document import QueryError
from alerts.web.dependencies import Console, may
from alerts.web.pages.incidents import QueueForm, queue_page
from ullage.phrase import Phrase
from ullage.security.masking import Secret


def routes() -> APIRouter:
    """The routes of this page."""
    router = APIRouter(include_in_schema=False)

    @router.post("/sellers")
    def seller(site: Annotated[Console, may("seller.find")], name: Annotated[str, Form()] = "") -> Response:
        try:
            tokens = tokens_of_name(site, Secret(name))
        except QueryError as error:
            return queue_page(site, QueueForm(), refused_=error)
        if not tokens:
            return queue_page(site, QueueForm(), refused_=Phrase("No posts by this seller are stored."), status=200)
        return RedirectResponse(f"/{QueueForm().query(tab='all', seller=','.join(tokens))}", 303)

    return router


def tokens_of_name(site: Console, name: Secret) -> tuple[str, ...]:
    """The tokens of the author of that name, () for nobody; noted without the name, and limited as look-ups of people are."""
    site.allowed.take(site.principal)
    tokens = named(site.store, site.lookup.keys, site.lookup.everyone(), name)
    site.trail.append("lookup.seller", f"{len(tokens)} found", actor=site.actor())
    return tokens
