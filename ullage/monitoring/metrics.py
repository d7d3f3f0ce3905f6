"""Serve metrics, health and readiness, and export when certificates expire.

Names are `ullage_<stage>_<noun>_<unit>_total`; labels come from configuration alone (site, tenant,
kind, stage, reason): never a tag, handle, URL or author. Each role makes its metrics in a registry
of its own; there is no multi-process mode. `docs/metrics.md` is the specification, and a test holds
the roles to it.

What a client shows is read from its file at each scrape, as it is for each connection, so one that
was renewed counts at once. So does one of a listener; where it cannot be shown, what is shown is
told, whatever lies in the files. Where none is shown there is no series.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from email.message import Message

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector

from ullage import __version__
from ullage.clock import Clock
from ullage.errors import ConfigError
from ullage.files import output
from ullage.monitoring.loopback import NOTHING, LoopbackResponse, LoopbackServer
from ullage.running_time import RunningTime
from ullage.security.tls import ListenerCertificate, Trust

BUCKETS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0)
"""Seconds; publish to incident runs from seconds to a day."""
BUS, STORE = "bus", "store"
"""What a role works on and may have to wait for."""
CLIENTS = "clients"
"""Who comes to a role that listens."""
OTHER = "other"
"""The value of a label that stands for everything that configuration does not name."""


def bounded(value: str, known: Collection[str]) -> str:
    """`value` as a label: itself where it is `known`, else `other`, so that no record can make a
    new series.
    """
    return value if value in known else OTHER


def new_registry(role: str) -> CollectorRegistry:
    """A registry with the process's own metrics and one that names version and role."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # birth dates that nobody reads would double the series
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    Info("ullage_build", "Version and service of this process.", registry=registry).info(
        {"version": __version__, "role": role}
    )
    registry.register(_LostLines())
    return registry


class _LostLines(Collector):
    """What `ullage.files.output` counts."""

    def collect(self) -> Iterator[CounterMetricFamily]:
        """One counter; prometheus_client calls it at each scrape."""
        text = "Log lines that could not be written."
        yield CounterMetricFamily("ullage_output_lost_lines", text, value=output.lost_lines())


class LoopMetrics:
    """Whether a role's loop turns, and whether it reaches what it cannot work without.

    `parts` are `BUS`, `STORE`.
    """

    def __init__(self, registry: CollectorRegistry, clock: Clock, parts: Collection[str]) -> None:
        self._clock, self._down = clock, set[str]()
        self._turned = Gauge(
            "ullage_loop_turned_timestamp_seconds",
            "When the service's loop last ran.",
            registry=registry,
        )
        self._up = Gauge(
            "ullage_dependency_up",
            "1 while the dependency responds, 0 otherwise.",
            ["dependency"],
            registry=registry,
        )
        self.turned()  # a role that never comes to its first turn is missed from now on
        for part in parts:
            self.reached(part, True)

    def turned(self) -> None:
        """The loop turned."""
        self._turned.set(self._clock.wall())

    def reached(self, part: str, answers: bool) -> None:
        """A call to `part` came back, or failed because it is down."""
        self._up.labels(part).set(answers)
        (self._down.discard if answers else self._down.add)(part)

    def fault(self) -> str:
        """Return which dependencies do not answer, "" if all do."""
        return f"cannot reach the {' and the '.join(sorted(self._down))}" if self._down else ""


def show_suspension(registry: CollectorRegistry, running_time: RunningTime) -> None:
    """Tell in `registry` whether deletion is stopped because the wall clock was set."""
    gauge = Gauge(
        "ullage_retention_suspended",
        "1 while expiry is suspended because the system clock jumped by more than an hour.",
        registry=registry,
    )

    def suspended() -> float:
        try:
            return float(running_time.look().is_suspended)
        except OSError:  # who cannot read the record deletes nothing either
            return 1.0

    gauge.set_function(suspended)


class CanaryMetrics:
    """How canary posts fare, as alert sees it."""

    def __init__(self, registry: CollectorRegistry, clock: Clock) -> None:
        self._clock, self._newest = clock, 0.0
        self._way = Histogram(
            "ullage_canary_publish_to_notification_seconds",
            "Time from the publication of a canary post to its notification.",
            buckets=BUCKETS,
            registry=registry,
        )
        self._success = Gauge(
            "ullage_canary_last_success_timestamp_seconds",
            "When a canary post last reached its notification; 0 for never.",
            registry=registry,
        )
        self.interval = Gauge(
            "ullage_canary_interval_seconds",
            "Time between canary posts; 0 for none.",
            registry=registry,
        )

    def notified(self, published: float) -> None:
        """A canary post published at that moment (Unix seconds) came through; one that comes again
        is not timed again.

        A moment that has not come yet was noted by a clock that was ahead.
        """
        now = self._clock.wall()
        if published > self._newest or self._newest > now:
            self._newest = min(published, now)
            self._way.observe(now - self._newest)
            self._success.set(now)


def readiness(
    faults: Iterable[Callable[[], str]], warning: Callable[[], str] = str
) -> tuple[str, int]:
    """Return text and status of the answer to /readyz; `faults` and `warning` return "" or a reason
    each.

    A fault keeps the role from its work; a warning is of something beside, which no work waits for.
    """
    if reasons := "; ".join(filter(None, (fault() for fault in faults))):
        return f"not ready: {reasons}\n", 503
    beside = warning()
    return f"ready, but {beside}\n" if beside else "ready\n", 200


def metrics_server(
    registry: CollectorRegistry,
    port: int,
    ready: Callable[[], bool],
    faults: Iterable[Callable[[], str]] = (),
    warning: Callable[[], str] = str,
) -> LoopbackServer:
    """Serve one registry; `ready`, and `faults` and `warning` (see `readiness`), say whether the
    role can work now.
    """

    def answer(path: str, headers: Message) -> LoopbackResponse:
        if path == "/metrics":
            encode, content_type = choose_encoder(headers.get("Accept", ""))
            return LoopbackResponse(encode(registry), content_type)
        if path == "/healthz":
            return LoopbackResponse(b"alive\n")
        if path == "/readyz":
            text, status = readiness(faults, warning)
            if status == 200 and not ready():
                text, status = "not ready\n", 503
            return LoopbackResponse(text.encode(), status=status)
        return NOTHING

    return LoopbackServer("metrics", port, answer)


UNREADABLE = 0.0


class CertificateMetrics:
    """`trusts` are the servers of each dependency (`BUS`, `STORE`); of several certificates that
    counts which ends first.

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
                renewal.labels(dependency).set_function(
                    _earliest([one.renewal_due for one in shown])
                )


def _earliest(moments: Collection[Callable[[], datetime | None]]) -> Callable[[], float]:
    """The first of what is asked for, in Unix seconds."""

    def asked() -> float:
        try:
            return min(
                (at.timestamp() for moment in moments if (at := moment()) is not None),
                default=UNREADABLE,
            )
        except ConfigError:
            return UNREADABLE

    return asked
