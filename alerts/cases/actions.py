"""Assign, acknowledge, close, link, merge and split incidents, and undo what has no legal effect.

Texts are message ids with parameters, which page and terminal put into words (`ActionResult`).
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
from alerts.cases.regrouping import Regrouping, merged_into
from alerts.cases.second_person import SecondPersons, ends_of, waits_for
from alerts.cases.undoing import UNDOABLE, find_undoable, latest_alike
from alerts.deadlines.comparison import DutyChange
from alerts.deadlines.outstanding import Duty, IncidentDeadlines
from alerts.deadlines.render import reported
from alerts.deadlines.schedule import Work, named, takedown_of
from alerts.records import Decision, Incident, PendingDecision, Sighting, WorkItem
from alerts.records.decision import checked_name, in_force
from alerts.records.document import QueryError
from alerts.store import DocumentFilter
from alerts.store.queries import CLOSED, find_pending
from ullage.audit import Trail
from ullage.clock import in_range, parse_moment
from ullage.phrase import Phrase
from ullage.verdict import VerdictRules, own_rules

REASONS: Mapping[str, Phrase] = {
    "test_data": Phrase("test data or a sample of nobody"),
    "chance": Phrase("numbers that match by chance"),
    "own_post": Phrase("the customer's own post"),
    "public": Phrase("public information, such as a shop or an official notice"),
    "dealt_with": Phrase("an old leak that was already handled"),
    "no_data": Phrase("text without data"),
    "other": Phrase("another reason, see the note"),
}
"""Why an incident is none: the value of a decision, and what it says."""
MOST_DAYS, USUAL_DAYS = 180, 90
TAKEDOWN: Mapping[str, tuple[str, ...]] = {
    "asked": ("", "back"),
    "sent": ("", "asked", "back"),
    "gone": ("asked", "sent", "back"),
    "back": ("gone",),
}
"""The states of a takedown, each with those that it follows: to be asked for, sent, what was
posted is gone, it is back.
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
    """QueryError where an incident is given to somebody who has no account that may work on it;
    anybody, where there is none.
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
    """What was done of one incident, or why it was not."""

    incident: str
    phrase: Phrase
    clocks: tuple[str, ...] = ()
    """Names of the clocks that it speaks of: those that it started, or that run."""
    done: bool = True
    made: Recorded | None = None
    """What was recorded, where a program is told of it."""

    def words(self) -> str:
        """In one line, in English."""
        return str(self.phrase)


def moment_typed(typed: str, zone: ZoneInfo, now: datetime) -> datetime | None:
    """A date that a person gave: `2026-11-25`, which ends at 18:00, `2026-11-25T14:30`, `+4h`,
    `+3d`, or `-` for none.
    """
    typed = typed.strip()
    if typed == "-":
        return None
    if found := AHEAD.fullmatch(typed):
        amount = int(found["n"])
        return now + (timedelta(hours=amount) if found["unit"] == "h" else timedelta(days=amount))
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


def moment_past(typed: str, zone: ZoneInfo, now: datetime, *members: str) -> datetime:
    """A time that has passed: `2026-11-25`, `2026-11-25T06:00`, `12h` or `3d` ago; else
    QueryError about `members`.
    """
    if found := AHEAD.fullmatch(f"+{typed.strip()}"):
        amount = int(found["n"])
        return now - (timedelta(hours=amount) if found["unit"] == "h" else timedelta(days=amount))
    aware = parse_moment(typed.strip(), zone)
    if aware is None:
        raise QueryError("invalid time: use 2026-11-25, 2026-11-25T06:00, 12h or 3d", *members)
    return aware.astimezone(now.tzinfo)


@dataclass(frozen=True, slots=True)
class Cases:
    """Where people work.

    QueryError says what is missing or wrong, without repeating what was typed.
    """

    work: Work
    trail: Trail
    actor: Actor = field(default_factory=Actor)
    rules: Callable[[], VerdictRules] = own_rules
    """Those in force, by which incidents are judged that are merged or split."""

    def incident(self, id_: str) -> Incident:
        """The incident of that id; QueryError when there is none."""
        found = self.work.store.get(Incident, id_)
        if found is None:
            raise QueryError("no incident with that id: see the list")
        return found

    def owed(self, incident: Incident) -> IncidentDeadlines:
        """What is owed of an incident now."""
        return self.work.duties.owed([incident])[incident.id]

    def would_start(
        self, incident: Incident, owed: IncidentDeadlines, status: str = "acknowledged"
    ) -> tuple[Duty, ...]:
        """The duties whose clocks `status` would start, were it decided now."""
        now = self.work.duties.clock.now()
        trial = Decision.model_validate(
            {"id": "", "tenant": "", "incident": incident.id, "at": now, "by": "", "status": status}
        )
        after = self.work.duties.owed([incident], [trial])[incident.id]
        before = {named(duty) for duty in owed.running}
        return tuple(duty for duty in after.running if named(duty) not in before)

    def acknowledge(self, id_: str, *, by: str, note: str = "", token: str = "") -> ActionResult:
        """Say that somebody knows of it; names the clocks that this starts."""
        return self.decide(id_, "acknowledged", by=by, note=note, token=token)

    def decide(
        self, id_: str, chosen: str, *, by: str, note: str = "", token: str = "", **more: Any
    ) -> ActionResult:
        """Decide `chosen` as `Decisions.make` takes it; says which clocks it starts."""
        incident = self.incident(id_)
        before = self.owed(incident)
        made = self._decisions.make(incident, chosen, by=by, note=note, token=token, **more)
        if isinstance(made, PendingDecision):
            return self._waiting(made)
        after = self._renewed(incident, made)
        known = {named(duty) for duty in before.running}
        started = tuple(named(duty) for duty in after.running if named(duty) not in known)
        what = (made.status if made.status != "note" else chosen).replace("_", " ")
        words = {"id": id_, "what": WORDS.get(what, what), "by": made.by}
        if started:
            starts = Phrase(
                "%(id)s: %(what)s by %(by)s. Deadlines started: %(clocks)s",
                clocks=tuple(map(reported, started)),
                **words,
            )
            return ActionResult(id_, starts, started, made=made)
        return ActionResult(
            id_, self._one_person(made, Phrase("%(id)s: %(what)s by %(by)s", **words)), made=made
        )

    def _waiting(self, pending: PendingDecision) -> ActionResult:
        """Say that an act has no effect yet, for whom it waits and which deadlines it would end."""
        said = Phrase(
            "%(id)s: %(waits)s. Until then these deadlines run: %(clocks)s",
            id=pending.incident,
            waits=waits_for(self.actor, pending),
            clocks=ends_of(pending.ends),
        )
        return ActionResult(pending.incident, said, pending.ends, made=pending)

    @staticmethod
    def _one_person(made: Recorded, said: Phrase) -> Phrase:
        """Say as well that one person ended a deadline, where one did."""
        alone = isinstance(made, Decision) and made.is_by_one_person
        return (
            Phrase("%(what)s. %(more)s", what=said, more=Phrase("decided by one person"))
            if alone
            else said
        )

    def pending(self, incident: Incident) -> list[tuple[PendingDecision, Phrase]]:
        """Return what waits for a second person of an incident, and for whom, the oldest first."""
        return [
            (one, waits_for(self.actor, one))
            for one in find_pending(self.work.store, incident.family)
        ]

    def answer(
        self, id_: str, entry: str, *, by: str, confirm: bool, note: str = ""
    ) -> ActionResult:
        """Confirm or refuse, as a second person, what ends a deadline; `SecondPersons.answer`
        says who may.
        """
        incident = self.incident(id_)
        made = SecondPersons(self._decisions).answer(
            incident, entry, by=by, confirm=confirm, note=note
        )
        pending = self.work.store.get(PendingDecision, entry)
        touched = {one.incident for one in pending.decisions} if pending else set()
        self.work.write([*self.work.store.mget(Incident, {id_, *touched}).values()], [made])
        self.work.store.refresh(WorkItem)
        said = (
            Phrase("%(id)s: confirmed by %(by)s", id=id_, by=by)
            if confirm
            else Phrase("%(id)s: refused by %(by)s", id=id_, by=by)
        )
        return ActionResult(id_, said, made=made)

    def assign(
        self, id_: str, to: str, *, by: str, due: str = "", note: str = "", token: str = ""
    ) -> ActionResult:
        """Give an incident to somebody, "" or `-` to nobody, and say by when, if that is given."""
        incident = self.incident(id_)
        whose = checked_name(to, "to") if to.strip() not in ("", "-") else ""
        until = self._until(incident, due) if due.strip() else None
        made = [
            self._decisions.act(incident, "assigned", by=by, value=whose, note=note, token=token)
        ]
        if due.strip():
            made.append(
                self._decisions.act(
                    incident, "due", by=by, until=until, token=token and f"{token}d"
                )
            )
        self._renewed(incident, *made)
        to_whom = whose or Phrase("nobody")
        if not due.strip():
            return ActionResult(id_, Phrase("%(id)s: assigned to %(to)s", id=id_, to=to_whom))
        return ActionResult(
            id_,
            Phrase(
                "%(id)s: assigned to %(to)s, %(due)s",
                id=id_,
                to=to_whom,
                due=self._due(incident, until),
            ),
        )

    def set_due(
        self, id_: str, due: str, *, by: str, note: str = "", token: str = ""
    ) -> ActionResult:
        """Say by when something is to be done of it."""
        incident = self.incident(id_)
        until = self._until(incident, due)
        self._renewed(
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
        """Call an incident a false positive, for a reason and a time, after which it comes back;
        news brings it back before.
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
            raise QueryError("give the other reason in the note", "note")
        incident = self.incident(id_)
        until = self.work.duties.clock.now() + timedelta(days=days)
        made = self._decisions.act(
            incident, "excused", by=by, value=reason, until=until, note=note, token=token
        )
        if isinstance(made, PendingDecision):
            return self._waiting(made)
        self._renewed(incident, made)
        back = Phrase(
            "%(id)s: false positive, %(why)s. It reopens on %(due)s, or earlier with new findings",
            id=id_,
            why=REASONS[reason],
            due=self._shown(incident, until),
        )
        return ActionResult(id_, self._one_person(made, back), made=made)

    def takedown(
        self, id_: str, state: str, *, by: str, note: str = "", token: str = ""
    ) -> ActionResult:
        """Say how far the takedown of what was posted has come."""
        if state not in TAKEDOWN:
            raise QueryError(
                Phrase(
                    "the state of a takedown must be one of %(known)s", known=", ".join(TAKEDOWN)
                ),
                "state",
            )
        incident = self.incident(id_)
        now = takedown_of(self.owed(incident).decisions)
        if now not in TAKEDOWN[state] and now != state:
            before = tuple(STATES[one] for one in TAKEDOWN[state] if one)
            raise QueryError(
                Phrase(
                    "a takedown can become %(state)s only after: %(before)s; now: %(now)s",
                    state=STATES[state],
                    before=before,
                    now=STATES[now],
                ),
                "state",
            )
        self._renewed(
            incident,
            self._decisions.act(incident, "takedown", by=by, value=state, note=note, token=token),
        )
        said, known = (
            Phrase("%(id)s: takedown %(state)s", id=id_, state=STATES[state]),
            presence_of(incident, self._zone(incident)),
        )
        return ActionResult(
            id_, Phrase("%(what)s. %(more)s", what=said, more=known) if known else said
        )

    def link(
        self, id_: str, other: str, *, by: str, note: str = "", token: str = "", end: bool = False
    ) -> ActionResult:
        """Say that two incidents belong together, or, with `end`, that they do not; it is
        written of both.
        """
        if id_ == other:
            raise QueryError(
                "an incident cannot be linked with itself: choose another one", "other"
            )
        pair = self.incident(id_), self.incident(other)
        if pair[0].tenant != pair[1].tenant:
            raise QueryError(
                "the incidents belong to different tenants, which cannot see each other's data",
                "other",
            )
        for one, about in (pair, pair[::-1]):
            act: Literal["linked", "unlinked"] = "unlinked" if end else "linked"
            made = self._decisions.act(one, act, by=by, about=about.id, note=note, token=token)
            self._renewed(one, made)
        if end:
            return ActionResult(
                id_, Phrase("%(id)s: no longer linked with %(to)s", id=id_, to=other)
            )
        return ActionResult(id_, Phrase("%(id)s: linked with %(to)s", id=id_, to=other))

    def entry(self, id_: str, entry: str) -> Decision:
        """The decision `entry` of an incident, if it can be undone; QueryError says why not."""
        decisions = in_force(self.owed(self.incident(id_)).decisions)
        found = next((one for one in decisions if one.id == entry), None)
        if found is None:
            raise QueryError("this entry is not in the history, or was already undone", "entry")
        if found.act not in UNDOABLE:
            raise QueryError("only assignments, due dates and links can be undone", "entry")
        if latest_alike(found, decisions) != found:
            raise QueryError("a later entry replaced it: undo that one first", "entry")
        return found

    def last_entry(self, id_: str) -> str:
        """The id of the last decision of an incident that can be undone."""
        decisions = self.owed(self.incident(id_)).decisions
        ids = find_undoable(decisions)
        if not ids:
            raise QueryError(
                "nothing of this incident can be undone: only assignments, due dates and links can",
                "entry",
            )
        return max((one for one in decisions if one.id in ids), key=lambda one: (one.at, one.id)).id

    def undo(
        self, id_: str, entry: str, *, by: str, note: str = "", token: str = ""
    ) -> ActionResult:
        """Undo the decision `entry`, so that the one before it counts again; a link is undone on
        both sides.
        """
        pairs = [(self.incident(id_), self.entry(id_, entry))]
        found = pairs[0][1]
        if found.act in ("linked", "unlinked"):
            other = self.incident(found.about)
            twin = found.model_copy(update={"about": id_})
            mirrored = latest_alike(twin, in_force(self.owed(other).decisions))
            if mirrored is not None and mirrored.act == found.act:
                pairs.append((other, mirrored))
        for incident, one in pairs:
            made = self._decisions.act(
                incident, "undone", by=by, value=one.act, about=one.id, note=note, token=token
            )
            self._renewed(incident, made)
        return ActionResult(id_, Phrase("%(id)s: undone", id=id_))

    def merge(self, id_: str, other: str, *, by: str, note: str, token: str = "") -> ActionResult:
        """Ask that `other` becomes part of an incident, which then answers for both; alert does
        so within a minute.
        """
        if id_ == other:
            raise QueryError(
                "an incident cannot be merged with itself: choose another one", "other"
            )
        head, part = self.incident(id_), self._other(other)
        if head.tenant != part.tenant:
            raise QueryError(
                "the incidents belong to different tenants, which cannot see each other's data",
                "other",
            )
        if self.owed(head).status in CLOSED:
            raise QueryError("this incident is closed: merge it into one that is open")
        for one in (head, part):
            if one.part_of:
                raise QueryError(
                    Phrase(
                        "%(id)s is part of %(other)s: use that one", id=one.id, other=one.part_of
                    ),
                    "other",
                )
            if one.frozen_at is not None:
                raise QueryError(
                    Phrase("the data of %(id)s has passed its retention", id=one.id), "other"
                )
        said = Phrase("%(id)s: %(to)s is merged into it within a minute", id=id_, to=other)
        drafts = [
            self._decisions.draft_act(
                part, "merged_into", by=by, about=head.id, note=note, token=token
            ),
            self._decisions.draft_act(head, "merged", by=by, about=part.id, note=note, token=token),
        ]
        return self._regroup([head, part], drafts, self._after(head, part, drafts[1]), said)

    def split(self, id_: str, other: str, *, by: str, note: str, token: str = "") -> ActionResult:
        """Ask that `other`, which was merged into an incident, is one of its own again; alert
        does so within a minute.
        """
        head, part = self.incident(id_), self._other(other)
        if other not in merged_into(self.owed(head).decisions):
            raise QueryError(
                "this incident was not merged into it: split off a sighting instead", "other"
            )
        said = Phrase("%(id)s: %(to)s is split off within a minute", id=id_, to=other)
        drafts = [
            self._decisions.draft_act(head, "split", by=by, about=other, note=note, token=token),
            self._decisions.draft_act(part, "split_from", by=by, about=id_, note=note, token=token),
        ]
        return self._regroup([head, part], drafts, self._after(head, part, drafts[0]), said)

    def _after(self, head: Incident, part: Incident, asked: Decision) -> Sequence[Incident]:
        """Return both incidents as a merge or a split leaves them."""
        return Regrouping(self.work.duties, self.rules).regrouped(
            head, part, is_merge=asked.act == "merged", at=asked.at
        )

    def _regroup(
        self,
        before: Sequence[Incident],
        drafts: Sequence[Decision],
        after: Sequence[Incident],
        said: Phrase,
    ) -> ActionResult:
        """Record that incidents are to be regrouped, unless that waits for a second person."""
        made = self._decisions.record(drafts, DutyChange(before, after, drafts))
        if isinstance(made, PendingDecision):
            return self._waiting(made)
        for draft in drafts:
            self._renewed(next(one for one in before if one.id == draft.incident), draft)
        return ActionResult(before[0].id, self._one_person(made, said), made=made)

    def _other(self, id_: str) -> Incident:
        found = self.work.store.get(Incident, id_)
        if found is None:
            raise QueryError("no incident with that id: see the list", "other")
        return found

    def detach(
        self, id_: str, sighting: str, *, by: str, note: str, token: str = ""
    ) -> ActionResult:
        """Ask that a sighting, named by how its id begins, becomes an incident of its own; alert
        does so within a minute.
        """
        incident = self.incident(id_)
        seen = [one for one in self.sightings(incident) if sighting and one.id.startswith(sighting)]
        if len(seen) != 1:
            raise QueryError(
                Phrase(
                    "%(count)s of its sightings begin with this: give one id, as listed by"
                    " `incidents show --json`",
                    count=len(seen),
                ),
                "sighting",
            )
        if incident.sightings == 1:
            raise QueryError(
                "it is the only sighting of this incident: mark the incident as a false positive,"
                " or link it with another"
            )
        said = Phrase(
            "%(id)s: sighting %(to)s becomes a separate incident within a minute",
            id=id_,
            to=seen[0].id,
        )
        draft = self._decisions.draft_act(
            incident, "detached", by=by, about=seen[0].id, note=note, token=token
        )
        after = Regrouping(self.work.duties, self.rules).detached(incident, seen[0])
        return self._regroup([incident], [draft], after, said)

    def sightings(self, incident: Incident) -> list[Sighting]:
        """Where it was seen."""
        return list(self.work.store.scroll(Sighting, DocumentFilter({"incident": incident.family})))

    def several(
        self, ids: Collection[str], act: Callable[[str], ActionResult]
    ) -> list[ActionResult]:
        """Do something with each; what is refused of one hinders no other, and says why."""
        return [self._tried(id_, act) for id_ in dict.fromkeys(ids)]

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
        """Close an incident in either way; while deadlines of it run, a second person has to
        confirm it.
        """
        if status == "false_positive":
            return self.excuse(id_, reason, by=by, days=days, note=note)
        return self.decide(id_, status, by=by, note=note)

    @staticmethod
    def _tried(id_: str, act: Callable[[str], ActionResult]) -> ActionResult:
        try:
            return act(id_)
        except QueryError as error:
            why = error.args[0]
            return ActionResult(
                id_,
                Phrase("%(id)s: %(why)s", id=id_, why=Phrase(why) if isinstance(why, str) else why),
                done=False,
            )

    @property
    def _decisions(self) -> Decisions:
        return Decisions(self.work.duties, self.trail, self.actor)

    def _renewed(self, incident: Incident, *made: Recorded) -> IncidentDeadlines:
        """What is owed after `made`; the incident's work item says so."""
        written = [one for one in made if isinstance(one, Decision)]
        self.work.write([incident], written)
        self.work.store.refresh(WorkItem)  # the queue is what is looked at next
        return self.work.duties.owed([incident], written)[incident.id]

    def _until(self, incident: Incident, typed: str) -> datetime | None:
        return moment_typed(typed, self._zone(incident), self.work.duties.clock.now())

    def _zone(self, incident: Incident) -> ZoneInfo:
        return ZoneInfo(self.work.duties.tenant(incident.tenant).zone)

    def _shown(self, incident: Incident, when: datetime) -> str:
        return when.astimezone(self._zone(incident)).strftime("%Y-%m-%d %H:%M %Z")

    def _due(self, incident: Incident, until: datetime | None) -> Phrase:
        return (
            Phrase("due %(when)s", when=self._shown(incident, until))
            if until
            else Phrase("no due date")
        )


