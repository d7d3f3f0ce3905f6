"""Thirty days of 200 sites, played in minutes: are leaks found, is what is said of them right, and
how often is a human asked?

Every post goes the whole way in this process (decode, match against 2.8 million customers, fold,
score, store), with the clock standing where the post does. The world is 50 million customers among
1.8 billion numbers at a scale of 1 to 18: chance gives the same shares. What is planted is labelled
by what can be known of it (`truth.py`); a target that is missed is an exit status. `POSTS` makes it
smaller, for a try; `MONTH_PAGE` names a file to which its page is written.
"""

from __future__ import annotations

import heapq
import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry

from alerts.cases.suppressions import mute_filter
from alerts.deadlines.outstanding import Duties
from alerts.grouping.stage import Alert
from alerts.notify.plan import plan
from alerts.records import SEVERITIES, Decision, Incident, Notification, Sighting
from alerts.service.metrics import AlertMetrics
from alerts.store import DocumentFilter, IncidentStore, open_store
from harness.bench.corpus.customer_list import ullage
from harness.bench.corpus.people import COLUMNS, HALF_OF_PHONES, SPREAD, Person
from harness.bench.month.leaks import ABOUT_US, CANARIES, FULL, LEAKS, Leak, leak_posts
from harness.bench.month.posts import BEGIN, BRAND, CARD_RANGE, DAYS, DOMAIN, PHONES, Post, ordinary
from harness.bench.month.report import Month
from harness.bench.month.truth import NO_INCIDENT, NO_SCAM, LeakOutcome, Verdict
from matcher.cli.loading import build_matcher
from matcher.match.findings import build_findings
from matcher.match.pipeline import Matcher
from ullage.bus import FINDINGS, Record
from ullage.clock import Clock
from ullage.records import FINDING_SCHEMA, Capture, Finding
from ullage.settings import ChannelSettings, Context, NotifySettings, RouteSettings, Tenant

POSTS = 300_000
CUSTOMERS = round(PHONES * 50 / 1800)
BATCH = 512
SEED = 20261124
DELAY = 120
"""Seconds from a post to its fetch: what a site's pace takes."""
ITEM, PAGE = "item", "page"
KIND = {leak.name: leak.kind for leak in LEAKS}
NOTIFY = NotifySettings(
    channels={ITEM: ChannelSettings(), PAGE: ChannelSettings()},
    routes={
        "list": RouteSettings(channels=(ITEM,), severity="notice", repeat_hours=0),
        "wake": RouteSettings(channels=(PAGE,), severity="high", repeat_hours=0),
    },
)
"""A human looks at everything from `notice` on, and is woken for `high`."""


@dataclass
class PlayClock:
    """The moment of the play."""

    seconds: float = BEGIN.timestamp()

    def clock(self) -> Clock:
        """Return the clock as the product takes it."""
        return Clock(wall=lambda: self.seconds, monotonic=lambda: self.seconds)

    def time(self) -> datetime:
        """Return the current moment."""
        return self.clock().now()


def month(folder: Path, context: Context) -> list[str]:
    """Play it, and print how it went; returns the targets that were missed."""
    _enrol(context)
    now = PlayClock()
    played = Context(context.data, now.clock())
    play = Play(build_matcher(played), open_store("sqlite:///month.sqlite", folder), now)
    for batch in _batches(_posts(int(os.environ.get("POSTS", POSTS)))):
        play.take(batch)
    return play.report()


def _enrol(context: Context) -> None:
    """Enrol as large a list as the base rate needs; most customers have only a phone."""
    source = context.data / "month.csv"
    with source.open("w", encoding="utf-8") as file:
        file.write(",".join((*COLUMNS, "canary")) + "\n")
        bait = {number: party for party, number in CANARIES.items()}
        for number in range(FULL):
            person = Person(number)
            file.write(
                ",".join((*(cell(person) for cell in COLUMNS.values()), bait.get(number, "")))
                + "\n"
            )
        for number in range(FULL, CUSTOMERS):
            file.write(f"C{number:09d},,154{number * SPREAD % HALF_OF_PHONES:08d},,,,\n")
    (context.data / "ullage.toml").write_text(
        f'[tenants.bank]\nbrands = ["{BRAND}"]\ndomains = ["{DOMAIN}"]\nbins ='
        f' ["{CARD_RANGE}"]\ncirculation = {float(PHONES)}\n',
        encoding="utf-8",
    )
    ullage(context.data, "watchlist", "load", source, "--tenant", "bank")
    source.unlink()


def _posts(count: int) -> Iterator[Post]:
    """Ordinary posts and leaks in order of time."""
    leaks = sorted(leak_posts(random.Random(SEED)), key=lambda post: post.at)
    yield from heapq.merge(
        leaks, ordinary(random.Random(SEED + 1), count), key=lambda post: post.at
    )


def _batches(posts: Iterator[Post]) -> Iterator[list[Post]]:
    batch: list[Post] = []
    for post in posts:
        batch.append(post)
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


