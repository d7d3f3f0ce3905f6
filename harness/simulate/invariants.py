"""What must hold when a night is over, faults have ended and everything is drained."""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import apsw

from alerts.coverage.hours import read_coverage
from alerts.deadlines.outstanding import Duties
from alerts.deadlines.schedule import FRESH, build_records, read_known_until
from alerts.grouping.sightings import without_replaced
from alerts.notify.plan import find_routes
from alerts.records import (
    DutyRecord,
    Exposure,
    Holding,
    Incident,
    Notification,
    Original,
    Presence,
    Sighting,
)
from alerts.store import DocumentFilter, IncidentStore, open_configured_store
from crawlers.frontier.database import FILE as FRONTIER
from harness.simulate.channels import ScriptedChannel
from harness.simulate.decisions import Decisions, find_erased, find_handles
from harness.simulate.edges import LOOKS_SECONDS
from harness.simulate.faults import Faults
from harness.simulate.offsets import Offsets
from harness.simulate.script import CHATS, FAULTY_SECONDS, TENANTS, Leak, Script
from harness.simulate.sites import REVISIT_SECONDS, Site
from ullage.audit.trail import FOLDER as AUDIT
from ullage.audit.verify import walk_all
from ullage.bus import CAPTURES, FINDINGS
from ullage.errors import UllageError
from ullage.records.heartbeat import WHY
from ullage.runtime.dead_letters import REASONS, waiting_or_parked
from ullage.settings import Context

HOUR = 3600.0
VISITS = 2
"""So often each site is read after the faults before a night is over."""
LONGEST_PAGE_SECONDS = 3 * REVISIT_SECONDS
"""No page is due for longer when all is well: each visit reads what there is."""
OF_INCIDENTS: tuple[type[Sighting | Exposure | Original | Holding | Notification], ...] = (
    Sighting,
    Exposure,
    Original,
    Holding,
    Notification,
)
PROMISE_SECONDS = 600.0
"""So soon after it was due, or after the faults, anything is told: 5 minutes for which a channel
may have asked, a wait of one minute between two tries, 20 seconds in which news are gathered, and a
turn of each loop.
"""


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
    kept: set[str]
    """Sites of which a visit that had ended left pages in hand."""
    offsets: Offsets
    decisions: Decisions


def broken(night: Night) -> list[str]:
    """Return a line for each invariant that does not hold; none after a good night."""
    try:
        return _broken(night)
    except UllageError as error:
        return [f"what is left cannot be read: {error}"]


def _broken(night: Night) -> list[str]:
    with contextlib.closing(open_configured_store(night.context)) as store:
        heads = [
            incident
            for incident in store.scroll(Incident, DocumentFilter())
            if not incident.part_of
        ]
        return [
            *_incidents(night, store, heads),
            *_posts(night, store),
            *_tenants(night, store, heads),
            *_facts(night, store, heads),
            *find_erased(night.decisions, store),
            *night.faults.coverage.broken,
            *_check_messages(night, store, heads),
            *_clocks(night, store, heads),
            *_duty_records(night, store),
            *_read(night),
            *_coverage(night, store),
            *_pages(night),
            *night.offsets.broken,
            *night.faults.broken.values(),
            *night.faults.notices.broken.values(),
            *_check_bus_empty(night),
            *_audit(night),
            *_retention(night),
        ]


def _incidents(night: Night, store: IncidentStore, heads: list[Incident]) -> Iterator[str]:
    """Check that every leak is one incident per tenant, with its customers and no others."""
    who = {
        head.id: {
            exposure.subject
            for exposure in store.scroll(Exposure, DocumentFilter({"incident": head.family}))
        }
        for head in heads
    }
    expected = set[str]()
    for leak in night.script.leaks:
        for tenant in leak.tenants:
            erased = night.decisions.erased_handles(tenant)
            people = find_handles(night.context, tenant, leak.customers(tenant)) - erased
            sure = (
                find_handles(
                    night.context,
                    tenant,
                    leak.customers(tenant, always=True, taken=_select_acknowledged(night, leak)),
                )
                - erased
            )
            expected |= people
            matching = [id_ for id_, exposed in who.items() if exposed & people]
            name = f"the leak of {tenant} in {leak.posts[0][1].id}"
            if not matching and sure:
                yield f"{name} is lost"
            if len(matching) > 1:
                yield f"{name} is {len(matching)} incidents"
            for id_ in matching:
                if not sure <= who[id_] <= people:
                    yield (
                        f"{name} is incident {id_} with {len(who[id_] - people)} too many and"
                        f" {len(sure - who[id_])} missing"
                    )
    for head in heads:
        if not who[head.id] & expected:
            yield f"incident {head.id} is of no leak"
        if head.customers != len(who[head.id]):
            yield f"incident {head.id} counts {head.customers} customers of {len(who[head.id])}"


