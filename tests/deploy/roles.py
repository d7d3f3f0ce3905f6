"""The roles' registries as their commands make them, without a process; what they declare is read from them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from prometheus_client import CollectorRegistry

from alerts.metrics import AlertMetrics, DutyMetrics, SearchMetrics
from alerts.notify.metrics import NotifyMetrics
from crawlers.collectors.metrics import CollectMetrics
from crawlers.intake.metrics import IntakeMetrics
from crawlers.metrics import CrawlMetrics
from matcher.cli.metrics import MatchMetrics
from ullage.clock import Clock
from ullage.monitoring.metrics import new_registry

ROLES = ("crawl", "match", "alert", "search", "intake", "collect")


class Declared(NamedTuple):
    """One metric as a monitoring system sees it."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str


def registries(tenants: Sequence[str] = ("bank",)) -> dict[str, CollectorRegistry]:
    made = {role: new_registry(role) for role in ROLES}
    CrawlMetrics(made["crawl"], Clock())
    MatchMetrics(made["match"], tenants, Clock())
    AlertMetrics(made["alert"], tenants, Clock())
    DutyMetrics(made["alert"], dict.fromkeys(tenants, ("pipl-57", "gdpr-33")))
    NotifyMetrics(made["alert"], ["soc"], tenants)
    SearchMetrics.make(made["search"])
    IntakeMetrics(made["intake"], Clock())
    CollectMetrics(made["collect"], Clock())
    return made


def declared(registry: CollectorRegistry) -> Iterator[Declared]:
    """Every metric of `registry`; label names come from its declaration, for one without a series yet shows none."""
    for collector in list(registry._collector_to_names):
        names = tuple(getattr(collector, "_labelnames", ()))
        for family in collector.collect():
            suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
            shown = {key for sample in family.samples for key in sample.labels} - {"le"}
            labels = tuple(sorted(set(names) | shown))
            yield Declared(family.name + suffix, "gauge" if family.type == "info" else family.type, labels, family.documentation)
