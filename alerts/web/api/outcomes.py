"""What came of fraud cases, sent back by who handles them: an incident then shows how many of its customers were defrauded."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from alerts.cases.decisions import MOST_MINOR, Outcomes, tally
from alerts.records import Band, Fraud
from alerts.web.api import PREFIX
from alerts.web.api.incidents import incident_of
from alerts.web.dependencies import Console, may


class OutcomeRequest(BaseModel):
    """One customer's case; how much was lost, or would have been, as an amount in minor units with its currency, or as a band."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    incident: Annotated[str, Field(max_length=64)]
    pseudonym: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    outcome: Fraud
    when: AwareDatetime
    amount: Annotated[int, Field(ge=0, le=MOST_MINOR)] | None = None
    currency: Annotated[str, Field(pattern="^([A-Z]{3})?$")] = ""
    band: Band | None = None


class OutcomeAnswer(BaseModel):
    """Whether it was news, and what is known of the incident's customers now."""

    recorded: bool
    fraud: dict[str, Any]


def routes() -> APIRouter:
    """The routes of this file."""
    router = APIRouter(prefix=PREFIX, tags=["people"])

    @router.post("/outcomes", operation_id="report_outcome")
    def outcomes(site: Annotated[Console, may("outcome.report")], asked: OutcomeRequest) -> OutcomeAnswer:
        """Report what came of a customer's fraud case; the last of a customer counts, and the same again changes nothing."""
        found = incident_of(site, asked.incident)
        news = Outcomes(site.store, site.trail).report(
            found,
            asked.pseudonym,
            asked.outcome,
            asked.when,
            by=site.actor(),
            amount=asked.amount,
            currency=asked.currency,
            band=asked.band,
        )
        return OutcomeAnswer(recorded=news, fraud=tally(site.store, found).as_json())

    return router
