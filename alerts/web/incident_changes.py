"""Change an incident, from its page or by a program through `/v1`.

A program names the version of the incident that it has read. The decision's id is derived from that
version, and the store creates an id only once. So of several changes to one version one succeeds,
and repeating a request has no further effect. A person on the page names no version: their change
applies to the current one.
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
"""Who makes a change, with which note and token, as keyword arguments."""


class IncidentChange(NamedTuple):
    """The permission that a change needs, and the function that makes it."""

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
"""Changes that are not decisions."""


def find_permission(status: str) -> str:
    """Return the name of the permission that a change or a decision needs; nothing is checked.

    `status` is the name of a change, or a choice as `alerts.cases.decisions` takes it.
    """
    return CHANGES[status].permission if status in CHANGES else permission_for(status)


def open_cases(site: Console) -> Cases:
    """Return the functions that change incidents, as the principal of `site` may use them."""
    return Cases(
        Work(site.duties),
        site.trail,
        find_actor(site),
        lambda: VERDICT.load_current(site.context.data).rules,
    )


def find_actor(site: Console) -> Actor:
    """Return the principal with all accounts, to find out who else could confirm an act."""
    return Actor(site.principal, tuple(site.door.accounts.users()))


def validate_token(token: str) -> str:
    """Return `token`, which makes a form idempotent; raise QueryError if it is malformed.

    It must have 16 lower-case hexadecimal digits.
    """
    if len(token) != 2 * TOKEN_BYTES or not set(token) <= set("0123456789abcdef"):
        raise QueryError("invalid form: open the incident again")
    return token


def version_of(incident: Incident, decisions: Iterable[str]) -> str:
    """Return 16 hexadecimal digits that identify the version of an incident.

    They change with the incident and with the ids of its decisions, pending ones included.
    """
    parts = (incident.model_dump_json(), *sorted(decisions))
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[: 2 * TOKEN_BYTES]


def carry_out(site: Console, id_: str, typed: Mapping[str, str], by: str) -> None:
    """Make the requested change of the incident `id_`, recorded under the name `by`.

    `typed` has `status`, a `note` and a `token`; a token takes effect one time, however often it is
    sent. The other fields depend on the status. Raises QueryError if the change is invalid,
    ForbiddenError if the principal may not make it.
    """
    status, token = typed["status"], typed["token"]
    validate_token(token)
    site.principal.require(find_permission(status))
    cases, details = open_cases(site), Said(by=by, note=typed["note"], token=token)
    if status == "undone":
        site.principal.require(UNDOABLE[cases.get_undoable(id_, typed["entry"]).act])
    if status == "assigned":
        require_owner(site.door.accounts, cases.incident(id_).tenant, typed["to"].strip(), by)
    if status in CHANGES:
        CHANGES[status].make(cases, id_, typed, details)
        return
    if status.startswith("reported "):
        details |= _read_report(site, cases.incident(id_).tenant, typed)
    cases.decide(id_, status, **details)


def record_reports(
    site: Console, id_: str, typed: Mapping[str, str], by: str, joint_reports: Iterable[str]
) -> None:
    """Record a report on the incident `id_` that also counts for `joint_reports`.

    Each of these is a `REGIME STAGE` and gets a record of its own, after that of the report in
    `typed`. Raises QueryError, and records nothing, if the incident does not require one of them
    under the same rule and from the same moment.
    """
    cases, joint_reports = open_cases(site), dict.fromkeys(joint_reports)
    duties = cases.find_deadlines(cases.incident(id_)).duties
    if not joint_reports.keys() <= {
        *list_joint_reports(typed["status"].removeprefix("reported "), map(format_duty, duties))
    }:
        raise QueryError(
            "one report counts only for reports of the same rule that are due from the"
            " same moment: choose only those",
            "also",
        )
    carry_out(site, id_, typed, by)
    for name in joint_reports:
        name_token = hashlib.sha256(f"{typed['token']} {name}".encode()).hexdigest()[
            : 2 * TOKEN_BYTES
        ]
        carry_out(site, id_, {**typed, "status": f"reported {name}", "token": name_token}, by)


def list_joint_reports(name: str, names: Iterable[str]) -> list[str]:
    """Return those of `names` for which a report of `name` may count too, in the same order.

    Names are `REGIME STAGE`. Both must follow from the same rule and count from the same moment.
    `name` itself and names that no rule has are left out.
    """
    stages = {
        f"{regime.id} {stage.id}": (regime.id, stage.since)
        for regime in regimes().values()
        for stage in regime.stages
    }
    return [
        candidate
        for candidate in names
        if candidate != name and name in stages and stages.get(candidate) == stages[name]
    ]


def _read_report(site: Console, tenant: str, typed: Mapping[str, str]) -> Said:
    """Return when, how and under which reference a report was sent.

    The time is in the tenant's zone unless it names another.
    """
    zone = ZoneInfo(site.duties.tenant(tenant).zone)
    sent_at = parse_sent_at(typed.get("sent_at", ""), zone, site.clock.now())
    return {
        "sent_at": sent_at,
        **{name: typed.get(name, "") for name in ("channel", "reference", "no_reference")},
    }
