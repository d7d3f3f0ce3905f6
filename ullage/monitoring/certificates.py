"""Until when the certificates are good that a role shows: to the servers of its bus and store (mutual TLS), and to its clients.

What a client shows is read from its file at each scrape, as it is for each connection, so one that was renewed counts at once. So
does one of a listener; where it cannot be shown, what is shown is told, whatever lies in the files. Where none is shown there is
no series.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, Gauge

from ullage.errors import ConfigError
from ullage.monitoring.metrics import CLIENTS
from ullage.security.tls import ListenerCertificate, Trust

UNREADABLE = 0.0


class CertificateMetrics:
    """`trusts` are the servers of each dependency (`BUS`, `STORE`); of several certificates that counts which ends first.

    `served` is what a role that listens with TLS shows.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        trusts: Mapping[str, Collection[Trust | None]],
        served: ListenerCertificate | None = None,
    ) -> None:
        expiry = Gauge(
            "ullage_certificate_expiry_timestamp_seconds",
            "When the service's certificate expires; 0 if its file cannot be read.",
            ["shown_to"],
            registry=registry,
        )
        renewal = Gauge(
            "ullage_certificate_renewal_timestamp_seconds",
            "When to renew it: two weeks before expiry, or with a third of its lifetime left.",
            ["shown_to"],
            registry=registry,
        )
        if served is not None:
            expiry.labels(CLIENTS).set_function(_earliest([lambda: served.life.end]))
            renewal.labels(CLIENTS).set_function(_earliest([lambda: served.life.renewal_due]))
        for dependency, servers in trusts.items():
            if shown := [one for one in servers if one is not None and one.certificate is not None]:
                expiry.labels(dependency).set_function(_earliest([one.expires for one in shown]))
                renewal.labels(dependency).set_function(_earliest([one.renewal_due for one in shown]))


def _earliest(moments: Collection[Callable[[], datetime | None]]) -> Callable[[], float]:
    """The first of what is asked for, in Unix seconds."""

    def asked() -> float:
        try:
            return min((at.timestamp() for moment in moments if (at := moment()) is not None), default=UNREADABLE)
        except ConfigError:
            return UNREADABLE

    return asked
