"""A store as large as a bank's: incidents over three months, each with its posts, customers,
claims, decisions and messages.

Some hundred are folded by the product itself; the others are these again, with other names, times,
sellers and people, so that filling takes minutes and not hours. The same at every run. What was
filled once is kept in `.bench_cache`, a folder a size and version of the store; take it away to
fill anew.
"""

from __future__ import annotations

import hashlib
import os
import random
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TypeVar

from alerts.deadlines.schedule import Work
from alerts.records import (
    Decision,
    Exposure,
    Incident,
    Notification,
    Sighting,
    Status,
    build_holding,
    claim_id,
    exposure_id,
)
from alerts.records.document import Document
from alerts.store import DocumentFilter, IncidentStore, open_store
from tests.alerts.builders import finding, fold_all
from tests.alerts.coverage.heartbeats import Alert
from tests.conftest import HeldClock
from ullage.records import Finding
from ullage.records.finding import Term

INCIDENTS = int(os.environ.get("ULLAGE_BENCH_INCIDENTS", "50000"))
CACHE = Path(__file__).parents[3] / ".bench_cache"
NOW = datetime(2026, 11, 2, 1, 30, tzinfo=UTC)
"""Half past nine in Shanghai."""
DAYS = 90
SEEDS, SELLERS, CUSTOMERS, SITES = 240, 5_000, 400_000, 200
PEOPLE = (4, 8, 12, 16, 20, 24, 28, 32, 16, 40)
"""Customers of a post, in turn."""
MOST = 20
"""Customers of an incident that are stored."""
LARGEST = 5_000
"""Customers of the one large incident."""
TITLES = (
    "客户 一手料 四件套",
    "银行 客户信息 一手",
    "贷款客户 数据 实时",
    "客户 VIP list 手机 姓名",
    "母婴 客户 数据 料",
)
"""Of which each holds 客户: words that fit every incident."""
TERMS = (("一手数据", "sale"), ("四件套", "sale"), ("车贷", "loan"), ("洗料", "sale"))
TEAM = tuple(f"analyst{n:02}" for n in range(20))
BATCH = 500
CONFIGURATION = """\
[search]
lookups_per_minute = 1000000
lookups_per_day = 100000000

[tenants.bank]

[tenants.shop]
"""


def tag(*parts: object) -> str:
    """Return a made-up keyed hash."""
    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()[:32]


def make_finding(
    n: int, people: int, name: str, *, kinds: tuple[str, ...] = ("phone", "resident_id")
) -> Finding:
    """Return a finding of a post with `people` customers in rows of their own.

    Its sketch holds every value.
    """
    when, values = (
        NOW - timedelta(minutes=n % 1_000),
        [f"{name} {number} {kind}" for number in range(people) for kind in kinds],
    )
    capture = {
        "title": TITLES[n % len(TITLES)],
        "author": "@" + tag("author", n % 60)[:12] if n % 3 else "",
        "channel": "#" + tag("channel", n % 40)[:12] if n % 2 else "",
        "published_at": when - timedelta(minutes=n % 50),
        "fetched_at": when,
    }
    terms = [Term(id=id_, category=of, weight=1, count=1) for id_, of in TERMS[n % 3 : n % 3 + 2]]
    return finding(
        name,
        values,
        [f"{name} {number}" for number in range(people)],
        kinds,
        tenant=("bank", "bank", "shop")[n % 3],
        site=f"site{n % SITES:03}",
        capture=capture,
        statistics={"terms": terms},
    )


