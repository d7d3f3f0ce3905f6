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
from alerts.deadlines import parse_sent_at, validate_reference
from alerts.deadlines.outstanding import Duty
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
    site: Console,
    id_: str,
    typed: Mapping[str, str],
    by: str,
    names: Iterable[str],
) -> None:
    """Record several reports on the incident `id_` that were sent at one time by one channel.

    `names` are the reports, as `REGIME STAGE`; `typed` has the authority's reference of each
    rule as `reference REGIME`. A rule without one takes the reason in `typed`. Raises QueryError,
    and records nothing, if there are no names, the incident does not require one of them, or
    reports of one rule count from different moments.
    """
    validate_token(typed["token"])
    cases, names = open_cases(site), list(dict.fromkeys(names))
    duties = cases.find_deadlines(cases.incident(id_)).duties
    required = {format_duty(duty): duty for duty in duties if duty.state != "waived"}
    if not names or not required.keys() >= {*names}:
        raise QueryError("choose the reports that were sent, of those that are required", "report")
    moments = {(required[name].regime.id, required[name].stage.since) for name in names}
    if len(moments) > len({regime for regime, _ in moments}):
        raise QueryError(
            "one report counts only for reports of the same rule that are due from the"
            " same moment: choose only those",
            "report",
        )
    forms = {
        name: _fill_report(typed, name, required[name].regime.id)
        # what may still be refused comes first: then nothing is recorded
        for name in sorted(names, key=lambda name: _is_recordable(required[name]))
    }
    for form in forms.values():
        carry_out(site, id_, form, by)


def _fill_report(typed: Mapping[str, str], name: str, regime: str) -> dict[str, str]:
    """Return the form of one of several reports, with the reference of its rule and its own token.

    Raises QueryError if the reference is invalid, or there is neither one nor a reason.
    """
    field = f"reference {regime}"
    reference = validate_reference(typed.get(field, ""), field)
    if not reference and not typed["no_reference"].strip():
        raise QueryError(
            "give the authority's reference, or the reason why there is none", "no_reference"
        )
    token = hashlib.sha256(f"{typed['token']} {name}".encode()).hexdigest()[: 2 * TOKEN_BYTES]
    changed = {"status": f"reported {name}", "token": token, "reference": reference}
    return {**typed, **changed}


def _is_recordable(duty: Duty) -> bool:
    """Return whether a report is unsent and of a moment that certainly has come."""
    return duty.state != "met" and duty.stage.since not in ("determined", "resolved")


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
