"""Generate the rows of the metrics document.

The registries of all roles are made as the commands make them, without starting a process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry

from alerts.notify.metrics import NotifyMetrics
from alerts.service.metrics import AlertMetrics, DutyMetrics
from alerts.web.dependencies import SearchMetrics
from crawlers.collectors.metrics import CollectMetrics
from crawlers.metrics import CrawlMetrics, IntakeMetrics
from matcher.cli.metrics import MatchMetrics
from ullage.audit.witness import AuditWitness
from ullage.clock import Clock
from ullage.monitoring.metrics import CertificateMetrics, new_registry, show_suspension
from ullage.running_time import RunningTime
from ullage.runtime.service import ROLES
from ullage.security.keys import KeyStore

ROW = re.compile(
    r"^- `([a-z_]+)(?:\{[a-z_,]+\})?` \((?:counter|gauge|histogram), ([a-z, ]+)\): .+$",
    re.MULTILINE,
)
"""A metric in the document: its name, and the roles that serve it."""
GONE = "\0"
"""A placeholder for a row that is removed."""


class Declared(NamedTuple):
    """One metric as a monitoring system sees it."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str


def registries(tenants: Sequence[str] = ("bank",)) -> dict[str, CollectorRegistry]:
    """Return a registry for each role, with `tenants` configured."""
    made = {role: new_registry(role) for role in ROLES}
    CrawlMetrics(made["crawl"], Clock())
    MatchMetrics(made["match"], tenants, Clock())
    AlertMetrics(made["alert"], tenants, Clock())
    DutyMetrics(made["alert"], dict.fromkeys(tenants, ("pipl-57", "gdpr-33")))
    NotifyMetrics(made["alert"], ["soc"], tenants)
    SearchMetrics.make(made["search"])
    IntakeMetrics(made["intake"], Clock())
    CollectMetrics(made["collect"], Clock())
    for registry in made.values():
        CertificateMetrics(registry, {})
        show_suspension(registry, RunningTime(Path(), Clock()))
        registry.register(
            AuditWitness(KeyStore(Path("nowhere") / "keys").inventory, is_forwarded=True)
        )
    return made


def declared(registry: CollectorRegistry) -> Iterator[Declared]:
    """Yield every metric of `registry`.

    Label names come from its declaration, because a metric without a series shows none.
    """
    for collector in list(registry._collector_to_names):  # noqa: SLF001 - there is no other list of them
        names = tuple(getattr(collector, "_labelnames", ()))
        for family in collector.collect():
            suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
            shown = {key for sample in family.samples for key in sample.labels} - {"le"}
            labels = tuple(sorted(set(names) | shown))
            yield Declared(
                family.name + suffix,
                "gauge" if family.type == "info" else family.type,
                labels,
                family.documentation,
            )


def line(metric: Declared, roles: Sequence[str]) -> str:
    """Return the row of a metric in the document."""
    labels = f"{{{','.join(metric.labels)}}}" if metric.labels else ""
    return (
        f"- `{metric.name}{labels}` ({metric.type}, {_served_by(roles)}):"
        f" {metric.help.rstrip('.')}."
    )


def exposed() -> dict[Declared, list[str]]:
    """Return every metric with the roles that serve it."""
    found: dict[Declared, list[str]] = {}
    for role, registry in registries().items():
        for metric in declared(registry):
            found.setdefault(metric, []).append(role)
    return found


def with_metrics(text: str) -> str:
    """Return the document with each row made anew from the code.

    A new row is inserted after the last one with the same roles. ValueError names a metric whose
    roles have no table yet: a person has to decide where it belongs.
    """
    waiting = {
        metric.name: (line(metric, roles), _served_by(roles)) for metric, roles in exposed().items()
    }
    shown = {found[1]: found[2] for found in ROW.finditer(text)}
    last = {roles: name for name, roles in shown.items()}
    new = {name: made for name, made in waiting.items() if name not in shown}
    if homeless := sorted(name for name, (_, roles) in new.items() if roles not in last):
        raise ValueError(
            f"docs/metrics.md has no table of the roles that serve {', '.join(homeless)}: begin one"
            " with its row"
        )

    def row(found: re.Match[str]) -> str:
        own = [waiting[found[1]][0]] if found[1] in waiting else []
        behind = [made for made, roles in new.values() if last[roles] == found[1]]
        return "\n".join((*own, *behind)) or GONE

    return ROW.sub(row, text).replace(f"{GONE}\n", "")


def _served_by(roles: Sequence[str]) -> str:
    return "all" if len(roles) == len(ROLES) else ", ".join(roles)
