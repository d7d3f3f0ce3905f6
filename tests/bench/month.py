"""Thirty days of 200 sites, played in minutes: are leaks found, is their origin right, and how often is a human asked?

Every post goes the whole way in this process (decode, match against 2.8 million customers, fold, score, store), with the clock
standing where the post does. The world is 50 million customers among 1.8 billion numbers at a scale of 1 to 18: chance gives the
same shares.
"""

from __future__ import annotations

import heapq
import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry

from alerts.alert import Alert
from alerts.metrics import AlertMetrics
from alerts.noise.suppressions import muted
from alerts.notify.plan import plan
from alerts.records import Incident, Notification, Sighting
from alerts.store import IncidentStore, Where, open_store
from matcher.findings import findings_of
from matcher.match import Matcher
from matcher.stage import build_matcher
from tests.bench.corpus_list import ullage
from tests.bench.corpus_people import COLUMNS, HALF_OF_PHONES, SPREAD, Person
from tests.bench.month_leaks import CANARIES, FULL, LEAKS, leak_posts
from tests.bench.month_posts import BEGIN, BRAND, DAYS, PHONES, Post, ordinary
from tests.bench.table import row
from ullage.bus import FINDINGS, Record
from ullage.clock import Clock
from ullage.records import FINDING_SCHEMA, Capture, Finding
from ullage.settings import ChannelSettings, Context, NotifySettings, RouteSettings, Tenant

POSTS = 300_000
CUSTOMERS = round(PHONES * 50 / 1800)
BATCH = 512
SEED = 20261124
UNSEEN = ("fabricated", "elsewhere", "recycled")
"""What need not be shown to anybody: it concerns no customer, or those of a leak that is known; it is counted."""
ITEM, PAGE = "item", "page"
NOTIFY = NotifySettings(
    channels={ITEM: ChannelSettings(), PAGE: ChannelSettings()},
    routes={
        "list": RouteSettings(channels=(ITEM,), severity="notice", repeat_hours=0),
        "wake": RouteSettings(channels=(PAGE,), severity="high", origins=("ours", "partner", "unknown"), repeat_hours=0),
    },
)
"""A human looks at everything from `notice` on; is woken for `high` that may be ours."""


@dataclass
class Now:
    """The moment of the play."""

    seconds: float = BEGIN.timestamp()

    def clock(self) -> Clock:
        """As the product takes it."""
        return Clock(wall=lambda: self.seconds, monotonic=lambda: self.seconds)


def month(folder: Path, context: Context) -> None:
    """Play it, and print how it went."""
    _enrol(context)
    now = Now()
    played = Context(context.data, now.clock())
    play = Play(build_matcher(played), open_store("sqlite:///month.sqlite", folder), now)
    for batch in _batches(_posts(int(os.environ.get("POSTS", POSTS)))):
        play.take(batch)
    play.report()


def _enrol(context: Context) -> None:
    """A list as large as the base rate asks; most customers have a phone alone."""
    source = context.data / "month.csv"
    with source.open("w", encoding="utf-8") as file:
        file.write(",".join((*COLUMNS, "canary")) + "\n")
        bait = {number: party for party, number in CANARIES.items()}
        for number in range(FULL):
            person = Person(number)
            file.write(",".join((*(cell(person) for cell in COLUMNS.values()), bait.get(number, ""))) + "\n")
        for number in range(FULL, CUSTOMERS):
            file.write(f"C{number:09d},,154{number * SPREAD % HALF_OF_PHONES:08d},,,,\n")
    (context.data / "ullage.toml").write_text(
        f'[tenants.bank]\nbrands = ["{BRAND}"]\ncirculation = {float(PHONES)}\n', encoding="utf-8"
    )
    ullage(context.data, "watchlist", "load", source, "--tenant", "bank")
    source.unlink()