def _posts(night: Night, store: IncidentStore) -> Iterator[str]:
    """Check that every readable or acknowledged post is a sighting of each tenant in it."""
    sightings, sure = defaultdict[tuple[str, str], set[str]](set), Counter[tuple[str, str]]()
    for sighting in store.scroll(Sighting, DocumentFilter()):
        sightings[sighting.tenant, sighting.site].add(sighting.post_id)
    for place, post in (
        place_and_post for leak in night.script.leaks for place_and_post in leak.posts
    ):
        if post.stays or post.id in night.taken:
            sure.update(
                (tenant, place)
                for tenant, people in TENANTS.items()
                if not set(post.people).isdisjoint(people)
            )
    for (tenant, place), count in sorted(sure.items()):
        if len(count_ := sightings[tenant, place]) < count:
            yield f"{tenant} has sightings of {len(count_)} posts of {place}, of at least {count}"


def _tenants(night: Night, store: IncidentStore, heads: list[Incident]) -> Iterator[str]:
    """Check that incidents and posts belong to one tenant, and no message mixes several."""
    whose = {document.id: document.tenant for document in store.scroll(Incident, DocumentFilter())}
    for kind in OF_INCIDENTS:
        for document in store.scroll(kind, DocumentFilter()):
            if document.incident in whose and document.tenant != whose[document.incident]:
                yield (
                    f"{kind.__name__} {document.id} is of {document.tenant}, and its incident of"
                    f" {whose[document.incident]}"
                )
    tenant_of = {
        document.id: document.tenant for document in store.scroll(Sighting, DocumentFilter())
    }
    for post in store.scroll(Presence, DocumentFilter()):
        if any(tenant_of.get(id_, post.tenant) != post.tenant for id_ in post.sightings):
            yield f"what is known of a post of {post.tenant} has sightings of others"
    for name, channel in night.channels.items():
        tenants_of: dict[str, set[str]] = defaultdict(set)
        for arrived in channel.arrived:
            tenants_of[arrived.message].add(whose.get(arrived.incident, ""))
        yield from (
            f"message {id_} on {name} tells of {len(tenants_)} tenants"
            for id_, tenants_ in tenants_of.items()
            if len(tenants_) > 1
        )


def _facts(night: Night, store: IncidentStore, heads: list[Incident]) -> Iterator[str]:
    """Check that each sighting is in the exposures of its customers and counted by its incident."""
    sightings = without_replaced(list(store.scroll(Sighting, DocumentFilter())))
    exposures = list(store.scroll(Exposure, DocumentFilter()))
    shown = Counter(sighting for exposure in exposures for sighting in exposure.sightings)
    beside = night.decisions.shown_beside_erased()
    of_erased = {exposure.incident for exposure in exposures if exposure.subject in beside}
    for one in sightings:
        if not one.customers - (one.incident in of_erased) <= shown[one.id] <= one.customers:
            yield (
                f"a sighting of {one.incident} showed {one.customers} customers and is in"
                f" {shown[one.id]} exposures"
            )
    for head in heads:
        if head.sightings != (count := sum(one.incident in head.family for one in sightings)):
            yield f"incident {head.id} counts {head.sightings} sightings of {count}"


def _select_acknowledged(night: Night, leak: Leak) -> set[str]:
    """Messages of a leak that were acknowledged to who handed them in."""
    return {post.id for place, post in leak.posts if place in CHATS} & night.taken


def _check_messages(night: Night, store: IncidentStore, heads: list[Incident]) -> Iterator[str]:
    """Check that each channel got every incident once, and that nothing due waits."""
    notify = night.context.settings.notify
    messages: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name, channel in night.channels.items():
        for message in channel.arrived:
            if message.why == "new":
                messages[name, message.incident].add(message.message)
    failed = list(store.scroll(Notification, DocumentFilter({"outcome": ("failed",)})))
    # By a clock that somebody took for right these were tried for days.
    outdated = {
        message.id for message in failed if message.attempts and night.faults.struck["calendar"]
    }
    given_up = {(message.channel, message.incident) for message in failed if message.id in outdated}
    for head in heads:
        for name in sorted(
            {name for route in find_routes(notify, head) for name in route.channels}
        ):
            count = len(messages[name, head.id])
            is_notified = any(
                message.incident in head.family for message in night.channels[name].arrived
            )
            if not is_notified and given_up.isdisjoint((name, id_) for id_ in head.family):
                yield f"incident {head.id} ({head.severity}) was never told on {name}"
            if count > 1:
                yield f"incident {head.id} was told as new {count} times on {name}"
    yield from _in_time(night, store)
    for notice in failed:
        if notice.id not in outdated:
            yield f"{notice.what} of {notice.incident} on {notice.channel} was given up"


def _in_time(night: Night, store: IncidentStore) -> Iterator[str]:
    """Check that what was due was sent in time; faults may delay it by as long as they last."""
    began, now = night.faults.clock.began, night.faults.timeline.now
    first: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for name, channel in night.channels.items():
        for message in channel.arrived:
            first[name, message.incident, message.message].append(message.at)
    for notice in store.scroll(Notification, DocumentFilter({"outcome": ("pending", "sent")})):
        since = max(notice.due.timestamp() - began, FAULTY_SECONDS)
        if notice.outcome == "pending" and now - since > PROMISE_SECONDS:
            yield (
                f"{notice.what} of {notice.incident} on {notice.channel} waits since"
                f" {now - since:.0f} s"
            )
        # before it is due where the clock was wrong when that was said
        times = first[notice.channel, notice.incident, notice.message]
        late = (
            notice.outcome == "sent"
            and since > FAULTY_SECONDS
            and (not times or min(times) - since > PROMISE_SECONDS)
        )
        if late:
            yield f"{notice.what} of {notice.incident} on {notice.channel} was told late"


