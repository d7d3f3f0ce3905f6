"""Let people act on incidents: assign, acknowledge, close, link, merge, split and undo.

A page, a command and the API call the methods of `Cases`, one per action. Each checks the act,
records it as a decision (`alerts.cases.decisions`), updates the work item, and returns an
`ActionResult`: a message id with parameters, which the caller translates. An act that ends a
reporting deadline may only be proposed, and the result then says that a second person must confirm
it. What is missing or wrong raises QueryError, which does not repeat what was typed; `several`
turns it into a result, so that one refused incident does not stop the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from alerts.accounts.accounts import Accounts
from alerts.accounts.second_person import Actor
from alerts.cases.decisions import Decisions, Recorded
from alerts.cases.regrouping import Regrouping, find_merged
from alerts.cases.second_person import SecondPersons, ends_of, waits_for
from alerts.cases.undoing import UNDOABLE, find_undoable, latest_alike
from alerts.deadlines.comparison import DutyChange
from alerts.deadlines.outstanding import Duty, IncidentDeadlines
from alerts.deadlines.render import name_report
from alerts.deadlines.schedule import Work, find_takedown_state, format_duty
from alerts.records import Decision, Incident, PendingDecision, Sighting, WorkItem
from alerts.records.decision import in_force, validate_name
from alerts.records.document import QueryError
from alerts.records.typed_time import parse_typed_time
from alerts.store import DocumentFilter
from alerts.store.queries import CLOSED, find_pending
from ullage.audit import Trail
from ullage.clock import in_range
from ullage.phrase import Phrase
from ullage.verdict import VerdictRules, load_verdict_rules

REASONS: Mapping[str, Phrase] = {
    "test_data": Phrase("test data or a sample of nobody"),
    "chance": Phrase("numbers that match by chance"),
    "own_post": Phrase("the customer's own post"),
    "public": Phrase("public information, such as a shop or an official notice"),
    "dealt_with": Phrase("an old leak that was already handled"),
    "no_data": Phrase("text without data"),
    "other": Phrase("another reason, see the note"),
}
"""Reasons for a false positive: the value in the decision, and its text."""
MOST_DAYS, USUAL_DAYS = 180, 90
TAKEDOWN: Mapping[str, tuple[str, ...]] = {
    "asked": ("", "back"),
    "sent": ("", "asked", "back"),
    "gone": ("asked", "sent", "back"),
    "back": ("gone",),
}
"""The states of a takedown, each with the states that it can follow.