def _posts(count: int) -> Iterator[Post]:
    """Ordinary posts and leaks in order of time."""
    leaks = sorted(leak_posts(random.Random(SEED)), key=lambda post: post.at)
    yield from heapq.merge(leaks, ordinary(random.Random(SEED + 1), count), key=lambda post: post.at)


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
    now: Now
    posts: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    of_leak: dict[str, list[str]] = field(default_factory=dict)
    """Ids of the findings of each leak, the first post's first."""
    genre_of: dict[str, str] = field(default_factory=dict)
    _alert: Alert = field(init=False)

    def __post_init__(self) -> None:
        clock = self.now.clock()
        metrics = AlertMetrics(CollectorRegistry(), ["bank"], clock)
        silent = muted(self.store, clock)

        def tell(incidents: Sequence[Incident]) -> None:
            plan(self.store, NOTIFY, incidents, clock.now(), silent)

        self._alert = Alert(self.store, clock, lambda tenant: Tenant(circulation=float(PHONES)), metrics, tell=tell)

    def take(self, posts: list[Post]) -> None:
        """Match a batch, and fold what it gives at the moment of each post."""
        captures = [self._capture(number, post) for number, post in enumerate(posts, self.posts.total())]
        self.posts.update(post.kind for post in posts)
        for post, reading in zip(posts, self.matcher.read(captures), strict=True):
            self.now.seconds = post.at.timestamp() + 120
            made = list(findings_of(self.matcher, reading, self.now.clock().now()))
            for finding in made:
                self._remember(post, finding)
            if made:
                self._alert.handle([_record(finding) for finding in made])

    def _capture(self, number: int, post: Post) -> Capture:
        return Capture(
            id=f"{number:08x}", site=post.site, post_id=f"p{number:x}", url=f"http://{post.site}.example/p{number:x}",
            title=post.title, published_at=post.at, fetched_at=post.at, kind="post", body=post.text.encode(),
        )  # fmt: skip

    def _remember(self, post: Post, finding: Finding) -> None:
        self.found[post.kind] += 1
        self.genre_of[finding.id] = post.kind
        if post.leak:
            self.of_leak.setdefault(post.leak, []).append(finding.id)

    def report(self) -> None:
        """Print the month's table."""
        incidents = {incident.id: incident for incident in self.store.scroll(Incident, Where())}
        sightings = {sighting.id: sighting for sighting in self.store.scroll(Sighting, Where())}
        row("month: posts", f"{self.posts.total():,}", f"{len(LEAKS)} leaks")
        row("month: findings", f"{self.found.total():,}", " ".join(f"{k}:{n}" for k, n in self.found.most_common()))
        self._report_leaks(incidents, sightings)
        told = Counter[tuple[str, str]]()
        for one in self.store.scroll(Notification, Where()):
            if one.why in ("new", "raised") and one.at >= BEGIN:
                told[one.channel, self.genre_of[incidents[one.incident].opened_by]] += 1
        for channel, days in ((ITEM, 1), (PAGE, 7)):
            genres = {genre: count for (name, genre), count in told.items() if name == channel}
            words = " ".join(f"{genre}:{count}" for genre, count in sorted(genres.items(), key=lambda item: -item[1]))
            row(f"month: {channel}s {'a week' if days > 1 else 'a day'}", f"{sum(genres.values()) / DAYS * days:.1f}", words)

    def _report_leaks(self, incidents: dict[str, Incident], sightings: dict[str, Sighting]) -> None:
        missed, right = [], 0
        for leak in LEAKS:
            first = next((incidents[sightings[f].incident] for f in self.of_leak.get(leak.name, ()) if f in sightings), None)
            if (first is None or first.severity == "noise") and leak.origin not in UNSEEN:
                missed.append(leak.name)
            verdict = _verdict(first)
            expected = f"partner {leak.canary}" if leak.canary else leak.origin
            right += verdict == expected
            row(f"  {leak.name}", verdict, expected if verdict == expected else f"WRONG: {expected}")
            if first:
                print(f"      {first.severity} {first.exposure}, {first.customers} customers, {first.sightings} sightings")
        row("month: leaks missed", str(len(missed)), ", ".join(missed))
        row("month: origin right", f"{right / len(LEAKS):.2f}", f"{right} of {len(LEAKS)}")


def _verdict(incident: Incident | None) -> str:
    """Its origin, with the partner's name; what made no incident has none."""
    if incident is None:
        return "no incident"
    return f"partner {incident.origin_label}" if incident.origin == "partner" else incident.origin


def _record(finding: Finding) -> Record:
    headers = {"tenant": finding.tenant, "id": finding.id, "schema": str(FINDING_SCHEMA)}
    return Record(FINDINGS, 0, 1, 0.0, finding.tenant, headers, finding.encode())
