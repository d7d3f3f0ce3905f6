"""What an analyst has silenced: until when, by whom and why.

It is folded, scored and counted as ever, and notifies nobody.

A suppression names a tenant and at least one of site, channel, author, rule (a reason code or
scenario), incident. All that it names must fit; of an incident every sighting must be covered, so
the same leak on a second site is heard. One that names an incident covers what is like it now: when
a file comes that has more in it, that is news. Severity `statutory` and bait that was found are
never silenced. An incident that starts a clock is silenced by its own number alone, for nobody knew
of it when a site was silenced; one of which a deadline runs, only if a second person has confirmed
that. Suppressions are only ever appended: lifting one is a document of its own, and one that is
past its time is none.
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
from alerts.records.decision import checked_name, checked_note
from alerts.records.document import QueryError
from alerts.store import DocumentFilter, IncidentStore
from ullage.audit import Trail
from ullage.lookup.values import identifier_in
from ullage.phrase import Phrase
from ullage.records.heartbeat import NAME

MOST_SUPPRESSION_DAYS = 180
KNOWN = 0.8
"""Share of an incident's sketch that must have been in that of the suppressed one."""
LIFTED = ":lifted"
SHOWN_AS = {
    "site": re.compile(NAME),
    "channel": re.compile("#[0-9a-f]{12}"),
    "author": re.compile("@[0-9a-f]{8,16}"),
}
"""What stands for a site, a channel and an author in an incident."""
FIELDS = {"site": Phrase("site"), "channel": Phrase("channel"), "author": Phrase("author")}


Silenced = Suppression | PendingDecision
"""What suppressing something leaves: that it is silent, or that this waits for a second person."""


@dataclass(frozen=True, slots=True)
class SuppressionConditions:
    """What a finding must have; "" is any."""

    site: str = ""
    channel: str = ""
    author: str = ""
    rule: str = ""
    incident: str = ""

    def said(self) -> str:
        """In words, for the audit log and for people."""
        chosen = {
            name: getattr(self, name) for name in ("site", "channel", "author", "rule", "incident")
        }
        return ", ".join(f"{name} {value}" for name, value in chosen.items() if value)


def said(suppression: Suppression) -> str:
    """The conditions of `suppression` in words."""
    return SuppressionConditions(
        suppression.site, suppression.channel, suppression.author, suppression.rule,
        suppression.incident
    ).said()  # fmt: skip


@dataclass(frozen=True, slots=True)
class Suppressions:
    """Where suppressions are made and lifted: each is in the audit log first."""

    duties: Duties
    trail: Trail
    actor: Actor = field(default_factory=Actor)

    @property
    def store(self) -> IncidentStore:
        """Where they are kept."""
        return self.duties.store

    def suppress(
        self, tenant: str, conditions: SuppressionConditions, *, days: int, by: str, reason: str
    ) -> Silenced:
        """Silence what fits `conditions`, or store that this waits for a second person;
        QueryError says what is wrong.
        """
        if not 1 <= days <= MOST_SUPPRESSION_DAYS:
            raise QueryError(
                Phrase(
                    "a suppression must end after 1 to %(most)s days", most=MOST_SUPPRESSION_DAYS
                )
            )
        if not reason.strip():
            raise QueryError("a suppression needs a reason")
        if not tenant or not conditions.said():
            raise QueryError(
                "specify a tenant and at least one of site, channel, author, rule, incident"
            )
        if what := identifier_in(
            f"{conditions.site} {conditions.channel} {conditions.author} {conditions.rule}",
            numbers=False,
        ):
            raise QueryError(Phrase("the conditions seem to contain %(what)s", what=Phrase(what)))
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
        made = Suppression(
            id="SUP-" + base64.b32encode(secrets.token_bytes(7)).decode()[:10],
            tenant=tenant,
            at=now,
            by=checked_name(by),
            reason=checked_note(reason),
            expires=now + timedelta(days=days),
            site=conditions.site,
            channel=conditions.channel,
            author=conditions.author,
            rule=conditions.rule,
            incident=conditions.incident,
            sketch=like.sketch if like else (),
            sketch_of=like.sketch_of if like else "candidates",
        )
        what = f"suppression {made.id} for {days} days: {conditions.said()}"
        ended = self._ended(like, made) if like else ()
        if like and ended and self.duties.tenant(tenant).second_person:
            whose = {
                "id": f"{like.id}:{secrets.token_hex(TOKEN_BYTES)}",
                "incident": like.id,
                "tenant": tenant,
                "by": made.by,
            }
            decisions = Decisions(self.duties, self.trail, self.actor)
            return decisions.propose({**whose, "suppression": made}, what, ended, made.reason)
        made = made.model_copy(update={"ends": tuple(duty.name for duty in ended)})
        what += ", decided by one person" if ended else ""
        self.trail.append("suppression.add", what, actor=made.by, tenant=tenant, reason=made.reason)
        self.store.create([made])
        return made

    def _ended(self, incident: Incident, made: Suppression) -> Sequence[EndedDuty]:
        """Return the running deadlines of which nobody would be notified any more."""
        sightings = list(self.store.scroll(Sighting, DocumentFilter({"incident": incident.family})))
        is_silent = _may_cover(made, incident) and covering(sightings, [made]) is not None
        return find_ended(
            self.duties,
            DutyChange([incident], [incident], silenced={incident.id} if is_silent else ()),
        )

    def lift(self, id_: str, *, by: str, reason: str) -> Suppression:
        """End a suppression now; QueryError when it is none or was ended."""
        former = self.store.get(Suppression, id_)
        if former is None or former.lifts:
            raise QueryError("no suppression with that id: see `ullage incidents suppressions`")
        if not reason.strip():
            raise QueryError("give the reason for lifting it")
        made = former.model_copy(
            update={
                "id": former.id + LIFTED,
                "lifts": former.id,
                "at": self.trail.clock.now(),
                "by": checked_name(by),
                "reason": checked_note(reason),
                "sketch": (),
            }
        )
        if self.store.get(Suppression, made.id) is not None:
            raise QueryError("it was already lifted")
        self.trail.append(
            "suppression.lift",
            f"suppression {id_}",
            actor=made.by,
            tenant=made.tenant,
            reason=made.reason,
        )
        self.store.create([made])
        return made

    def _incident(self, tenant: str, id_: str) -> Incident:
        found = self.store.get(Incident, id_)
        if found is None or found.tenant != tenant:
            raise QueryError(
                "no incident with that id for this tenant: see `ullage incidents list`"
            )
        return found