They are: to be requested, sent, posts removed, posts back again.
"""
STATES: Mapping[str, Phrase] = {
    "": Phrase("not requested"),
    "asked": Phrase("requested"),
    "sent": Phrase("sent"),
    "gone": Phrase("removed"),
    "back": Phrase("back again"),
}
WORDS: Mapping[str, Phrase] = {
    "acknowledged": Phrase("acknowledged"),
    "confirmed": Phrase("confirmed"),
    "resolved": Phrase("resolved"),
    "reported": Phrase("reported"),
    "false positive": Phrase("false positive"),
    "note": Phrase("noted"),
}
AHEAD = re.compile(r"\+(?P<n>[1-9][0-9]{0,2})(?P<unit>[hd])")
Closing = Literal["resolved", "false_positive"]


def require_owner(accounts: Accounts, tenant: str, to: str, by: str) -> None:
    """Raise QueryError if no account called `to` may work on the incident.

    Without any accounts, everybody may.
    """
    if (
        to not in ("", "me", "-", by, *accounts.list_names_with("incident.decide", tenant))
        and accounts.users()
    ):
        raise QueryError(
            "nobody with an account of that name may work on this incident: choose somebody else",
            "to",
        )


class ActionResult(NamedTuple):
    """The result of an action on one incident, or the reason why it was refused."""

    incident: str
    phrase: Phrase
    clocks: tuple[str, ...] = ()
    """Names of the deadlines in the message: those that started, or that run."""
    is_done: bool = True
    decision: Recorded | None = None
    """The stored decision, for programs."""

    def words(self) -> str:
        """Return one line of English that says what was done, for a person to read."""
        return str(self.phrase)


def parse_due(typed: str, zone: ZoneInfo, now: datetime) -> datetime | None:
    """Return a future date that somebody typed, or None for `-`, which means no date.

    Other forms are `2026-11-25` (18:00 in `zone`), `2026-11-25T14:30`, `+4h` and `+3d`. Raises
    QueryError for anything else, and for a date in the past or after 2099.
    """
    typed = typed.strip()
    if typed == "-":
        return None
    if match := AHEAD.fullmatch(typed):
        amount = int(match["n"])
        return now + (timedelta(hours=amount) if match["unit"] == "h" else timedelta(days=amount))
    try:
        local = datetime.fromisoformat(typed if len(typed) > 10 else f"{typed}T18:00")
    except ValueError:
        raise QueryError(
            "invalid date: use 2026-11-25, 2026-11-25T14:30, +4h, +3d, or - for none", "due"
        ) from None
    aware = in_range(local if local.tzinfo else local.replace(tzinfo=zone))
    if aware is None:
        raise QueryError("this date is out of range: enter a future date before 2100", "due")
    if aware < now:
        raise QueryError("this date has passed: enter a future date", "due")
    return aware.astimezone(now.tzinfo)


def parse_past_moment(typed: str, zone: ZoneInfo, now: datetime) -> datetime:
    """Parse a past time in the formats of `parse_bound`.

    Raises QueryError for anything else, and for a time after `now`.
    """
    moment = parse_bound(typed, zone, now)
    if moment > now:
        raise QueryError("this time is in the future: enter a past one")
    return moment


def parse_bound(typed: str, zone: ZoneInfo, now: datetime, *members: str) -> datetime:
    """Parse the beginning or end of a period; it may be in the future.

    For the formats, see `alerts.records.typed_time`. Raises QueryError about `members` for
    anything else.
    """
    at = parse_typed_time(typed, now, zone)
    if at is None:
        raise QueryError(
            'invalid time: use "yesterday 18:00", 2026-11-25T18:00, 18:00, 12h or 3d', *members
        )
    return at


@dataclass(frozen=True, slots=True)
class Cases:
    """People's actions on incidents.

    QueryErrors say what is missing or wrong, without repeating what was typed.
    """

    work: Work
    trail: Trail
    actor: Actor = field(default_factory=Actor)
    rules: Callable[[], VerdictRules] = load_verdict_rules
    """Returns the current rules, which judge merged and split incidents."""

    def incident(self, id_: str) -> Incident:
        """Return the stored incident with the id `id_`. Raises QueryError if it does not exist."""
        incident = self.work.store.get(Incident, id_)
        if incident is None:
            raise QueryError("no incident with that id: see the list")
        return incident

    def find_deadlines(self, incident: Incident) -> IncidentDeadlines:
        """Return the current deadlines of an incident."""
        return self.work.duties.find_deadlines([incident])[incident.id]

    def preview_started(
        self, incident: Incident, deadlines: IncidentDeadlines, status: str = "acknowledged"
    ) -> tuple[Duty, ...]:
        """Return the reporting duties whose deadlines would start if `status` were decided now.

        Nothing is stored. `deadlines` are the present ones: a duty that already runs in them is
        left out. () if no deadline would start.
        """
        now = self.work.duties.clock.now()
        trial = Decision.model_validate(
            {"id": "", "tenant": "", "incident": incident.id, "at": now, "by": "", "status": status}
        )
        after = self.work.duties.find_deadlines([incident], [trial])[incident.id]
        before = {format_duty(duty) for duty in deadlines.running}
        return tuple(duty for duty in after.running if format_duty(duty) not in before)

    def acknowledge(self, id_: str, *, by: str, note: str = "", token: str = "") -> ActionResult:
        """Record that somebody knows of an incident; the result names the deadlines that start."""
        return self.decide(id_, "acknowledged", by=by, note=note, token=token)

    def decide(
        self, id_: str, chosen: str, *, by: str, note: str = "", token: str = "", **more: Any
    ) -> ActionResult:
        """Record the decision `chosen`, such as `confirmed`, on the incident `id_`.

        The result names the deadlines that start. If the decision would end a deadline and the
        tenant requires a second person, only a request is stored, and the result says who can
        confirm it. `more` are further arguments of `Decisions.make`. Raises QueryError if the
        incident does not exist or the decision is invalid.
        """
        incident = self.incident(id_)
        before = self.find_deadlines(incident)
        decision = self._decisions.make(incident, chosen, by=by, note=note, token=token, **more)
        if isinstance(decision, PendingDecision):
            return self._report_waiting(decision)
        after = self._renew(incident, decision)
        running_before = {format_duty(duty) for duty in before.running}
        started = tuple(
            format_duty(duty) for duty in after.running if format_duty(duty) not in running_before
        )
        what = (decision.status if decision.status != "note" else chosen).replace("_", " ")
        words = {"id": id_, "what": WORDS.get(what, what), "by": decision.by}
        if started:
            starts = Phrase(
                "%(id)s: %(what)s by %(by)s. Deadlines started: %(clocks)s",
                clocks=tuple(map(name_report, started)),
                **words,
            )
            return ActionResult(id_, starts, started, decision=decision)
        return ActionResult(
            id_,
            self._mark_one_person(decision, Phrase("%(id)s: %(what)s by %(by)s", **words)),
            decision=decision,
        )

    def _report_waiting(self, pending: PendingDecision) -> ActionResult:
        """Return the result of an act that waits for a second person, and its deadlines."""
        text = Phrase(
            "%(id)s: %(waits)s. Until then these deadlines run: %(clocks)s",
            id=pending.incident,
            waits=waits_for(self.actor, pending),
            clocks=ends_of(pending.ends),
        )
        return ActionResult(pending.incident, text, pending.ends, decision=pending)

    @staticmethod
    def _mark_one_person(decision: Recorded, text: Phrase) -> Phrase:
        """Return `text`, with a note if one person ended a deadline."""
        alone = isinstance(decision, Decision) and decision.is_by_one_person
        return (
            Phrase("%(what)s. %(more)s", what=text, more=Phrase("decided by one person"))
            if alone
            else text
        )

    def pending(self, incident: Incident) -> list[tuple[PendingDecision, Phrase]]:
        """Return the acts that wait for a second person, oldest first, and who can confirm each."""
        return [
            (decision, waits_for(self.actor, decision))
            for decision in find_pending(self.work.store, incident.family)
        ]

    def answer(
        self, id_: str, entry: str, *, by: str, confirm: bool, note: str = ""
    ) -> ActionResult:
        """Confirm or refuse, as a second person, the pending act with the id `entry`.

        Confirming stores the act, which ends a deadline. Raises QueryError if nothing with that id
        waits on this incident, somebody else has answered, or a refusal has no `note`; a person who
        may not confirm is rejected too (see `SecondPersons.answer`).
        """
        incident = self.incident(id_)
        decision = SecondPersons(self._decisions).answer(
            incident, entry, by=by, confirm=confirm, note=note
        )
        pending = self.work.store.get(PendingDecision, entry)
        touched = {draft.incident for draft in pending.decisions} if pending else set()
        self.work.write([*self.work.store.mget(Incident, {id_, *touched}).values()], [decision])
        self.work.store.refresh(WorkItem)
        text = (
            Phrase("%(id)s: confirmed by %(by)s", id=id_, by=by)
            if confirm
            else Phrase("%(id)s: refused by %(by)s", id=id_, by=by)
        )
        return ActionResult(id_, text, decision=decision)

    def assign(
        self, id_: str, to: str, *, by: str, due: str = "", note: str = "", token: str = ""
    ) -> ActionResult:
        """Assign an incident to the person `to` ("" or `-`: nobody), and return what was recorded.

        A `due` date, in the forms of `parse_due`, is set too; "" leaves the present one. Raises
        QueryError if the incident does not exist, or if the name, date or note is invalid.
        """
        incident = self.incident(id_)
        assignee = validate_name(to, "to") if to.strip() not in ("", "-") else ""
        until = self._until(incident, due) if due.strip() else None
        decisions = [
            self._decisions.act(incident, "assigned", by=by, value=assignee, note=note, token=token)
        ]
        if due.strip():
            decisions.append(
                self._decisions.act(
                    incident, "due", by=by, until=until, token=token and f"{token}d"
                )
            )
        self._renew(incident, *decisions)
        shown_assignee = assignee or Phrase("nobody")
        if not due.strip():
            return ActionResult(
                id_, Phrase("%(id)s: assigned to %(to)s", id=id_, to=shown_assignee)
            )
        return ActionResult(
            id_,
            Phrase(
                "%(id)s: assigned to %(to)s, %(due)s",
                id=id_,
                to=shown_assignee,
                due=self._due(incident, until),
            ),
        )

    def set_due(
        self, id_: str, due: str, *, by: str, note: str = "", token: str = ""
    ) -> ActionResult:
        """Set the date by which somebody is to act on an incident, and return what was recorded.

        `due` has one of the forms of `parse_due`, such as `2026-11-25` or `+4h`; `-` removes the
        date. Raises QueryError if the incident does not exist, or if the date is invalid or past.
        """
        incident = self.incident(id_)
        until = self._until(incident, due)
        self._renew(
            incident,
            self._decisions.act(incident, "due", by=by, until=until, note=note, token=token),
        )
        return ActionResult(id_, Phrase("%(id)s: %(due)s", id=id_, due=self._due(incident, until)))

    def excuse(
        self,
        id_: str,
        reason: str,
        *,
        by: str,
        days: int = USUAL_DAYS,
        note: str = "",
        token: str = "",
    ) -> ActionResult:
        """Mark an incident as a false positive, for a `reason` and a number of `days`.

        The incident reopens after these days, or earlier if new findings join it. If this would end
        a reporting deadline and the tenant requires a second person, only a request is stored; the
        result says which happened. Raises QueryError for an unknown reason or number of days, and
        for the reason `other` without a note.
        """
        if reason not in REASONS:
            raise QueryError(
                Phrase(
                    "give the reason for the false positive: %(known)s",
                    known=", ".join(REASONS) if reason else tuple(REASONS.values()),
                ),
                "reason",
            )
        if not 1 <= days <= MOST_DAYS:
            raise QueryError(
                Phrase("a false positive must reopen after 1 to %(most)s days", most=MOST_DAYS),
                "days",
            )
        if reason == "other" and not note.strip():
            raise QueryError('the reason is "other": give details in the note', "note")
        incident = self.incident(id_)
        until = self.work.duties.clock.now() + timedelta(days=days)
        decision = self._decisions.act(
            incident, "excused", by=by, value=reason, until=until, note=note, token=token
        )
        if isinstance(decision, PendingDecision):
            return self._report_waiting(decision)
        self._renew(incident, decision)
        back = Phrase(
            "%(id)s: false positive, %(why)s. It reopens on %(due)s, or earlier with new findings",
            id=id_,
            why=REASONS[reason],
            due=self._format_time(incident, until),
        )
        return ActionResult(id_, self._mark_one_person(decision, back), decision=decision)

    def takedown(
        self, id_: str, state: str, *, by: str, note: str = "", token: str = ""
    ) -> ActionResult:
        """Record how far the takedown of an incident's posts has come; return what was recorded.

        The result also says how many posts were found removed. Raises QueryError if `state` is not
        in `TAKEDOWN`, or cannot follow the present state.
        """
        if state not in TAKEDOWN:
            raise QueryError(
                Phrase(
                    "the state of a takedown must be one of %(known)s", known=", ".join(TAKEDOWN)
                ),
                "state",
            )
        incident = self.incident(id_)
        now = find_takedown_state(self.find_deadlines(incident).decisions)
        if now not in TAKEDOWN[state] and now != state:
            before = tuple(STATES[state_before] for state_before in TAKEDOWN[state] if state_before)
            raise QueryError(
                Phrase(
                    "a takedown cannot go from %(now)s to %(state)s: record one of these"
                    " first: %(before)s",
                    state=STATES[state],
                    before=before,
                    now=STATES[now],
                ),
                "state",
            )
        self._renew(
            incident,
            self._decisions.act(incident, "takedown", by=by, value=state, note=note, token=token),
        )
        text, removals = (
            Phrase("%(id)s: takedown %(state)s", id=id_, state=STATES[state]),
            describe_removals(incident, self._zone(incident)),
        )
        return ActionResult(
            id_, Phrase("%(what)s. %(more)s", what=text, more=removals) if removals else text
        )

    def link(
        self, id_: str, other: str, *, by: str, note: str = "", token: str = "", end: bool = False
    ) -> ActionResult:
        """Link two incidents, or unlink them if `end` is true, and return what was recorded.

        A decision is stored on each of the two. Raises QueryError if one does not exist, both ids
        are equal, or the incidents belong to different tenants.
        """
        if id_ == other:
            raise QueryError(
                "an incident cannot be linked with itself: choose another one", "other"
            )
        pair = self.incident(id_), self.incident(other)
        if pair[0].tenant != pair[1].tenant:
            raise QueryError(
                "the incidents belong to different tenants: choose an incident of the same tenant",
                "other",
            )
        for incident, about in (pair, pair[::-1]):
            act: Literal["linked", "unlinked"] = "unlinked" if end else "linked"
            decision = self._decisions.act(
                incident, act, by=by, about=about.id, note=note, token=token
            )
            self._renew(incident, decision)
        if end:
            return ActionResult(
                id_, Phrase("%(id)s: no longer linked with %(to)s", id=id_, to=other)
            )
        return ActionResult(id_, Phrase("%(id)s: linked with %(to)s", id=id_, to=other))

    def get_undoable(self, id_: str, entry: str) -> Decision:
        """Return the decision with the id `entry` on an incident, if a person can undo it.

        Raises QueryError, with the reason, if it is not in the history, was undone, is neither an
        assignment, a due date nor a link, or was replaced by a later decision.
        """
        decisions = in_force(self.find_deadlines(self.incident(id_)).decisions)
        decision = next((candidate for candidate in decisions if candidate.id == entry), None)
        if decision is None:
            raise QueryError(
                "this entry is not in the history, or was already undone: read the history again",
                "entry",
            )
        if decision.act not in UNDOABLE:
            raise QueryError(
                "only assignments, due dates and links can be undone: choose another entry",
                "entry",
            )
        if latest_alike(decision, decisions) != decision:
            raise QueryError("a later entry replaced this one: undo that one first", "entry")
        return decision

    def last_undoable(self, id_: str) -> str:
        """Return the id of the latest decision on an incident that can be undone.

        Raises QueryError if the incident has no such decision.
        """
        decisions = self.find_deadlines(self.incident(id_)).decisions
        ids = find_undoable(decisions)
        if not ids:
            raise QueryError(
                "this incident has nothing to undo: choose one with an assignment, a due"
                " date or a link",
                "entry",
            )
        return max(
            (decision for decision in decisions if decision.id in ids),
            key=lambda decision: (decision.at, decision.id),
        ).id

    def undo(
        self, id_: str, entry: str, *, by: str, note: str = "", token: str = ""
    ) -> ActionResult:
        """Undo the decision with the id `entry`, so that the decision before it counts again.

        A link is undone on both incidents. Nothing is deleted: the undoing is a new decision.
        Raises QueryError if the decision cannot be undone; see `get_undoable`.
        """
        pairs = [(self.incident(id_), self.get_undoable(id_, entry))]
        decision = pairs[0][1]
        if decision.act in ("linked", "unlinked"):
            linked = self.incident(decision.about)
            twin = decision.model_copy(update={"about": id_})
            mirrored = latest_alike(twin, in_force(self.find_deadlines(linked).decisions))
            if mirrored is not None and mirrored.act == decision.act:
                pairs.append((linked, mirrored))
        for incident, undone in pairs:
            record = self._decisions.act(
                incident, "undone", by=by, value=undone.act, about=undone.id, note=note, token=token
            )
            self._renew(incident, record)
        return ActionResult(id_, Phrase("%(id)s: undone", id=id_))

    def merge(self, id_: str, other: str, *, by: str, note: str, token: str = "") -> ActionResult:
        """Request that the incident `other` becomes part of the incident `id_`.

        The alert service carries out the request within a minute. If the merge would end a
        reporting deadline and the tenant requires a second person, the request waits for one, and
        the result says so. Raises QueryError if an incident does not exist, the ids are equal, the
        tenants differ, `id_` is closed, one of the two is part of another incident or past its
        retention, or the note is invalid.
        """
        if id_ == other:
            raise QueryError(
                "an incident cannot be merged with itself: choose another one", "other"
            )
        head, part = self.incident(id_), self._get_other(other)
        if head.tenant != part.tenant:
            raise QueryError(
                "the incidents belong to different tenants: choose an incident of the same tenant",
                "other",
            )
        if self.find_deadlines(head).status in CLOSED:
            raise QueryError("this incident is closed: merge it into one that is open")
        for incident in (head, part):
            if incident.part_of:
                raise QueryError(
                    Phrase(
                        "%(id)s is part of %(other)s: use that one",
                        id=incident.id,
                        other=incident.part_of,
                    ),
                    "other",
                )
            if incident.frozen_at is not None:
                raise QueryError(
                    Phrase(
                        "the data of %(id)s has passed its retention: choose another incident",
                        id=incident.id,
                    ),
                    "other",
                )
        text = Phrase("%(id)s: %(to)s is merged into it within a minute", id=id_, to=other)
        drafts = [
            self._decisions.draft_act(
                part, "merged_into", by=by, about=head.id, note=note, token=token
            ),
            self._decisions.draft_act(head, "merged", by=by, about=part.id, note=note, token=token),
        ]
        return self._regroup([head, part], drafts, self._after(head, part, drafts[1]), text)

    def split(self, id_: str, other: str, *, by: str, note: str, token: str = "") -> ActionResult:
        """Request that `other`, once merged into the incident `id_`, becomes separate again.

        The alert service carries out the request within a minute. If the split would end a
        reporting deadline and the tenant requires a second person, the request waits for one, and
        the result says so. Raises QueryError if `other` was not merged into this incident.
        """
        head, part = self.incident(id_), self._get_other(other)
        if other not in find_merged(self.find_deadlines(head).decisions):
            raise QueryError(
                "this incident was not merged into it: split off a sighting instead", "other"
            )
        text = Phrase("%(id)s: %(to)s is split off within a minute", id=id_, to=other)
        drafts = [
            self._decisions.draft_act(head, "split", by=by, about=other, note=note, token=token),
            self._decisions.draft_act(part, "split_from", by=by, about=id_, note=note, token=token),
        ]
        return self._regroup([head, part], drafts, self._after(head, part, drafts[0]), text)

    def _after(self, head: Incident, part: Incident, draft: Decision) -> Sequence[Incident]:
        """Return both incidents as a merge or a split leaves them."""
        return Regrouping(self.work.duties, self.rules).preview_regrouping(
            head, part, is_merge=draft.act == "merged", at=draft.at
        )

    def _regroup(
        self,
        before: Sequence[Incident],
        drafts: Sequence[Decision],
        after: Sequence[Incident],
        text: Phrase,
    ) -> ActionResult:
        """Record a request to regroup incidents, unless it waits for a second person."""
        decision = self._decisions.record(drafts, DutyChange(before, after, drafts))
        if isinstance(decision, PendingDecision):
            return self._report_waiting(decision)
        for draft in drafts:
            self._renew(
                next(incident for incident in before if incident.id == draft.incident), draft
            )
        return ActionResult(before[0].id, self._mark_one_person(decision, text), decision=decision)

    def _get_other(self, id_: str) -> Incident:
        incident = self.work.store.get(Incident, id_)
        if incident is None:
            raise QueryError("no incident with that id: see the list", "other")
        return incident

    def detach(
        self, id_: str, sighting: str, *, by: str, note: str, token: str = ""
    ) -> ActionResult:
        """Request that one sighting of an incident becomes an incident of its own.

        `sighting` is its id or the beginning of it. The alert service carries out the request
        within a minute, unless a second person must confirm it first, which the result says. Raises
        QueryError unless exactly one sighting has an id that begins so, and if the incident has no
        other sighting.
        """
        incident = self.incident(id_)
        matching = [
            candidate
            for candidate in self.find_sightings(incident)
            if sighting and candidate.id.startswith(sighting)
        ]
        if len(matching) != 1:
            raise QueryError(
                Phrase(
                    "%(count)s of its sightings begin with this: give one id, as listed by"
                    " `incidents show --json`",
                    count=len(matching),
                ),
                "sighting",
            )
        if incident.sightings == 1:
            raise QueryError(
                "this sighting is the only one of the incident: mark the incident as a false"
                " positive, or link it with another"
            )
        text = Phrase(
            "%(id)s: sighting %(to)s becomes a separate incident within a minute",
            id=id_,
            to=matching[0].id,
        )
        draft = self._decisions.draft_act(
            incident, "detached", by=by, about=matching[0].id, note=note, token=token
        )
        after = Regrouping(self.work.duties, self.rules).preview_detachment(incident, matching[0])
        return self._regroup([incident], [draft], after, text)

    def find_sightings(self, incident: Incident) -> list[Sighting]:
        """Return all sightings of an incident and of the incidents merged into it, unordered."""
        return list(self.work.store.scroll(Sighting, DocumentFilter({"incident": incident.family})))

    def several(
        self, ids: Collection[str], act: Callable[[str], ActionResult]
    ) -> list[ActionResult]:
        """Apply `act` to each incident id, one time per id, and return one result per id, in order.

        A QueryError of one incident becomes a result with `is_done=False`; the others are still
        handled.
        """
        return [self._try(id_, act) for id_ in dict.fromkeys(ids)]

    def close(
        self,
        id_: str,
        status: Closing,
        *,
        by: str,
        note: str = "",
        reason: str = "",
        days: int = USUAL_DAYS,
    ) -> ActionResult:
        """Close an incident: with the status `false_positive` see `excuse`, else see `decide`.

        `reason` and `days` apply only to a false positive. If closing would end a reporting
        deadline and the tenant requires a second person, the incident stays open until somebody
        confirms.
        """
        if status == "false_positive":
            return self.excuse(id_, reason, by=by, days=days, note=note)
        return self.decide(id_, status, by=by, note=note)

    @staticmethod
    def _try(id_: str, act: Callable[[str], ActionResult]) -> ActionResult:
        try:
            return act(id_)
        except QueryError as error:
            why = error.args[0]
            return ActionResult(
                id_,
                Phrase("%(id)s: %(why)s", id=id_, why=Phrase(why) if isinstance(why, str) else why),
                is_done=False,
            )

    @property
    def _decisions(self) -> Decisions:
        return Decisions(self.work.duties, self.trail, self.actor)

    def _renew(self, incident: Incident, *made: Recorded) -> IncidentDeadlines:
        """Write the incident's work item after `made`, and return its deadlines."""
        written = [decision for decision in made if isinstance(decision, Decision)]
        self.work.write([incident], written)
        self.work.store.refresh(WorkItem)  # people look at the queue next
        return self.work.duties.find_deadlines([incident], written)[incident.id]

    def _until(self, incident: Incident, typed: str) -> datetime | None:
        return parse_due(typed, self._zone(incident), self.work.duties.clock.now())

    def _zone(self, incident: Incident) -> ZoneInfo:
        return ZoneInfo(self.work.duties.tenant(incident.tenant).zone)

    def _format_time(self, incident: Incident, when: datetime) -> str:
        return when.astimezone(self._zone(incident)).strftime("%Y-%m-%d %H:%M %Z")

    def _due(self, incident: Incident, until: datetime | None) -> Phrase:
        return (
            Phrase("due %(when)s", when=self._format_time(incident, until))
            if until
            else Phrase("no due date")
        )


