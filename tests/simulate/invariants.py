"""What must hold when a night is over, faults have ended and everything is drained."""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from alerts.clocks.book import FRESH, known, records
from alerts.clocks.duties import Duties
from alerts.coverage.hours import coverage
from alerts.incidents import replaced
from alerts.notify.plan import routes_for
from alerts.records import DutyRecord, Exposure, Incident, Notification, Sighting
from alerts.store import IncidentStore, Where, configured_store
from matcher.watchlist.tagging import handles
from tests.matcher.bank import customer
from tests.simulate.channels import ScriptedChannel
from tests.simulate.edges import LOOKS_SECONDS
from tests.simulate.faults import Faults
from tests.simulate.script import CHATS, FAULTY_SECONDS, Leak, Script
from tests.simulate.sites import REVISIT_SECONDS, Site
from ullage.audit.trail import FOLDER as AUDIT
from ullage.audit.verify import walk_all
from ullage.bus import CAPTURES, FINDINGS
from ullage.records.hours import WHY
from ullage.runtime.dead_letters import REASONS, waiting_or_parked
from ullage.settings import Context

HOUR = 3600.0
PROMISE_SECONDS = 600.0
"""So soon after it was due, or after the faults, anything is told: 5 minutes for which a channel may have asked, a wait of one
minute between two tries, 20 seconds in which news are gathered, and a turn of each loop."""


@dataclass(frozen=True)
class Night:
    """A night that is over."""

    context: Context
    script: Script
    sites: dict[str, Site]
    channels: dict[str, ScriptedChannel]
    faults: Faults
    taken: set[str]
    """Chat messages that were acknowledged."""


def broken(night: Night) -> list[str]:
    """A line for everything that does not hold; none of a good night."""
    with contextlib.closing(configured_store(night.context)) as store:
        heads = [one for one in store.scroll(Incident, Where()) if not one.part_of]
        return [
            *_incidents(night, store, heads),
            *_facts(store, heads),
            *_told(night, store, heads),
            *_clocks(night, store, heads),
            *_duty_records(night, store),
            *_coverage(night, store),
            *_drained(night),
            *_audit(night),
        ]


def _incidents(night: Night, store: IncidentStore, heads: list[Incident]) -> Iterator[str]:
    """Every leak is an incident once, with its customers and no others; no incident is of anything else."""
    who = {
        id_: {one.subject for one in store.scroll(Exposure, Where({"incident": one_.family}))}
        for id_, one_ in ((h.id, h) for h in heads)
    }
    expected = [(leak, _handles(night.context, leak)) for leak in night.script.leaks]
    for leak, people in expected:
        found = [id_ for id_, exposed in who.items() if exposed & people]
        name = f"the leak of {leak.posts[0][1].id}"
        if not found and (leak.must_be_found() or _was_taken(night, leak)):
            yield f"{name} is lost"
        if len(found) > 1:
            yield f"{name} is {len(found)} incidents"
        for id_ in found:
            if who[id_] != people:
                yield f"{name} is incident {id_} with {len(who[id_] - people)} too many and {len(people - who[id_])} missing"
    known = set().union(*(people for _, people in expected))
    for id_, exposed in who.items():
        if not exposed & known:
            yield f"incident {id_} is of no leak"
    for head in heads:
        if head.customers != len(who[head.id]):
            yield f"incident {head.id} counts {head.customers} customers of {len(who[head.id])}"


def _facts(store: IncidentStore, heads: list[Incident]) -> Iterator[str]:
    """Each sighting stands in the exposures of all customers that it showed, and each incident counts its sightings."""
    sightings = replaced.standing(list(store.scroll(Sighting, Where())))
    shown = Counter(sighting for exposure in store.scroll(Exposure, Where()) for sighting in exposure.sightings)
    for one in sightings:
        if shown[one.id] != one.customers:
            yield f"a sighting of {one.incident} showed {one.customers} customers and is in {shown[one.id]} exposures"
    for head in heads:
        if head.sightings != (count := sum(one.incident in head.family for one in sightings)):
            yield f"incident {head.id} counts {head.sightings} sightings of {count}"


def _was_taken(night: Night, leak: Leak) -> bool:
    return any(place in CHATS and post.id in night.taken for place, post in leak.posts)


def _handles(context: Context, leak: Leak) -> set[str]:
    references = [customer(number)["customer_ref"] for number in leak.customers]
    return {bytes(tag).hex() for tag in handles(context.keys, leak.tenant, references)}