def suppressions(
    store: IncidentStore, tenant: str = ""
) -> list[tuple[Suppression, Suppression | None]]:
    """Every suppression, each with what lifted it, the newest first; those past their time
    included.
    """
    found = list(store.scroll(Suppression, DocumentFilter({"tenant": (tenant,)} if tenant else {})))
    lifted = {one.lifts: one for one in found if one.lifts}
    made = sorted(
        (one for one in found if not one.lifts), key=lambda one: (one.at, one.id), reverse=True
    )
    return [(one, lifted.get(one.id)) for one in made]


def active(store: IncidentStore, now: datetime, tenant: str = "") -> list[Suppression]:
    """Those that silence now, the newest first."""
    return [
        one
        for one, lifted in suppressions(store, tenant)
        if lifted is None and one.at <= now < one.expires
    ]


def suppressed(duties: Duties, incidents: Iterable[Incident]) -> dict[str, Suppression]:
    """Of `incidents` those that are silenced now, by id, each with the newest suppression that
    covers some of it.
    """
    store, found = duties.store, dict[str, Suppression]()
    in_force, known = (
        active(store, duties.clock.now()),
        {incident.id: incident for incident in incidents},
    )
    fitting = {
        id_: some
        for id_, one in known.items()
        if (some := [each for each in in_force if _may_cover(each, one)])
    }
    running = duties.running([known[id_] for id_ in fitting]) if fitting else {}
    for id_, some in fitting.items():
        names = {f"{duty.regime.id} {duty.stage.id}" for duty in running.get(id_, ())}
        agreed = [one for one in some if names <= {*one.ends}]
        sightings = (
            list(store.scroll(Sighting, DocumentFilter({"incident": known[id_].family})))
            if agreed
            else []
        )
        if one := covering(sightings, agreed):
            found[id_] = one
    return found


def muted(duties: Duties) -> Callable[[Sequence[Incident]], set[str]]:
    """Tells the ids of those incidents that nobody is told of now, whatever the routes say: they
    are in the list all the same.
    """

    def those_muted(incidents: Sequence[Incident]) -> set[str]:
        noise = {
            incident.id
            for incident in incidents
            if incident.severity == "noise" or incident.part_of
        }
        return noise | suppressed(duties, incidents).keys()

    return those_muted


def silent_clocks(duties: Duties) -> set[str]:
    """Ids of the incidents that start a clock and are silenced now: nothing silences such a one
    but by its own number.
    """
    named = {one.incident for one in active(duties.store, duties.clock.now()) if one.incident}
    return {*suppressed(duties, duties.store.mget(Incident, named).values())} if named else set()


def covering(sightings: Sequence[Sighting], fitting: Sequence[Suppression]) -> Suppression | None:
    """The first of `fitting` that covers a sighting, if every one of them is covered and none
    has found bait.
    """
    if not sightings or any(sighting.canaries for sighting in sightings):
        return None
    covered = [
        next((one for one in fitting if _covers(one, sighting)), None) for sighting in sightings
    ]
    return covered[0] if all(covered) else None


def _may_cover(one: Suppression, incident: Incident) -> bool:
    """Whether everything in `one` that concerns the whole incident fits it."""
    if incident.tenant != one.tenant or incident.severity == "statutory":
        return False
    if incident.clock == "run" and one.incident != incident.id:
        return False
    if one.rule and one.rule not in {incident.scenario, *(why.code for why in incident.reasons)}:
        return False
    return not one.incident or _is_like(one, incident)


def _is_like(one: Suppression, incident: Incident) -> bool:
    if one.sketch_of != incident.sketch_of:
        return False
    found = measure_known_share(incident.sketch, one.sketch)
    is_same = incident.id == one.incident
    return found.share >= KNOWN and (is_same or found.compared >= 8) if found.compared else is_same


def _covers(one: Suppression, sighting: Sighting) -> bool:
    """Whether everything in `one` that concerns a single post fits it."""
    channel = sighting.channel.partition(" ")[0]  # behind the token stand words of its name
    asked = ((one.site, sighting.site), (one.channel, channel), (one.author, sighting.author))
    return all(wanted in ("", has) for wanted, has in asked)


class BenignCount(NamedTuple):
    """Posts of one site of one tenant that one rule called background, and how many different
    customers are in them.
    """

    tenant: str
    site: str
    rule: str
    posts: int
    customers: int


def background_counts(store: IncidentStore, tenant: str = "") -> list[BenignCount]:
    """Exact counts, most posts first."""
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