def describe_removals(incident: Incident, zone: tzinfo | None = None) -> Phrase | None:
    """Describe how many posts of an incident the sites have removed; None if none was removed.

    The sentence also says how many posts are back, or when the last of all was removed, in `zone`
    (default: the local time zone).
    """
    numbers = {
        "n": f"{incident.gone:,}",
        "all": f"{incident.sightings:,}",
        "back": f"{incident.back:,}",
    }
    if incident.gone_at is not None:
        when = incident.gone_at.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z")
        return Phrase("All its posts have been removed, the last %(when)s.", when=when)
    if incident.gone and incident.back:
        return Phrase("%(n)s of %(all)s posts have been removed, and %(back)s are back.", **numbers)
    if incident.back:
        return Phrase("%(back)s of %(all)s posts had been removed and are back.", **numbers)
    return Phrase("%(n)s of %(all)s posts have been removed.", **numbers) if incident.gone else None


def find_links(incident: Incident, decisions: Iterable[Decision]) -> tuple[str, ...]:
    """Return the ids of incidents that share posts with this one or that people linked to it.

    `decisions` are those on this incident. Links that people ended or undid are left out.
    """
    links = dict.fromkeys(incident.linked)
    for decision in sorted(in_force(decisions), key=lambda decision: (decision.at, decision.id)):
        if decision.act == "linked":
            links[decision.about] = None
        elif decision.act == "unlinked":
            links.pop(decision.about, None)
    return tuple(links)


def select_refused(results: Sequence[ActionResult]) -> list[ActionResult]:
    """Return the results of actions that were refused."""
    return [result for result in results if not result.is_done]
