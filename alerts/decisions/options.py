"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from alerts.decisions.checked_text import checked_name
from ullage.audit import current_user

Tenant = Annotated[str, typer.Option(help="Of this tenant alone.")]
Severity = Annotated[str, typer.Option(help="noise, notice, low, medium, high or statutory.")]
Status = Annotated[str, typer.Option(help="open, acknowledged, confirmed, reported, resolved or false_positive.")]
Words = Annotated[str, typer.Option("--text", help="Words in title, site or terms; never an identifier.")]
Author = Annotated[
    str, typer.Option(help="Posts of this seller: a name, which is tagged here and kept nowhere, - to read it, or a token (@…).")
]
By = Annotated[str, typer.Option(help="Your name; by default that of your account on this machine.")]
Reason = Annotated[str, typer.Option(help="Why; no identifier.")]
Case = Annotated[str, typer.Option(help="The case's number.")]


def name_of(by: str) -> str:
    """Who does it: the name that was given, or the account's. QueryError when it is none."""
    return checked_name(by or current_user())
