"""Build findings with few arguments, and the alert stage over a store."""

import functools
import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry

from alerts.cases.queue import QueueRow
from alerts.grouping.stage import Alert
from alerts.records import CLASSES, Incident, Status, WorkItem
from alerts.service.metrics import AlertMetrics
from alerts.store import DocumentFilter, IncidentStore
from tests import factories
from tests.conftest import HeldClock
from ullage.bus import FINDINGS, Record
from ullage.records import FINDING_SCHEMA, Finding, RowGroup, Statistics
from ullage.settings import Tenant
from ullage.verdict.rules import ClockWord


def value(n: object) -> str:
    """Return a keyed tag as it is written in a sketch: 8 bytes in hex, evenly distributed."""
    return hashlib.sha256(str(n).encode()).hexdigest()[:16]


def sketch(items: Iterable[object]) -> tuple[str, ...]:
    return tuple(sorted(map(value, set(items)))[:256])


def handle(name: object) -> str:
    return hashlib.sha256(f"subject {name}".encode()).hexdigest()[:32]


def finding(
    name: str,
    values: Iterable[object] = (),
    people: Iterable[object] = (),
    kinds: Sequence[str] = ("phone",),
    **changes: Any,
) -> Finding:
    """Return a finding called `name`.

    Its sketch holds `values`; each of `people` has one row with an identifier of each of `kinds`.
    """
    fields = changes.pop("fields", ("NAME", "PHONE"))
    site, capture = changes.pop("site", "paste"), changes.pop("capture", {})
    matches = tuple(
        factories.match(
            subject=handle(p), index_tag=handle(f"{p}{kind}"), kind=kind, row=row, fields=fields
        )
        for row, p in enumerate(people)
        for kind in kinds
    )
    rows = len({m.row for m in matches})
    statistics = {
        "rows": rows,
        "candidates": {"phone": rows},
        "groups": (
            RowGroup(
                fields=tuple(fields),
                rows=rows,
                matched=rows,
                corroborated=rows if len(kinds) > 1 else 0,
            ),
        ),
        "sketch": sketch(values),
        **changes.pop("statistics", {}),
    }
    return factories.finding(
        id=name,
        matches=matches,
        alarm=changes.pop("alarm", not matches),
        capture=factories.facts(site=site, post_id=name, id=f"c-{name}", **capture),
        statistics=Statistics(**statistics),
        **changes,
    )


def incident(id_: str = "INC-A", when: datetime = factories.WHEN, **changes: Any) -> Incident:
    """Return an incident as it is stored, first and last seen at `when`."""
    fields: dict[str, Any] = dict.fromkeys(
        "reasons origin_reasons terms brands linked sketch titles authors".split(), ()
    )
    fields |= dict.fromkeys("opened_at updated_at first_seen last_seen".split(), when)
    fields |= dict.fromkeys(
        "scenario scenario_title scenario_title_zh skeleton subjects".split(), ""
    )
    fields |= dict.fromkeys("customers rows sightings unit origin_p exposure".split(), 1)
    fields |= {
        "id": id_,
        "tenant": "bank",
        "opened_by": "f",
        "published_at": None,
        "publish_seconds": None,
        "alarm": False,
    }
    fields |= {
        "severity": "low",
        "origin": "unknown",
        "sketch_of": "candidates",
        "kinds": ("phone",),
        "sites": ("paste",),
    }
    fields |= changes
    by_origin: dict[str, ClockWord] = {"ours": "run", "partner": "run", "unknown": "if confirmed"}
    verdict = {
        "row": 9,
        "notify": "nobody",
        "clock": by_origin.get(fields["origin"], "none"),
        "minutes": 0,
    }
    return Incident(**{**verdict, **fields})


def record(found: Finding, offset: int = 1) -> Record:
    return Record(
        FINDINGS, 0, offset, 0.0, found.tenant, {"schema": str(FINDING_SCHEMA)}, found.encode()
    )


@functools.cache
def unread_metrics() -> AlertMetrics:
    """Metrics that no test reads, made once: that takes half as long as folding a finding."""
    return AlertMetrics(CollectorRegistry(), ["bank"], HeldClock().as_clock())


def stage(
    store: IncidentStore, clock: HeldClock, registry: CollectorRegistry | None = None
) -> Alert:
    metrics = AlertMetrics(registry, ["bank"], clock.as_clock()) if registry else unread_metrics()
    return Alert(store, clock.as_clock(), lambda tenant: Tenant(), metrics)


def fold_all(
    store: IncidentStore, clock: HeldClock, findings: Sequence[Finding], batch: int = 64
) -> None:
    alert = stage(store, clock)
    for start in range(0, len(findings), batch):
        alert.handle([record(f) for f in findings[start : start + batch]])
    store.refresh()  # what a server would show within a second


def everything(store: IncidentStore) -> dict[str, str]:
    """Map class and id of every stored document to its JSON."""
    return {
        f"{kind.__name__} {d.id}": d.model_dump_json()
        for kind in CLASSES
        for d in store.scroll(kind, DocumentFilter())
    }


def queue_row(incident: Incident, status: Status = "open", due: datetime | None = None) -> QueueRow:
    """Return the row of an incident in the queue, with a due time of its own."""
    names = (
        "id tenant opened_at severity origin scenario sites kinds series exposure customers"
    ).split()
    facts = {name: getattr(incident, name) for name in names}
    return QueueRow(incident, WorkItem(**facts, stage="open", status=status, due_at=due))
