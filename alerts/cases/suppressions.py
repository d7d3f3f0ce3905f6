"""Suppress notifications of known findings: until when, by whom and why.

Suppressed incidents are grouped, scored and counted as before, but nobody is notified.

A suppression names a tenant and at least one of site, channel, author, rule (a reason code or
scenario) and incident. A sighting must meet all of these conditions, and every sighting of an
incident must be covered, so the same leak on a second site is still reported. A suppression that
names an incident covers similar content as of now; a file with more in it is reported. Severity
`statutory` and found honeytokens are never suppressed. An incident that starts a reporting deadline
is suppressed only by its own id, because nobody knew of it when a site was suppressed; while a
deadline runs, only after a second person has confirmed it. Suppressions are only added: lifting one
is a document of its own, and expired ones have no effect.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from alerts.accounts.second_person import Actor
from alerts.cases.decisions import TOKEN_BYTES, Decisions
from alerts.deadlines.comparison import DutyChange, EndedDuty, find_ended
from alerts.deadlines.outstanding import Duties
from alerts.grouping.placement import measure_known_share
from alerts.records import Background, Incident, PendingDecision, Sighting, Suppression
from alerts.records.decision import validate_name, validate_note
from alerts.records.document import QueryError
from alerts.store import DocumentFilter, IncidentStore
from ullage.audit import Trail
from ullage.lookup.values import identifier_in
from ullage.phrase import Phrase
from ullage.records.heartbeat import NAME

MOST_SUPPRESSION_DAYS = 180
KNOWN = 0.8
"""Share of an incident's sketch that must have been in the suppressed incident's sketch."""
LIFTED = ":lifted"
SHOWN_AS = {
    "site": re.compile(NAME),
    "channel": re.compile("#[0-9a-f]{12}"),
    "author": re.compile("@[0-9a-f]{8,16}"),
}
"""Patterns of the values that stand for a site, a channel and an author in an incident."""
FIELDS = {"site": Phrase("site"), "channel": Phrase("channel"), "author": Phrase("author")}


Silenced = Suppression | PendingDecision
"""The result of suppressing something: a suppression, or a pending decision."""


@dataclass(frozen=True, slots=True)
class SuppressionConditions:
    """The conditions that a finding must meet; "" is any."""

    site: str = ""
    channel: str = ""
    author: str = ""
    rule: str = ""
    incident: str = ""

    def describe(self) -> str:
        """Describe the conditions in words, for the audit log and for people."""
        chosen = {
            name: getattr(self, name) for name in ("site", "channel", "author", "rule", "incident")
        }
        return ", ".join(f"{name} {value}" for name, value in chosen.items() if value)


def describe_conditions(suppression: Suppression) -> str:
    """Return the conditions of `suppression` in English words."""
    return SuppressionConditions(
        suppression.site,
        suppression.channel,
        suppression.author,
        suppression.rule,
        suppression.incident,
    ).describe()


@dataclass(frozen=True, slots=True)
class Suppressions:
    """The making and lifting of suppressions; each is written to the audit log first."""

    duties: Duties
    trail: Trail
    actor: Actor = field(default_factory=Actor)

    @property
    def store(self) -> IncidentStore:
        """The store of the suppressions."""
        return self.duties.store

    def suppress(
        self, tenant: str, conditions: SuppressionConditions, *, days: int, by: str, reason: str
    ) -> Silenced:
        """Stop notifications for findings that meet `conditions`, for a number of `days`.

        If this would end a reporting deadline and the tenant requires a second person, only a
        request is stored. Returns what was stored. Raises QueryError if the number of days, the
        reason or a condition is missing or invalid, or a condition contains an identifier.
        """
        if not 1 <= days <= MOST_SUPPRESSION_DAYS:
            raise QueryError(
                Phrase(
                    "a suppression must end after 1 to %(most)s days", most=MOST_SUPPRESSION_DAYS
                ),
                "days",
            )
        if not reason.strip():
            raise QueryError("give the reason for the suppression", "reason")
        if not tenant or not conditions.describe():
            raise QueryError(
                "give a tenant and at least one of site, channel, author, rule, incident"
            )
        if what := identifier_in(
            f"{conditions.site} {conditions.channel} {conditions.author} {conditions.rule}",
            numbers=False,
        ):
            raise QueryError(
                Phrase("the conditions seem to contain %(what)s: remove it", what=Phrase(what))
            )
        for name, shape in SHOWN_AS.items():
            if (value := getattr(conditions, name)) and not shape.fullmatch(value):
                raise QueryError(
                    Phrase(
                        "enter the %(field)s as an incident shows it; names of people are not"
                        " stored",
                        field=FIELDS[name],
                    )
                )
        like = self._incident(tenant, conditions.incident) if conditions.incident else None
        now = self.trail.clock.now()
        suppression = Suppression(
            id="SUP-" + base64.b32encode(secrets.token_bytes(7)).decode()[:10],
            tenant=tenant,
            at=now,
            by=validate_name(by),
            reason=validate_note(reason),
            expires=now + timedelta(days=days),
            site=conditions.site,
            channel=conditions.channel,
            author=conditions.author,
            rule=conditions.rule,
            incident=conditions.incident,
            sketch=like.sketch if like else (),
            sketch_of=like.sketch_of if like else "candidates",
        )
        what = f"suppression {suppression.id} for {days} days: {conditions.describe()}"
        ended = self._find_ended(like, suppression) if like else ()
        if like and ended and self.duties.tenant(tenant).second_person:
            whose = {
                "id": f"{like.id}:{secrets.token_hex(TOKEN_BYTES)}",
                "incident": like.id,
                "tenant": tenant,
                "by": suppression.by,
            }
            decisions = Decisions(self.duties, self.trail, self.actor)
            return decisions.propose(
                {**whose, "suppression": suppression}, what, ended, suppression.reason
            )
        suppression = suppression.model_copy(update={"ends": tuple(duty.name for duty in ended)})
        what += ", decided by one person" if ended else ""
        self.trail.append(
            "suppression.add", what, actor=suppression.by, tenant=tenant, reason=suppression.reason
        )
        self.store.create([suppression])
        return suppression

    def _find_ended(self, incident: Incident, suppression: Suppression) -> Sequence[EndedDuty]:
        """Return the running deadlines that would no longer be notified."""
        sightings = list(self.store.scroll(Sighting, DocumentFilter({"incident": incident.family})))
        is_silent = (
            _can_cover(suppression, incident)
            and find_covering(sightings, [suppression]) is not None
        )
        return find_ended(
            self.duties,
            DutyChange([incident], [incident], silenced={incident.id} if is_silent else ()),
        )

    def lift(self, id_: str, *, by: str, reason: str) -> Suppression:
        """End a suppression now, after an audit log entry, and return the record that ends it.

        Raises QueryError if the suppression does not exist or was already lifted, or `reason` is
        empty.
        """
        former = self.store.get(Suppression, id_)
        if former is None or former.lifts:
            raise QueryError("no suppression with that id: see `ullage incidents suppressions`")
        if not reason.strip():
            raise QueryError("give the reason for lifting it")
        lifted = former.model_copy(
            update={
                "id": former.id + LIFTED,
                "lifts": former.id,
                "at": self.trail.clock.now(),
                "by": validate_name(by),
                "reason": validate_note(reason),
                "sketch": (),
            }
        )
        if self.store.get(Suppression, lifted.id) is not None:
            raise QueryError(
                "this suppression was already lifted: see `ullage incidents suppressions`"
            )
        self.trail.append(
            "suppression.lift",
            f"suppression {id_}",
            actor=lifted.by,
            tenant=lifted.tenant,
            reason=lifted.reason,
        )
        self.store.create([lifted])
        return lifted

    def _incident(self, tenant: str, id_: str) -> Incident:
        incident = self.store.get(Incident, id_)
        if incident is None or incident.tenant != tenant:
            raise QueryError(
                "no incident with that id for this tenant: see `ullage incidents list`"
            )
        return incident


def list_suppressions(
    store: IncidentStore, tenant: str = ""
) -> list[tuple[Suppression, Suppression | None]]:
    """Return every suppression with the record that lifted it, newest first.

    The second is None for a suppression that was not lifted. Expired ones are included. With a
    `tenant`, only those of that tenant.
    """
    stored = list(
        store.scroll(Suppression, DocumentFilter({"tenant": (tenant,)} if tenant else {}))
    )
    lifted = {suppression.lifts: suppression for suppression in stored if suppression.lifts}
    current = sorted(
        (suppression for suppression in stored if not suppression.lifts),
        key=lambda suppression: (suppression.at, suppression.id),
        reverse=True,
    )
    return [(suppression, lifted.get(suppression.id)) for suppression in current]


def find_active(store: IncidentStore, now: datetime, tenant: str = "") -> list[Suppression]:
    """Return the suppressions that apply at `now`, newest first: neither lifted nor expired.

    With a `tenant` only those of that tenant.
    """
    return [
        suppression
        for suppression, lifted in list_suppressions(store, tenant)
        if lifted is None and suppression.at <= now < suppression.expires
    ]


def find_suppressed(duties: Duties, incidents: Iterable[Incident]) -> dict[str, Suppression]:
    """Return those of `incidents` that are suppressed now: by id, the suppression that applies.

    An incident is suppressed only if every sighting is covered and the suppression ends all of its
    running deadlines. If several apply, the newest one that covers the first sighting is returned.
    """
    store, by_incident = duties.store, dict[str, Suppression]()
    in_force, by_id = (
        find_active(store, duties.clock.now()),
        {incident.id: incident for incident in incidents},
    )
    fitting = {
        id_: applicable
        for id_, incident in by_id.items()
        if (
            applicable := [
                suppression for suppression in in_force if _can_cover(suppression, incident)
            ]
        )
    }
    running = duties.running([by_id[id_] for id_ in fitting]) if fitting else {}
    for id_, applicable in fitting.items():
        names = {f"{duty.regime.id} {duty.stage.id}" for duty in running.get(id_, ())}
        agreed = [suppression for suppression in applicable if names <= {*suppression.ends}]
        sightings = (
            list(store.scroll(Sighting, DocumentFilter({"incident": by_id[id_].family})))
            if agreed
            else []
        )
        if suppression := find_covering(sightings, agreed):
            by_incident[id_] = suppression
    return by_incident


def mute_filter(duties: Duties) -> Callable[[Sequence[Incident]], set[str]]:
    """Return a function that selects the incidents of which nobody is to be notified now, by id.

    They are suppressed, of severity `noise`, or part of another incident. All stay in the list.
    """

    def those_muted(incidents: Sequence[Incident]) -> set[str]:
        noise = {
            incident.id
            for incident in incidents
            if incident.severity == "noise" or incident.part_of
        }
        return noise | find_suppressed(duties, incidents).keys()

    return those_muted


def silent_clocks(duties: Duties) -> set[str]:
    """Return the ids of suppressed incidents for which a suppression by incident id exists.

    Only these may be silent although they start deadlines.
    """
    named = {
        suppression.incident
        for suppression in find_active(duties.store, duties.clock.now())
        if suppression.incident
    }
    return (
        {*find_suppressed(duties, duties.store.mget(Incident, named).values())} if named else set()
    )


def find_covering(
    sightings: Sequence[Sighting], fitting: Sequence[Suppression]
) -> Suppression | None:
    """Return the suppression in `fitting` that covers the first sighting, if all are covered.

    None if a sighting is not covered or contains a honeytoken, or if there are no sightings.
    """
    if not sightings or any(sighting.honeytokens for sighting in sightings):
        return None
    covered = [
        next((suppression for suppression in fitting if _covers(suppression, sighting)), None)
        for sighting in sightings
    ]
    return covered[0] if all(covered) else None


def _can_cover(suppression: Suppression, incident: Incident) -> bool:
    """Return whether the conditions that concern the whole incident are met.

    Never for one of severity `statutory` or of another tenant, nor for one with a running deadline
    unless it is named.
    """
    if incident.tenant != suppression.tenant or incident.severity == "statutory":
        return False
    if incident.clock == "run" and suppression.incident != incident.id:
        return False
    if suppression.rule and suppression.rule not in {
        incident.scenario,
        *(why.code for why in incident.reasons),
    }:
        return False
    return not suppression.incident or _is_like(suppression, incident)


def _is_like(suppression: Suppression, incident: Incident) -> bool:
    if suppression.sketch_of != incident.sketch_of:
        return False
    overlap = measure_known_share(incident.sketch, suppression.sketch)
    is_same = incident.id == suppression.incident
    return (
        overlap.share >= KNOWN and (is_same or overlap.compared >= 8)
        if overlap.compared
        else is_same
    )


def _covers(one: Suppression, sighting: Sighting) -> bool:
    """Return whether the conditions that concern a single post are met."""
    channel = sighting.channel.partition(" ")[0]  # words of its name follow the token
    pairs = ((one.site, sighting.site), (one.channel, channel), (one.author, sighting.author))
    return all(required in ("", has) for required, has in pairs)


class BenignCount(NamedTuple):
    """The number of posts on one site that one rule found benign, for one tenant.

    `customers` is the number of different customers in them.
    """

    tenant: str
    site: str
    rule: str
    posts: int
    customers: int


def background_counts(store: IncidentStore, tenant: str = "") -> list[BenignCount]:
    """Return how many posts each rule found benign, by tenant and site, most posts first.

    Each count also has the number of different people. With a `tenant`, only its posts are counted.
    """
    posts = Counter[tuple[str, str, str]]()
    people = defaultdict[tuple[str, str, str], set[str]](set)
    for fact in store.scroll(Background, DocumentFilter({"tenant": (tenant,)} if tenant else {})):
        key = fact.tenant, fact.site, fact.rule
        posts[key] += 1
        people[key].add(fact.subject)
    return sorted(
        (BenignCount(*key, count, len(people[key])) for key, count in posts.items()),
        key=lambda c: (-c.posts, c[:3]),
    )
