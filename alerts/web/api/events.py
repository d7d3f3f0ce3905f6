"""The signed events of incidents, in order, behind a mark that a program keeps; see `alerts.cases.feed`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from alerts.cases.feed import MOST
from alerts.web.api import PREFIX
from alerts.web.dependencies import Console, Text, may

Reader = Annotated[Console, may("incident.read")]


class EventPage(BaseModel):
    """Events as JSON Web Signatures; keep `after` once they are dealt with, and give it back for those behind it."""

    items: list[str]
    after: str
    more: bool


class PublicKey(BaseModel):
    """What events are verified with, as a JSON Web Key (RFC 8037)."""

    kty: str
    crv: str
    kid: str
    x: str


def routes() -> APIRouter:
    """The routes of this file."""
    router = APIRouter(prefix=PREFIX, tags=["events"])

    @router.get("/events", operation_id="list_events")
    def events(site: Reader, after: Text = "", limit: Annotated[int, Query(ge=1, le=MOST)] = MOST) -> EventPage:
        """What became of incidents, in order: created, grew, acknowledged, assigned, decided, reported, closed and more."""
        tenants = None if site.principal.sees_all else site.principal.tenants
        return EventPage.model_validate(site.feed.page(tenants, after, limit)._asdict())

    @router.get("/events/key", operation_id="get_event_key")
    def key(site: Reader) -> PublicKey:
        """Fetch it once, compare its `kid` with `keys/signers/events` on the desk's machine, and keep it."""
        return PublicKey(**site.feed.public_key())

    return router