def _clocks(night: Night, store: IncidentStore, heads: list[Incident]) -> Iterator[str]:
    """Check that every running statutory clock has begun, for which somebody was notified."""
    duties = Duties(store, night.context.tenant, night.context.clock)
    owed = duties.find_deadlines(heads)
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
    """Check that the counted duties are those that exist, and that the mark says so."""
    duties = Duties(store, night.context.tenant, night.context.clock)
    owed = {
        record.id: record
        for record in build_records(duties, list(store.scroll(Incident, DocumentFilter())))
    }
    stored = {record.id: record for record in store.scroll(DutyRecord, DocumentFilter())}
    for id_ in sorted(owed.keys() | stored.keys()):
        if owed.get(id_) != stored.get(id_):
            yield f"the duty record {id_} is not what is owed"
    until, now = read_known_until(store), night.context.clock.now()
    if until is None or now - until > FRESH + timedelta(seconds=LOOKS_SECONDS):
        yield f"duties are known until {until}, and it is {now}"


def _read(night: Night) -> Iterator[str]:
    """Check that sites are visited again after the faults and every reachable post was fetched."""
    for name, site in sorted(night.sites.items()):
        if sum(at > FAULTY_SECONDS for at in site.listed) < VISITS:
            yield (
                f"{name} is left alone since {max(site.listed, default=0.0) / HOUR:.1f} h, and"
                " was due"
            )
        if unread := [post.id for post in site.posts if post.stays and post.id not in site.read]:
            yield (
                f"{', '.join(unread)} of {name} {'was' if len(unread) == 1 else 'were'} never read"
            )
    yield from (
        f"{name} had pages in hand after its visit had ended" for name in sorted(night.kept)
    )


def _pages(night: Night) -> Iterator[str]:
    """Check that each page waits for its time, is done or was given up, and none stays leased."""
    late = night.context.clock.wall() - LONGEST_PAGE_SECONDS
    with contextlib.closing(
        apsw.Connection(str(night.context.data / FRONTIER), apsw.SQLITE_OPEN_READONLY)
    ) as database:
        leased = database.execute(
            "select site, count(*) from pages "
            "where state not in ('done', 'parked') and (state <> 'due' or due_at < ?) group by"
            " site",
            (late,),
        )
        yield from (
            f"{count} pages of {site} are due and nobody reads them" for site, count in leased
        )


def _coverage(night: Night, store: IncidentStore) -> Iterator[str]:
    """Check that an hour in which a site was not read is blind in the ledger, with a reason.

    Hours of a wrong clock are not judged.
    """
    timeline, began = night.faults.timeline, night.faults.clock.began
    now = night.context.clock.now()
    judged = read_coverage(store, datetime.fromtimestamp(began, UTC), now, now)
    rows = {row.site: row for row in judged.rows}
    for name, site in sorted(night.sites.items()):
        cells = (
            {cell.at.timestamp() - began: cell for cell in rows[name].cells} if name in rows else {}
        )
        for since in range(0, int(timeline.now - HOUR), int(HOUR)):
            until = since + HOUR
            if any(
                since - HOUR < after + HOUR and before - HOUR < until
                for before, after in night.faults.skewed
            ):
                continue
            if any(since - 2 * REVISIT_SECONDS <= at < until for at in site.listed):
                continue
            cell = cells.get(float(since))
            if (
                cell is None
                or cell.state not in {"blind", "partly"}
                or not set(cell.why) <= set(WHY)
            ):
                yield (
                    f"{name} was not read in hour {since // 3600}, and the ledger says"
                    f" {cell.state if cell else 'nothing'}"
                )


def _check_bus_empty(night: Night) -> Iterator[str]:
    """Check that the bus is empty, and that each dead letter has a reason."""
    with contextlib.closing(night.context.bus()) as bus:
        for topic, group in ((CAPTURES, "match"), (FINDINGS, "alert")):
            if waiting := bus.lag(topic, group).records:
                yield f"{waiting} records of {topic} wait for {group}"
        for letter in waiting_or_parked(bus):
            yield (
                f"a dead letter of {letter.stage}:"
                f" {letter.reason}{'' if letter.reason in REASONS else ', which is none'}"
            )


def _retention(night: Night) -> Iterator[str]:
    """Once a person has said that the clock is right, what is old enough is deleted again."""
    if (reading := night.context.running_time.look()).is_suspended:
        yield f"retention is suspended: {reading}"


def _audit(night: Night) -> Iterator[str]:
    """Check that the audit chains are whole."""
    for chain in walk_all(night.context.data / AUDIT, night.context.keys):
        for fault in chain.faults:
            yield f"audit {chain.name}: {fault.what}"