def _told(night: Night, store: IncidentStore, heads: list[Incident]) -> Iterator[str]:
    """Every incident was told on each channel of its routes, once; nothing that is due waits."""
    notify = night.context.settings.notify
    messages: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name, channel in night.channels.items():
        for one in channel.arrived:
            if one.why == "new":
                messages[name, one.incident].add(one.message)
    for head in heads:
        for name in sorted({name for route in routes_for(notify, head) for name in route.channels}):
            count = len(messages[name, head.id])
            if not any(one.incident in head.family for one in night.channels[name].arrived):
                yield f"incident {head.id} ({head.severity}) was never told on {name}"
            if count > 1:
                yield f"incident {head.id} was told as new {count} times on {name}"
    yield from _in_time(night, store)
    for one in store.scroll(Notification, Where({"outcome": ("failed",)})):
        yield f"{one.what} of {one.incident} on {one.channel} was given up"


def _in_time(night: Night, store: IncidentStore) -> Iterator[str]:
    """What was due is told within its time, of the night's own time; what the faults held up, within that after them."""
    began, now = night.faults.clock.began, night.faults.timeline.now
    first: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for name, channel in night.channels.items():
        for one in channel.arrived:
            first[name, one.incident, one.message].append(one.at)
    for one in store.scroll(Notification, Where({"outcome": ("pending", "sent")})):
        since = max(one.due.timestamp() - began, FAULTY_SECONDS)
        if one.outcome == "pending" and now - since > PROMISE_SECONDS:
            yield f"{one.what} of {one.incident} on {one.channel} waits since {now - since:.0f} s"
        times = first[one.channel, one.incident, one.message]  # before it is due where the clock was wrong when that was said
        late = one.outcome == "sent" and since > FAULTY_SECONDS and (not times or min(times) - since > PROMISE_SECONDS)
        if late:
            yield f"{one.what} of {one.incident} on {one.channel} was told late"


def _clocks(night: Night, store: IncidentStore, heads: list[Incident]) -> Iterator[str]:
    """Every statutory clock that runs has begun, which takes that somebody was told."""
    duties = Duties(store, night.context.tenant, night.context.clock)
    owed = duties.owed(heads)
    for head in heads:
        if head.clock != "run":
            continue
        first = [duty for duty in owed[head.id].duties if duty.stage.id == "first"]
        if not first:
            yield f"incident {head.id} has a clock and owes nobody anything"
        for duty in first:
            if duty.state == "waiting" or duty.due is None:
                yield f"the clock of {duty.regime.id} for incident {head.id} has not begun"


def _duty_records(night: Night, store: IncidentStore) -> Iterator[str]:
    """What is counted of duties is what is owed, and the mark says that it is so."""
    duties = Duties(store, night.context.tenant, night.context.clock)
    owed = {one.id: one for one in records(duties, list(store.scroll(Incident, Where())))}
    found = {one.id: one for one in store.scroll(DutyRecord, Where())}
    for id_ in sorted(owed.keys() | found.keys()):
        if owed.get(id_) != found.get(id_):
            yield f"the duty record {id_} is not what is owed"
    until, now = known(store), night.context.clock.now()
    if until is None or now - until > FRESH + timedelta(seconds=LOOKS_SECONDS):
        yield f"duties are known until {until}, and it is {now}"


def _coverage(night: Night, store: IncidentStore) -> Iterator[str]:
    """An hour in which a site was not read stands in the ledger as blind with a reason; those of a wrong clock are not judged."""
    timeline, began = night.faults.timeline, night.faults.clock.began
    now = night.context.clock.now()
    seen = coverage(store, datetime.fromtimestamp(began, UTC), now, now, night.context.settings.coverage.gap_minutes)
    rows = {row.site: row for row in seen.rows}
    for name, site in sorted(night.sites.items()):
        cells = {cell.at.timestamp() - began: cell for cell in rows[name].cells} if name in rows else {}
        for since in range(0, int(timeline.now - HOUR), int(HOUR)):
            until = since + HOUR
            if any(since - HOUR < after + HOUR and before - HOUR < until for before, after in night.faults.skewed):
                continue
            if any(since - 2 * REVISIT_SECONDS <= at < until for at in site.listed):
                continue
            cell = cells.get(float(since))
            if cell is None or cell.state not in {"blind", "partly"} or not set(cell.why) <= set(WHY):
                yield f"{name} was not read in hour {since // 3600}, and the ledger says {cell.state if cell else 'nothing'}"


def _drained(night: Night) -> Iterator[str]:
    """Nothing waits on the bus, and a dead letter has a reason."""
    with contextlib.closing(night.context.bus()) as bus:
        for topic, group in ((CAPTURES, "match"), (FINDINGS, "alert")):
            if waiting := bus.lag(topic, group).records:
                yield f"{waiting} records of {topic} wait for {group}"
        for letter in waiting_or_parked(bus):
            yield f"a dead letter of {letter.stage}: {letter.reason}{'' if letter.reason in REASONS else ', which is none'}"


def _audit(night: Night) -> Iterator[str]:
    """The audit chains are whole."""
    for chain in walk_all(night.context.data / AUDIT, night.context.keys):
        for fault in chain.faults:
            yield f"audit {chain.name}: {fault.what}"