@dataclass
class Play:
    """What is played on, and what is remembered to judge it."""

    matcher: Matcher
    store: IncidentStore
    now: PlayClock
    posts: Counter[str] = field(default_factory=Counter)
    first_post: dict[str, datetime] = field(default_factory=dict)
    """Of each leak."""
    found: Counter[str] = field(default_factory=Counter)
    of_leak: dict[str, list[str]] = field(default_factory=dict)
    """Ids of the findings of each leak, the first post's first."""
    kind_of: dict[str, str] = field(default_factory=dict)
    """Of each finding: of the leak, or the genre of an ordinary post."""
    _alert: Alert = field(init=False)

    def __post_init__(self) -> None:
        clock = self.now.clock()
        metrics = AlertMetrics(CollectorRegistry(), ["bank"], clock)
        tenant = Tenant(
            brands=(BRAND,), domains=(DOMAIN,), bins=(CARD_RANGE,), circulation=float(PHONES)
        )
        silent = mute_filter(Duties(self.store, lambda _: tenant, clock))

        def tell(incidents: Sequence[Incident]) -> None:
            self._acknowledge(
                plan(self.store, NOTIFY, incidents, clock.now(), silent, lambda *_: {})
            )

        self._alert = Alert(self.store, clock, lambda _: tenant, metrics, tell=tell)

    def _acknowledge(self, told: Sequence[Notification]) -> None:
        """Somebody reads what is told, and says so: from then on its people are known."""
        ids = {
            notice.incident
            for notice in told
            if SEVERITIES.index(notice.severity) >= SEVERITIES.index("medium")
        }
        decisions = [
            Decision(
                id=f"{id_}:read",
                tenant="bank",
                incident=id_,
                at=self.now.time(),
                by="officer",
                status="acknowledged",
            )
            for id_ in sorted(ids)
        ]
        if decisions:
            self.store.create(decisions)

    def take(self, posts: list[Post]) -> None:
        """Match a batch, and fold what it gives at the moment of each post."""
        captures = [
            self._capture(number, post) for number, post in enumerate(posts, self.posts.total())
        ]
        self.posts.update(post.kind for post in posts)
        for post in posts:
            if post.leak:
                self.first_post.setdefault(post.leak, post.at)
        for post, reading in zip(posts, self.matcher.read(captures), strict=True):
            self.now.seconds = post.at.timestamp() + DELAY
            findings_ = list(build_findings(self.matcher, reading, self.now.clock().now()))
            for finding in findings_:
                self._remember(post, finding)
            if findings_:
                self._alert.handle([_record(finding) for finding in findings_])

    def _capture(self, number: int, post: Post) -> Capture:
        return Capture(
            id=f"{number:08x}", site=post.site, post_id=f"p{number:x}",
            url=f"http://{post.site}.example/p{number:x}",
            title=post.title, published_at=post.at, fetched_at=post.at, kind="post",
            body=post.text.encode(),
        )  # fmt: skip

    def _remember(self, post: Post, finding: Finding) -> None:
        self.found[post.kind] += 1
        self.kind_of[finding.id] = KIND.get(post.leak, post.kind)
        if post.leak:
            self.of_leak.setdefault(post.leak, []).append(finding.id)

    def report(self) -> list[str]:
        """Print the month's page, and return the targets that were missed."""
        incidents = {
            incident.id: incident for incident in self.store.scroll(Incident, DocumentFilter())
        }
        of_finding = {
            sighting.id: sighting.incident
            for sighting in self.store.scroll(Sighting, DocumentFilter())
        }
        notifications = [
            notice
            for notice in self.store.scroll(Notification, DocumentFilter())
            if notice.why in ("new", "raised")
        ]
        judged = [self._judge(leak, incidents, of_finding, notifications) for leak in LEAKS]
        result = Month(judged, DAYS, self.posts.total(), CUSTOMERS)
        for notice in notifications:
            if notice.at >= BEGIN:
                kind = self.kind_of[incidents[notice.incident].opened_by]
                (result.pages if notice.channel == PAGE else result.items)[kind] += 1
                if notice.channel == PAGE and kind not in ABOUT_US:
                    result.wrong_pages[kind] += 1
        text = result.page()
        print(text)
        if path := os.environ.get("MONTH_PAGE"):
            Path(path).write_text(text, encoding="utf-8")
        return [f"month: {target.name}" for target in result.targets() if not target.holds]

    def _judge(
        self,
        leak: Leak,
        incidents: dict[str, Incident],
        of_finding: dict[str, str],
        notifications: Sequence[Notification],
    ) -> LeakOutcome:
        """Return the outcome of a leak.

        It has the incident of the leak's first post, and the first page for any of its posts.
        """
        ids = [
            of_finding[finding]
            for finding in self.of_leak.get(leak.name, ())
            if finding in of_finding
        ]
        first = incidents[ids[0]] if ids else None
        pages = [
            notice.due
            for notice in notifications
            if notice.channel == PAGE and notice.incident in ids
        ]
        paged = (min(pages) - self.first_post[leak.name]).total_seconds() if pages else None
        return LeakOutcome(
            leak.name, leak.kind, leak.truth, _verdict(first, leak), paged, _counts(first)
        )


def _verdict(incident: Incident | None, leak: Leak) -> Verdict:
    """Return what was decided about a leak; a partner counts only where it is the right one."""
    if incident is None:
        return Verdict(NO_INCIDENT, NO_INCIDENT, NO_SCAM)
    is_other = incident.origin == "partner" and incident.origin_label != leak.canary
    origin = f"partner:{incident.origin_label}" if is_other else incident.origin
    return Verdict(origin, incident.severity, incident.scenario or NO_SCAM)


def _counts(incident: Incident | None) -> str:
    if incident is None:
        return ""
    return (
        f"{incident.verified:,} verified of {incident.customers:,} customers, {incident.sightings}"
        " posts"
    )


def _record(finding: Finding) -> Record:
    headers = {"tenant": finding.tenant, "id": finding.id, "schema": str(FINDING_SCHEMA)}
    return Record(FINDINGS, 0, 1, 0.0, finding.tenant, headers, finding.encode())