def presence_of(incident: Incident, zone: tzinfo | None = None) -> Phrase | None:
    """What is known of whether its posts are still there, as evidence for a takedown; None where
    nobody found one gone.
    """
    told = {
        "n": f"{incident.gone:,}",
        "all": f"{incident.sightings:,}",
        "back": f"{incident.back:,}",
    }
    if incident.gone_at is not None:
        when = incident.gone_at.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z")
        return Phrase("All its posts have been removed, the last %(when)s.", when=when)
    if incident.gone and incident.back:
        return Phrase("%(n)s of %(all)s posts have been removed, and %(back)s are back.", **told)
    if incident.back:
        return Phrase("%(back)s of %(all)s posts had been removed and are back.", **told)
    return Phrase("%(n)s of %(all)s posts have been removed.", **told) if incident.gone else None


def links_of(incident: Incident, decisions: Iterable[Decision]) -> tuple[str, ...]:
    """The incidents that it is linked with: those that share posts with it, and those that
    people linked.
    """
    found = dict.fromkeys(incident.linked)
    for one in sorted(in_force(decisions), key=lambda one: (one.at, one.id)):
        if one.act == "linked":
            found[one.about] = None
        elif one.act == "unlinked":
            found.pop(one.about, None)
    return tuple(found)


def refused(said: Sequence[ActionResult]) -> list[ActionResult]:
    """Those that were not done."""
    return [one for one in said if not one.done]
