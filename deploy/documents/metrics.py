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
    """Return a registry for each role, with `tenants` configured.

    They hold the declared metrics only; nothing is measured and no file is read.
    """
    registry_of = {role: new_registry(role) for role in ROLES}
    CrawlMetrics(registry_of["crawl"], Clock())
    MatchMetrics(registry_of["match"], tenants, Clock())
    AlertMetrics(registry_of["alert"], tenants, Clock())
    DutyMetrics(registry_of["alert"], dict.fromkeys(tenants, ("pipl-57", "gdpr-33")))
    NotifyMetrics(registry_of["alert"], ["soc"], tenants)
    SearchMetrics.make(registry_of["search"])
    IntakeMetrics(registry_of["intake"], Clock())
    CollectMetrics(registry_of["collect"], Clock())
    for registry in registry_of.values():
        CertificateMetrics(registry, {})
        show_suspension(registry, RunningTime(Path(), Clock()))
        registry.register(
            AuditWitness(KeyStore(Path("nowhere") / "keys").inventory, is_forwarded=True)
        )
    return registry_of


def declared(registry: CollectorRegistry) -> Iterator[Declared]:
    """Yield every metric of `registry`.

    Label names come from its declaration, because a metric without a series shows none.
    """
    # there is no other list of them
    for collector in list(registry._collector_to_names):  # noqa: SLF001
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
        f"- `{metric.name}{labels}` ({metric.type}, {_name_roles(roles)}):"
        f" {metric.help.rstrip('.')}."
    )


def exposed() -> dict[Declared, list[str]]:
    """Return every metric with the roles that serve it."""
    roles_of: dict[Declared, list[str]] = {}
    for role, registry in registries().items():
        for metric in declared(registry):
            roles_of.setdefault(metric, []).append(role)
    return roles_of


def with_metrics(text: str) -> str:
    """Return the document with each row made anew from the code.

    A new row is inserted after the last one with the same roles. ValueError names a metric whose
    roles have no table yet: a person has to decide where it belongs.
    """
    waiting = {
        metric.name: (line(metric, roles), _name_roles(roles))
        for metric, roles in exposed().items()
    }
    shown = {match[1]: match[2] for match in ROW.finditer(text)}
    last = {roles: name for name, roles in shown.items()}
    new = {name: entry for name, entry in waiting.items() if name not in shown}
    if homeless := sorted(name for name, (_, roles) in new.items() if roles not in last):
        raise ValueError(
            f"docs/metrics.md has no table of the roles that serve {', '.join(homeless)}: begin one"
            " with its row"
        )

    def row(match: re.Match[str]) -> str:
        own = [waiting[match[1]][0]] if match[1] in waiting else []
        behind = [entry for entry, roles in new.values() if last[roles] == match[1]]
        return "\n".join((*own, *behind)) or GONE

    return ROW.sub(row, text).replace(f"{GONE}\n", "")


def _name_roles(roles: Sequence[str]) -> str:
    return "all" if len(roles) == len(ROLES) else ", ".join(roles)
