"""Change an incident as a person asks on its page, or a program through `/v1`.

A program says which version of the incident it has read. The decision is kept under an id that
follows from that version, and a store creates an id once: of all that change the same version one
is done, and the same sent again is the same decision. Whoever decides on the page says no version:
what they do comes before or after.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from alerts.accounts.second_person import CONFIRM, Actor
from alerts.cases.actions import ActionResult, Cases, require_owner
from alerts.cases.decisions import TOKEN_BYTES, permission_for
from alerts.cases.undoing import UNDOABLE
from alerts.deadlines import parse_sent_at, regimes
from alerts.deadlines.schedule import Work, format_duty
from alerts.records import Incident
from alerts.records.document import QueryError
from alerts.web.dependencies import Console
from ullage.verdict import VERDICT

Said = dict[str, Any]
"""By whom, with which note, under which token."""


class IncidentChange(NamedTuple):
    """The permission that a change needs, and how it is made of an incident by what was `typed`."""

    permission: str
    make: Callable[[Cases, str, Mapping[str, str], Said], ActionResult]


def _assign(cases: Cases, id_: str, typed: Mapping[str, str], said: Said) -> ActionResult:
    to = said["by"] if typed["to"].strip() in ("", "me") else typed["to"]
    return cases.assign(id_, to, due=typed["due"], **said)


def _answer(
    cases: Cases, id_: str, typed: Mapping[str, str], said: Said, *, confirm: bool
) -> ActionResult:
    return cases.answer(id_, typed["entry"], by=said["by"], confirm=confirm, note=said["note"])


def _excuse(cases: Cases, id_: str, typed: Mapping[str, str], said: Said) -> ActionResult:
    days = int(typed["days"]) if typed["days"].isdecimal() else 0
    return cases.excuse(id_, typed["reason"], days=days, **said)


CHANGES: Mapping[str, IncidentChange] = {
    "assigned": IncidentChange("incident.assign", _assign),
    "due": IncidentChange(
        "incident.assign", lambda cases, id_, typed, said: cases.set_due(id_, typed["due"], **said)
    ),
    "excused": IncidentChange("incident.close", _excuse),
    "takedown": IncidentChange(
        "incident.decide",
        lambda cases, id_, typed, said: cases.takedown(id_, typed["state"], **said),
    ),
    "linked": IncidentChange(
        "incident.decide",
        lambda cases, id_, typed, said: cases.link(id_, typed["other"].strip(), **said),
    ),
    "unlinked": IncidentChange(
        "incident.decide",
        lambda cases, id_, typed, said: cases.link(id_, typed["other"].strip(), end=True, **said),
    ),
    "detached": IncidentChange(
        "incident.decide",
        lambda cases, id_, typed, said: cases.detach(id_, typed["sighting"], **said),
    ),
    "merged": IncidentChange(
        "incident.decide",
        lambda cases, id_, typed, said: cases.merge(id_, typed["other"].strip(), **said),
    ),
    "split": IncidentChange(
        "incident.decide",
        lambda cases, id_, typed, said: cases.split(id_, typed["other"].strip(), **said),
    ),
    "undone": IncidentChange(
        "incident.decide", lambda cases, id_, typed, said: cases.undo(id_, typed["entry"], **said)
    ),
    "second_confirmed": IncidentChange(CONFIRM, partial(_answer, confirm=True)),
    "second_refused": IncidentChange("incident.decide", partial(_answer, confirm=False)),
}
"""What is done besides decisions."""


def permission_of(status: str) -> str:
    """The permission that a change or a decision needs."""
    return CHANGES[status].permission if status in CHANGES else permission_for(status)


def cases_of(site: Console) -> Cases:
    """Where people work, as whoever asks may."""
    return Cases(
        Work(site.duties),
        site.trail,
        actor_of(site),
        lambda: VERDICT.load_current(site.context.data).rules,
    )


def actor_of(site: Console) -> Actor:
    """Who asks, and the accounts by which it is known who else could confirm what they do."""
    return Actor(site.principal, tuple(site.door.accounts.users()))


def checked_token(token: str) -> str:
    """What makes a form one however often it is sent; QueryError for what is none."""
    if len(token) != 2 * TOKEN_BYTES or not set(token) <= set("0123456789abcdef"):
        raise QueryError("invalid form: open the incident again")
    return token


def version_of(incident: Incident, decisions: Iterable[str]) -> str:
    """Return 16 hex digits that change with the incident, or with the ids of what was decided of
    it or waits.
    """
    parts = (incident.model_dump_json(), *sorted(decisions))
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[: 2 * TOKEN_BYTES]


def carry_out(site: Console, id_: str, typed: Mapping[str, str], by: str) -> None:
    """Do what was asked for; QueryError where it is refused, ForbiddenError where it is not
    allowed.

    `typed` has `status`, a `note`, and a `token`: under one it is done once however often it is
    sent. What else it needs depends on the status.
    """
    status, token = typed["status"], typed["token"]
    checked_token(token)
    site.principal.require(permission_of(status))
    cases, said = cases_of(site), Said(by=by, note=typed["note"], token=token)
    if status == "undone":
        site.principal.require(UNDOABLE[cases.get_undoable(id_, typed["entry"]).act])
    if status == "assigned":
        require_owner(site.door.accounts, cases.incident(id_).tenant, typed["to"].strip(), by)
    if status in CHANGES:
        CHANGES[status].make(cases, id_, typed, said)
        return
    if status.startswith("reported "):
        said |= _report_said(site, cases.incident(id_).tenant, typed)
    cases.decide(id_, status, **said)


def record_reports(
    site: Console, id_: str, typed: Mapping[str, str], by: str, others: Iterable[str]
) -> None:
    """Record a report that is `others` as well, each as `REGIME STAGE` and a record of its own.

    None is made where one of them is none that the incident owes, or is of another rule or counts
    from another moment.
    """
    cases, others = cases_of(site), dict.fromkeys(others)
    duties = cases.find_deadlines(cases.incident(id_)).duties
    if not others.keys() <= {
        *counted_together(typed["status"].removeprefix("reported "), map(format_duty, duties))
    }:
        raise QueryError(
            "one report counts only for reports of the same rule that are due from the same moment",
            "also",
        )
    carry_out(site, id_, typed, by)
    for other in others:
        own = hashlib.sha256(f"{typed['token']} {other}".encode()).hexdigest()[: 2 * TOKEN_BYTES]
        carry_out(site, id_, {**typed, "status": f"reported {other}", "token": own}, by)


def counted_together(name: str, names: Iterable[str]) -> list[str]:
    """Return those of `names`, each `REGIME STAGE`, for which a report of `name` may count: same
    rule, same moment.
    """
    known = {
        f"{regime.id} {stage.id}": (regime.id, stage.since)
        for regime in regimes().values()
        for stage in regime.stages
    }
    return [
        other
        for other in names
        if other != name and name in known and known.get(other) == known[name]
    ]


def _report_said(site: Console, tenant: str, typed: Mapping[str, str]) -> Said:
    """When, how and under which reference a report was sent; the time is in the tenant's zone
    unless it names its own.
    """
    zone = ZoneInfo(site.duties.tenant(tenant).zone)
    sent_at = parse_sent_at(typed.get("sent_at", ""), zone, site.clock.now())
    return {
        "sent_at": sent_at,
        **{name: typed.get(name, "") for name in ("channel", "reference", "no_reference")},
    }
