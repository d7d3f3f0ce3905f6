"""Declare the body of a webhook, as `/v1/openapi.json` describes it to receivers.

`Message.payload` writes it; a test holds what is written to these declarations.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from alerts.records import News, Severity
from ullage.settings import Language


class NotifiedIncident(BaseModel):
    """One incident of a message.

    Only `id`, `severity`, `why` and `url` are always there. `series` is the same in all incidents
    of one seller. The others need `detail = "facts"` in the channel's settings.
    """

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    id: str
    severity: Severity
    why: News
    """Why it is in the message.

    `new`: a new incident. `raised`: its severity rose. `grown`: a seller's incident has doubled its
    customers. `unacknowledged`: nobody has acknowledged it yet, sent again. `escalated`: the same,
    sent to `escalate_to`. `second_person`: a decision waits for a second person. `unconfirmed`: it
    still waits, sent to `escalate_to`.
    """
    url: str
    series: str = ""
    tenant: str = ""
    customers: int = 0
    at_least: bool = False
    """Not everything was examined: `customers` is the least number."""
    scenario: str = ""
    sites: list[str] = []
    next_step: str = ""
    """In the message's language, as is `decide`."""
    decide: str = ""
    """By when a person must decide whether it is confirmed."""
    joined: int = 0
    """The number of messages of one seller that it is joined from."""


class WebhookMessage(BaseModel):
    """The body of a webhook: a message with its incidents, most severe first.

    `id` is that of the header `webhook-id`: a repeat has the same. `page` is the console's address.
    """

    model_config = ConfigDict(extra="forbid")

    type: Literal["ullage.incidents"]
    id: str
    page: str
    language: Language
    incidents: list[NotifiedIncident]
