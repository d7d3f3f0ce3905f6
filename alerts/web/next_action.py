"""Choose the buttons of an incident's next step, and name who may press them.

The texts of the steps are data (`ullage.verdict.next_step`); here each gets the action that
carries it out at the incident's current status.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from alerts.deadlines.outstanding import IncidentDeadlines
from alerts.records import Incident
from alerts.web.dependencies import Console
from ullage.display import safe
from ullage.phrase import Phrase

CALLING = frozenset({"call", "block", "reset"})
"""Actions of a next step that also warn customers."""
NAMES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class StepButton:
    """A button of the next step: a decision, a download or a link to a part of the page.

    `value` is the decision's status or the part. `ask` says whom to ask instead, None for somebody
    who may press it.
    """

    kind: Literal["decision", "customers", "part"]
    value: str
    label: Phrase
    permission: str
    ask: Phrase | None = None


def list_buttons(site: Console, incident: Incident, owed: IncidentDeadlines) -> list[StepButton]:
    """Return the buttons of the next step for the principal of `site`.

    An incident that is part of another has none, since all work is on the other.
    """
    if incident.part_of:
        return []
    buttons = [button for button in (choose_decision(incident, owed),) if button]
    if incident.customers and incident.next_step.action in CALLING:
        label = Phrase("Call list (pseudonyms)")
        buttons.append(StepButton("customers", "", label, "customers.export"))
    return [_for_principal(site, incident, button) for button in buttons]


def choose_decision(incident: Incident, owed: IncidentDeadlines) -> StepButton | None:
    """Return the button that takes the incident to its next status; None if a person chooses.

    An open incident is acknowledged. An acknowledged one is confirmed only if it is ours or the
    next step says so. Reports come before the end: while a deadline runs, the button leads to them.
    """
    if owed.status == "open":
        return StepButton("decision", "acknowledged", Phrase("Acknowledge"), "incident.decide")
    if owed.status == "acknowledged":
        is_asked = incident.origin == "ours" or incident.next_step.action == "confirm"
        label = Phrase("Confirm as our leak")
        return StepButton("decision", "confirmed", label, "incident.decide") if is_asked else None
    if owed.running:
        return StepButton("part", "clocks", Phrase("Record the reports"), "incident.decide")
    if owed.status in ("confirmed", "reported"):
        return StepButton("decision", "resolved", Phrase("Resolve"), "incident.close")
    return None


def _for_principal(site: Console, incident: Incident, button: StepButton) -> StepButton:
    """Return the button, with the names of those who may press it if the principal may not."""
    if site.principal.can(button.permission):
        return button
    names = site.door.accounts.list_names_with(button.permission, incident.tenant)
    ask = Phrase("%(what)s: ask %(who)s", what=button.label, who=_join_names(names))
    return StepButton(button.kind, button.value, button.label, button.permission, ask)


def _join_names(names: list[str]) -> Phrase | str:
    """Return a few names as alternatives, or what to do if there is nobody."""
    if not names:
        return Phrase("an operator for an account with that permission")
    *first, last = map(safe, names[:NAMES_SHOWN])
    return Phrase("%(names)s or %(last)s", names=tuple(first), last=last) if first else last