@dataclass(slots=True)
class StoreFiller:
    """Fills one store."""

    store: IncidentStore
    work: Work
    chance: random.Random = field(default_factory=random.Random)

    def fill(self, count: int, clock: HeldClock) -> None:
        """Everything that is not there yet; the ledger of coverage first, for it moves the
        clock.
        """
        stored = self.store.count(Incident, DocumentFilter()) // BATCH * BATCH
        if not stored:
            self._ledger(clock)
        clock.seconds = NOW.timestamp()
        seeds = list(self._seeds(clock))
        for numbers in batches(range(stored, count), BATCH):
            documents = [
                document
                for n in numbers
                for document in self._copy(n, count, *seeds[n % len(seeds)])
            ]
            documents.sort(
                key=lambda document: type(document).__name__
            )  # a run of one class is one statement
            for batch in batches(documents, 5_000):
                self.store.put(batch)
            self.store.refresh()
            self.work.write([document for document in documents if isinstance(document, Incident)])
        self.store.put(list(self._crowd(seeds[0])))
        self.store.refresh()

    def _ledger(self, clock: HeldClock) -> None:
        """Two nights of all sites, in which some are not read for a while."""
        hears = Alert(self.store, clock)
        names = [f"site{n:03}" for n in range(SITES)]
        lost = NOW - timedelta(hours=6)
        hears.hears(NOW - timedelta(hours=40), lost, " ".join(names))
        hears.hears(lost, lost + timedelta(hours=2), " ".join(names[20:]))
        hears.hears(lost, lost + timedelta(hours=2), " ".join(names[:20]), "b")
        hears.hears(lost + timedelta(hours=2), NOW, " ".join(names))

    def _seeds(self, clock: HeldClock) -> Iterator[tuple[Incident, list[Sighting], list[Exposure]]]:
        """Incidents as the product folds them, in a store of their own."""
        with tempfile.TemporaryDirectory() as folder:
            small = open_store("sqlite:///seeds.sqlite", Path(folder))
            posts = [make_finding(n, PEOPLE[n % len(PEOPLE)], f"seed{n}") for n in range(SEEDS)]
            fold_all(small, clock, posts)
            for incident in sorted(
                small.scroll(Incident, DocumentFilter()), key=lambda one: one.id
            ):
                if not incident.part_of and not incident.parts:
                    of_it = DocumentFilter({"incident": (incident.id,)})
                    yield (
                        incident,
                        list(small.scroll(Sighting, of_it)),
                        list(small.scroll(Exposure, of_it)),
                    )
            small.close()

    def _copy(
        self,
        n: int,
        count: int,
        seed: Incident,
        sightings: list[Sighting],
        exposures: list[Exposure],
    ) -> Iterator[Document]:
        """Yield the seed incident again under other ids, with some of its customers."""
        self.chance.seed(n)
        id_, when = f"INC-{n:010X}", NOW - timedelta(days=DAYS) * (n + 1) / count
        author = (
            "@" + tag("seller", int(self.chance.paretovariate(0.6)) % SELLERS)[:12]
            if seed.series
            else ""
        )
        names = {sighting.id: f"f{n}-{place}" for place, sighting in enumerate(sightings)}
        moved = {
            "opened_at": when,
            "updated_at": when,
            "first_seen": when,
            "last_seen": when,
            "published_at": when,
        }
        who = {"authors": (author,), "series": (author,)} if author else {}
        sketch = tuple(sorted(tag(n, value)[:16] for value in range(len(seed.sketch))))
        site = {"sites": (f"site{self.chance.randrange(SITES):03}",)}
        changes: dict[str, object] = {
            "id": id_,
            "opened_by": f"f{n}-0",
            "sketch": sketch,
            "linked": (),
        }
        yield seed.model_copy(update={**changes, **moved, **who, **site})
        for sighting in sightings:
            changes = {
                "id": names[sighting.id],
                "incident": id_,
                "grouped_at": when,
                "fetched_at": when,
                "linked": (),
                "replay_of": "",
            }
            yield sighting.model_copy(update={**changes, **({"author": author} if author else {})})
        for exposure in exposures[:MOST]:
            subject = tag("subject", self.chance.randrange(CUSTOMERS))
            changes = {
                "id": exposure_id(id_, subject),
                "incident": id_,
                "subject": subject,
                "first_seen": when,
                "last_seen": when,
            }
            changes |= {"index_tags": tuple(tag(subject, kind) for kind in exposure.kinds)}
            yield exposure.model_copy(
                update={**changes, "sightings": tuple(names[s] for s in exposure.sightings)}
            )
        yield build_holding(
            seed.tenant,
            id_,
            (claim_id(seed.tenant, seed.sketch_of, value) for value in sketch),
            when,
        )
        yield from self._make_history(n, id_, seed, when)

    def _make_history(self, n: int, id_: str, seed: Incident, when: datetime) -> Iterator[Document]:
        """Yield what people and the product did with an incident.

        All but the newest are notified; most are decided, some only acknowledged.
        """
        notice = {
            "id": f"{id_}:mail:{seed.severity}",
            "tenant": seed.tenant,
            "incident": id_,
            "at": when,
            "due": when,
            "channel": "mail",
        }
        notice |= {
            "what": seed.severity,
            "why": "new",
            "severity": seed.severity,
            "outcome": "sent",
            "sent_at": when,
        }
        yield Notification.model_validate(notice)
        courses: tuple[tuple[Status, ...], ...] = (
            (),
            ("acknowledged",),
            ("acknowledged", "confirmed"),
            ("acknowledged", "resolved"),
            ("false_positive",),
        )
        steps = self.chance.choices(courses, (60, 10, 5, 15, 10))[0]
        for place, status in enumerate(steps):
            at = when + timedelta(hours=place + 1)
            if at < NOW:
                by = self.chance.choice(TEAM)
                yield Decision(
                    id=f"{id_}:{place}",
                    tenant=seed.tenant,
                    incident=id_,
                    at=at,
                    by=by,
                    status=status,
                )
        if steps == ("acknowledged",):
            value = self.chance.choice(TEAM)
            yield Decision(
                id=f"{id_}:a",
                tenant=seed.tenant,
                incident=id_,
                at=when,
                by=TEAM[0],
                act="assigned",
                value=value,
                status="note",
            )

    def _crowd(self, seed: tuple[Incident, list[Sighting], list[Exposure]]) -> Iterator[Document]:
        """Yield the largest incident's customers."""
        _, _, exposures = seed
        for n in range(LARGEST):
            subject = tag("crowd", n)
            identity = {
                "id": exposure_id(large(), subject),
                "incident": large(),
                "subject": subject,
            }
            evidence = {"index_tags": (tag(subject, "phone"),), "sightings": ("f0-0",)}
            yield exposures[0].model_copy(update={**identity, **evidence})


T = TypeVar("T")


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """`items`, so many at a time."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def large() -> str:
    """Return the id of the largest incident."""
    return f"INC-{0:010X}"
