"""What is done with one incident, by a form of its page or by a program: which permission it takes, and what carries it out.

A program says which version of the incident it has read. The decision is kept under an id that follows from that version, and a
store creates an id once: of all that change the same version one is done, and the same sent again is the same decision. Whoever
decides on the page says no version: what they do comes before or after.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from alerts.decisions.decide import TOKEN_BYTES, needed_for
from alerts.desk.cases import Cases
from alerts.desk.work import Work
from alerts.records import Decision, Incident
from alerts.search.site import Console
from alerts.store import QueryError

ACTS: Mapping[str, str] = {
    "assigned": "incident.assign",
    "due": "incident.assign",
    "excused": "incident.close",
    "takedown": "incident.decide",
    "linked": "incident.decide",
    "unlinked": "incident.decide",
    "detached": "incident.decide",
}
"""What is done besides decisions, and the permission that it needs."""


def cases_of(site: Console) -> Cases:
    """Where people work, as whoever asks may."""
    return Cases(Work(site.duties), site.trail)


def version_of(incident: Incident, decisions: Iterable[Decision]) -> str:
    """16 hex digits that are others once anything of the incident, or of what was decided of it, is."""
    parts = (incident.model_dump_json(), *sorted(one.id for one in decisions))
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[: 2 * TOKEN_BYTES]


def carry_out(site: Console, id_: str, typed: Mapping[str, str], by: str) -> None:
    """Do what was asked for; QueryError where it is refused, ForbiddenError where it is not allowed.

    `typed` has `status`, a `note`, and a `token`: under one it is done once however often it is sent. What else it needs depends
    on the status.
    """
    status, token = typed["status"], typed["token"]
    if len(token) != 2 * TOKEN_BYTES or not set(token) <= set("0123456789abcdef"):
        raise QueryError("invalid form: open the incident again")
    if status == "reported":
        raise QueryError("say under which rule it was reported, and which report it was")
    site.principal.require(ACTS.get(status) or needed_for(status))
    cases, said = cases_of(site), {"by": by, "note": typed["note"], "token": token}
    if status == "assigned":
        to = by if typed["to"].strip() in ("", "me") else typed["to"]
        cases.assign(id_, to, due=typed["due"], **said)
    elif status == "due":
        cases.set_due(id_, typed["due"], **said)
    elif status == "excused":
        cases.excuse(id_, typed["reason"], days=int(typed["days"]) if typed["days"].isdecimal() else 0, **said)
    elif status == "takedown":
        cases.takedown(id_, typed["state"], **said)
    elif status in ("linked", "unlinked"):
        cases.link(id_, typed["other"].strip(), end=status == "unlinked", **said)
    elif status == "detached":
        cases.detach(id_, typed["sighting"], **said)
    else:
        cases.decide(id_, status, roles=site.principal.roles, reference=typed.get("reference", ""), **said)
