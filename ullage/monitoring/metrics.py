"""Serve a service's metrics to Prometheus, and its health and readiness.

`metrics_server` answers three paths on loopback: `/metrics` has the series of a registry,
`/healthz` always says that the process is alive, and `/readyz` says with status 200 or 503 whether
the service can work now, and why not. Names are `ullage_<stage>_<noun>_<unit>_total`; labels come
only from configuration (site, tenant, kind, stage, reason): never a hash, pseudonym, URL or author.
Each service has its own registry (`new_registry`); there is no multi-process mode.
`docs/metrics.md` is the specification, which a test enforces.

`CertificateMetrics` exports when certificates expire. A client's is read from its file at each
scrape, as for each connection, so a renewed one counts at once. The same holds for a listener; if
the new file cannot be used, the certificate in use is reported. Without a certificate there is no
series.
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
"""Seconds; the way from a post to an incident takes seconds to a day."""
BUS, STORE = "bus", "store"
"""Dependencies of a service, which it may have to wait for."""
CLIENTS = "clients"
"""Clients of a service that listens."""
OTHER = "other"
"""Label value for everything that the configuration does not name."""


def limit_label(value: str, known: Collection[str]) -> str:
    """Return `value` if it is `known`, else "other".

    So no record from outside can create a new series.
    """
    return value if value in known else OTHER


def new_registry(role: str) -> CollectorRegistry:
    """Return a registry with the metrics of the process, its version and its `role`.

    Switches off, for the whole process, the `_created` series of prometheus_client.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]
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
    """Counts of `ullage.files.output`."""

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield one counter; prometheus_client calls it at each scrape."""
        text = "Log lines that could not be written."
        yield CounterMetricFamily("ullage_output_lost_lines", text, value=output.count_lost_lines())


class LoopMetrics:
    """Series that show whether a service's loop runs and reaches its dependencies.

    `parts` are the dependencies, `BUS` or `STORE`; each counts as reachable until a call fails.
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
        self.record_turn()  # a service that never reaches its first turn is reported from now on
        for part in parts:
            self.record_reachability(part, True)

    def record_turn(self) -> None:
        """Record that the loop ran now."""
        self._turned.set(self._clock.wall())

    def record_reachability(self, part: str, answers: bool) -> None:
        """Record whether the dependency `part` answered a call."""
        self._up.labels(part).set(answers)
        (self._down.discard if answers else self._down.add)(part)

    def fault(self) -> str:
        """Return a sentence about the dependencies that do not answer, "" if all do."""
        return f"cannot reach the {' and the '.join(sorted(self._down))}" if self._down else ""


def show_suspension(registry: CollectorRegistry, running_time: RunningTime) -> None:
    """Export whether deletion is suspended because the wall clock was set."""
    gauge = Gauge(
        "ullage_retention_suspended",
        "1 while expiry is suspended because the system clock jumped by more than an hour.",
        registry=registry,
    )

    def read_suspension() -> float:
        try:
            return float(running_time.look().is_suspended)
        except OSError:  # who cannot read the record deletes nothing either
            return 1.0

    gauge.set_function(read_suspension)


class CanaryMetrics:
    """Results of canary posts, as alert sees them."""

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

    def record_notification(self, published: float) -> None:
        """Record the notification of a canary post published at that moment (Unix seconds).

        A repeated one is not timed again. A time in the future comes from a clock that was ahead.
        """
        now = self._clock.wall()
        if published > self._newest or self._newest > now:
            self._newest = min(published, now)
            self._way.observe(now - self._newest)
            self._success.set(now)


def readiness(
    faults: Iterable[Callable[[], str]], warning: Callable[[], str] = str
) -> tuple[str, int]:
    """Return the text and the HTTP status, 200 or 503, of the response to /readyz.

    `faults` and `warning` return "" or a reason each. A fault keeps the service from its work; a
    warning concerns something beside it.
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
    """Return a server for one registry on loopback; `port` 0 takes a free one.

    `ready`, `faults` and `warning` (see `readiness`) tell whether the service can work now. Raises
    OSError if the port is in use.
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
    """Expiry and renewal times of certificates.

    `trusts` are the servers of each dependency (`BUS`, `STORE`); of several certificates, the
    first to expire counts. `served` is the certificate of a service that listens with TLS.
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
            expiry.labels(CLIENTS).set_function(_earliest_of([lambda: served.life.end]))
            renewal.labels(CLIENTS).set_function(_earliest_of([lambda: served.life.renewal_due]))
        for dependency, servers in trusts.items():
            if used := [
                trust for trust in servers if trust is not None and trust.certificate is not None
            ]:
                expiry.labels(dependency).set_function(
                    _earliest_of([trust.read_expiry for trust in used])
                )
                renewal.labels(dependency).set_function(
                    _earliest_of([trust.renewal_due for trust in used])
                )


def _earliest_of(moments: Collection[Callable[[], datetime | None]]) -> Callable[[], float]:
    """Return a function that gives the earliest of the moments, in Unix seconds."""

    def read() -> float:
        try:
            return min(
                (at.timestamp() for moment in moments if (at := moment()) is not None),
                default=UNREADABLE,
            )
        except ConfigError:
            return UNREADABLE

    return read
