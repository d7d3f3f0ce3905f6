"""What people decide in a night, and three days later: an erasure, a hold, retention, and a post
that returns.

When the faults have ended a person erases one customer and puts one incident on hold. Then a chat
repeats the post that showed the erased customer. After the night the roles rest for three days,
longer than exposures are kept. When they begin again retention runs while a chat repeats another
leak.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from alerts.cases.evidence import Holds, find_held
from alerts.records import Background, Exposure, Incident
from alerts.service.upkeep import parts as erasure_stages
from alerts.store import DocumentFilter, IncidentStore, open_configured_store
from harness.simulate.process import Process, Supervisor
from harness.simulate.roles import Roles
from harness.simulate.script import CHATS, FAULTY_SECONDS, TENANTS, Leak, Script, text_of
from harness.simulate.sites import Post
from harness.simulate.timeline import Timeline
from matcher.watchlist.tagging import handles
from tests.matcher.bank import customer
from ullage.bus import CAPTURES, FINDINGS
from ullage.custody.vault import FOLDER, Vault
from ullage.erasure import Order
from ullage.settings import Context

ERASED_AFTER_SECONDS, HELD_AFTER_SECONDS, REPEATED_AFTER_SECONDS = 900.0, 1200.0, 1500.0
"""So long after the faults, when somebody has said that the clock is right."""
RETRY_SECONDS = 300.0
REST_SECONDS = 3 * 86_400.0
"""Twice as long as exposures are kept in a night (`harness.simulate.night.CONFIG`)."""
WORK_SECONDS = 1800.0
ERASED_LEAK, RETURNING_LEAK = 2, 3
"""Leaks that every night has (`harness.simulate.script.BOTH`): of both tenants, and of customers
of both.
"""
TENANT = "north"
ROLES = ("chats", "match", "alert")


@dataclass
class Decisions:
    """The decisions of a night: what they were, and what is broken of them."""

    context: Context
    script: Script
    timeline: Timeline
    tell: Callable[[str, str], None]
    erased: int | None = None
    """The number of the customer of `TENANT` who was erased."""
    held_incident: str = ""
    refused: list[str] = field(default_factory=list)

    def plan(self) -> None:
        """Let each be made at its time; add the chat message that repeats the leak of the erased
        customer.
        """
        leak = self.script.leaks[ERASED_LEAK]
        people = leak.posts[0][1].people
        leak.posts.append(
            (CHATS[0], repeat(people, "post9000", FAULTY_SECONDS + REPEATED_AFTER_SECONDS))
        )
        self.timeline.at(FAULTY_SECONDS + ERASED_AFTER_SECONDS, self._erase)
        self.timeline.at(FAULTY_SECONDS + HELD_AFTER_SECONDS, self._hold)

    def erased_handles(self, tenant: str) -> set[str]:
        """Return the pseudonym of the erased customer where `tenant` is theirs."""
        if self.erased is None or tenant != TENANT:
            return set()
        return find_handles(self.context, tenant, {self.erased})

    def shown_beside_erased(self) -> set[str]:
        """Return the pseudonyms of the customers of `TENANT` in the posts that show the erased
        customer.
        """
        posts = [
            post
            for leak in self.script.leaks
            for _, post in leak.posts
            if self.erased in post.people
        ]
        numbers = {number for post in posts for number in post.people}
        return find_handles(self.context, TENANT, numbers & set(TENANTS[TENANT]))

    def _erase(self) -> None:
        number = min(self.script.leaks[ERASED_LEAK].customers(TENANT))
        [handle] = find_handles(self.context, TENANT, {number})
        order = Order(TENANT, handle, self.context.clock.now())
        for stage in erasure_stages(self.context):
            self.refused += stage.hinders(order)
            removed = sum(report.removed for report in stage.erase(order))
            self.tell("operator", f"erases a customer: {removed} documents")
        self.erased = number

    def _hold(self) -> None:
        with contextlib.closing(open_configured_store(self.context)) as store:
            people = find_handles(self.context, TENANT, self._leak_to_hold().customers(TENANT))
            where = DocumentFilter({"tenant": (TENANT,), "subject": tuple(sorted(people))})
            incident = next((exposure.incident for exposure in store.scroll(Exposure, where)), "")
            if not incident:
                self.timeline.at(self.timeline.now + RETRY_SECONDS, self._hold)
                return
            vault = Vault(self.context.data / FOLDER)
            holds = Holds(store, vault, self.context.trail(), self.context.clock)
            holds.set(incident, by="Li", case="C-1", reason="court")
        self.held_incident = incident
        self.tell("operator", f"holds {incident}")

    def _leak_to_hold(self) -> Leak:
        """Return a leak of the tenant that can still be read, and that neither is erased from
        nor returns.
        """
        other_leaks = [
            leak
            for at, leak in enumerate(self.script.leaks)
            if at not in {ERASED_LEAK, RETURNING_LEAK}
        ]
        return next(leak for leak in other_leaks if leak.customers(TENANT, always=True))


def repeat(people: tuple[int, ...], id_: str, at: float) -> Post:
    """Return a chat message that shows `people` again, at that time of the night, by another
    author.
    """
    return Post(id_, text_of(people, ""), at, author=f"author{id_}", people=people)


def find_handles(context: Context, tenant: str, numbers: set[int]) -> set[str]:
    """Return the pseudonyms of the customers of these numbers."""
    references = [customer(number)["customer_ref"] for number in sorted(numbers)]
    return {bytes(tag).hex() for tag in handles(context.keys, tenant, references)}


def find_erased(decisions: Decisions, store: IncidentStore) -> Iterator[str]:
    """Yield a line for each document that names the erased customer, and for what an erasure was
    refused for.
    """
    yield from (f"the erasure was refused: {line}" for line in decisions.refused)
    where = DocumentFilter(
        {"tenant": (TENANT,), "subject": tuple(decisions.erased_handles(TENANT))}
    )
    for kind in (Exposure, Background):
        if decisions.erased is not None and (count := store.count(kind, where)):
            yield f"the erased customer is named by {count} {kind.__name__}"


def rest_and_return(decisions: Decisions, supervisor: Supervisor, roles: Roles) -> list[str]:
    """Let three days pass without any process, begin again while a leak returns; return a line
    for all that does not hold.
    """
    timeline, context = decisions.timeline, decisions.context
    with contextlib.closing(open_configured_store(context)) as store:
        before = {exposure.id: exposure for exposure in store.scroll(Exposure, DocumentFilter())}
        incidents = {exposure.id: exposure for exposure in store.scroll(Incident, DocumentFilter())}
        holdings_ = find_held(store)
    timeline.run(timeline.now + REST_SECONDS)
    began_again = context.clock.now()
    leak = decisions.script.leaks[RETURNING_LEAK]
    roles.post(CHATS[1], repeat(leak.posts[0][1].people, "post9001", timeline.now + 300.0))
    faults = len(supervisor.faults)
    work(timeline, supervisor, roles.mains())
    broken = supervisor.faults[faults:]
    with contextlib.closing(context.bus()) as bus:
        waiting = {
            topic: bus.lag(topic, group).records
            for topic, group in ((CAPTURES, "match"), (FINDINGS, "alert"))
        }
    broken += [
        f"after three days {count} records of {topic} wait"
        for topic, count in waiting.items()
        if count
    ]
    with contextlib.closing(open_configured_store(context)) as store:
        after = {exposure.id: exposure for exposure in store.scroll(Exposure, DocumentFilter())}
        now_incidents = {
            exposure.id: exposure for exposure in store.scroll(Incident, DocumentFilter())
        }
    fresh = {id_: exposure for id_, exposure in after.items() if exposure != before.get(id_)}
    if decisions.held_incident not in holdings_:
        broken.append("the incident on hold is not among those that are held")
    remaining = {
        id_: exposure
        for id_, exposure in after.items()
        if id_ not in fresh and exposure.last_seen < began_again
    }
    broken += _check_retention(before, after, holdings_, remaining)
    broken += _check_numbers(before, after, incidents, now_incidents, fresh)
    broken += _check_return(context, leak, fresh, now_incidents)
    return broken


def work(
    timeline: Timeline, supervisor: Supervisor, mains: dict[str, Callable[[Process], object]]
) -> None:
    """Let the roles begin, work for a while and end one after the other."""
    supervisor.ending = False
    for role in ROLES:
        supervisor.start(role, mains[role])
    timeline.run(timeline.now + WORK_SECONDS)
    supervisor.ending = True
    for role in ROLES:
        supervisor.running[role].stop.set()
        timeline.run(timeline.now + 120.0)
    timeline.end()
    for role in ROLES:
        supervisor.running[role].free()


Exposures = dict[str, Exposure]


def _check_retention(
    before: Exposures, after: Exposures, kept: set[str], left: Exposures
) -> Iterator[str]:
    """Exposures of incidents on hold are all there, and no others are `left`; a wrong clock may
    have dated some ahead.
    """
    lost = Counter(
        exposure.incident
        for id_, exposure in before.items()
        if exposure.incident in kept and id_ not in after
    )
    yield from (
        f"retention took {count} exposures of {incident}, which is on hold"
        for incident, count in lost.items()
    )
    old = sum(exposure.incident not in kept for exposure in left.values())
    if old:
        yield f"{old} exposures are older than retention keeps them"


def _check_numbers(
    before: Exposures,
    after: Exposures,
    incidents: dict[str, Incident],
    now: dict[str, Incident],
    fresh: Exposures,
) -> Iterator[str]:
    """Check that an incident without exposures keeps its numbers.

    It takes nothing more after retention has removed its exposures.
    """
    for id_ in sorted(
        {exposure.incident for name, exposure in before.items() if name not in after}
    ):
        incident = now.get(id_)
        if incident is None:
            yield f"retention took incident {id_} with its exposures"
            continue
        if incident.frozen_at is None or incident.customers != incidents[id_].customers:
            yield f"retention took exposures of {id_}, and its numbers do not stand"
    frozen = {id_ for id_, incident in now.items() if incident.frozen_at is not None}
    # the same person has the same document as before
    for id_ in sorted(frozen & {exposure.incident for exposure in fresh.values()}):
        yield f"incident {id_} takes a post after retention took exposures of it"


def _check_return(
    context: Context, leak: Leak, fresh: Exposures, incidents: dict[str, Incident]
) -> Iterator[str]:
    """Check that a leak that returns after retention is one incident of each tenant.

    It has exactly the leak's people.
    """
    for tenant in leak.tenants:
        people = find_handles(
            context, tenant, leak.customers(tenant) & set(leak.posts[0][1].people)
        )
        where = {
            exposure.incident
            for exposure in fresh.values()
            if exposure.subject in people and exposure.tenant == tenant
        }
        shown = {exposure.subject for exposure in fresh.values() if exposure.tenant == tenant}
        if len(where) != 1 or shown != people:
            yield (
                f"a leak of {tenant} that returns after retention is {len(where)} incidents with"
                f" {len(people - shown)} customers missing and {len(shown - people)} too many"
            )
        for id_ in where & incidents.keys():
            if incidents[id_].customers != len(people):
                yield f"incident {id_} counts {incidents[id_].customers} customers of {len(people)}"
